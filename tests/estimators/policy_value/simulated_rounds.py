"""Rounds of a bandit that tests of value estimators share."""

from __future__ import annotations

import numpy as np

from causalrec.estimators.policy_value.rounds import ActionFeatures, LoggedRounds


def simulate_rounds(count: int = 200, num_actions: int = 6, seed: int = 0) -> LoggedRounds:
    """Draw rounds with everything that an estimator may read, from uniform numbers alone, so that any NumPy agrees."""
    uniform = np.random.default_rng(seed).random
    logging, target = uniform((count, num_actions)) ** 3 + 0.02, uniform((count, num_actions)) ** 3
    logging, target = logging / logging.sum(1, keepdims=True), target / target.sum(1, keepdims=True)
    action = (logging.cumsum(1) < uniform(count)[:, None]).sum(1).clip(max=num_actions - 1)
    rows = np.arange(count)
    return LoggedRounds(
        reward=2 * uniform(count) - 0.5,
        action=action,
        propensity=logging[rows, action],
        target=target[rows, action],
        target_distribution=target,
        logging_distribution=logging,
        model=uniform((count, num_actions)),
        actions=ActionFeatures(
            categories=np.floor(2 * uniform((num_actions, 2))).astype(np.int64),
            vectors=uniform((num_actions, 3)),
            cluster=np.arange(num_actions) % 3,
            category_names=("genre", "colour"),
        ),
    )
