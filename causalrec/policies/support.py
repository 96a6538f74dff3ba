"""Whether the log could have taken what a target policy takes, asked before anything learns."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from causalrec.data.contexts import ActionDistribution, Contexts
from causalrec.data.log import InteractionLog
from causalrec.errors import RequestError
from causalrec.policies.evaluation import check_distribution

ROUNDS_AT_ONCE = 1 << 22  # probabilities that are held
NO_MASS = 1e-9  # on average, below which rounding is meant


def unsupported_share(log: InteractionLog, target: ActionDistribution, logging: ActionDistribution, name: str) -> float:
    """Return the share of a target's mass on actions of logging probability 0, averaged over rounds.

    Args:
        log: the rounds.
        target: the policy.
        logging: of every action under the policy that wrote them.
        name: of the target, for errors.
    """
    contexts, mass = Contexts.of_log(log), 0.0
    step = max(1, ROUNDS_AT_ONCE // max(log.num_items, 1))
    for start in range(0, len(log), step):
        block = contexts.take(np.arange(start, min(start + step, len(log))))
        mass += float(check_distribution(target(block), name)[logging(block) <= 0].sum())
    return mass / max(len(log), 1)


def check_support(
    log: InteractionLog,
    policies: Mapping[str, ActionDistribution],
    logging: ActionDistribution | None,
    *,
    assume: bool,
) -> None:
    """Raise RequestError where a policy has mass on actions that the log could not have taken.

    Args:
        log: the rounds.
        policies: by name.
        logging: of every action under the policy that wrote them; None: not known, so that nothing can be said.
        assume: leave such policies be.
    """
    if logging is None or assume:
        return
    for name, policy in policies.items():
        share = unsupported_share(log, policy, logging, name)
        if share > NO_MASS:
            raise RequestError(
                f"policy {name}: {share:.2%} of its mass is on actions that the log could not have taken, whose "
                f"rewards it says nothing of; choose another policy, or set task.assume_support=true (footnoted)"
            )
