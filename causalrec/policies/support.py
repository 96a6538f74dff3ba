"""Whether the log could have taken what a target policy takes, asked before anything learns."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import numpy as np

from causalrec.data.contexts import ActionDistribution, Contexts
from causalrec.data.log import InteractionLog
from causalrec.errors import RequestError
from causalrec.policies.base import given
from causalrec.policies.evaluation import check_distribution
from causalrec.types import Doubles, Ints

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
    mass = 0.0
    for _, block in _blocks(log):
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


def probability_of_actions(log: InteractionLog, distribution: ActionDistribution) -> Doubles:
    """Return the probability of the action of each round, float64[N], block by block."""
    return np.concatenate([given(distribution(block), log.item[rows]) for rows, block in _blocks(log)])


def _blocks(log: InteractionLog) -> Iterator[tuple[Ints, Contexts]]:
    """Yield rows of the log with their contexts, as many at a time as their probabilities may take."""
    contexts, step = Contexts.of_log(log), max(1, ROUNDS_AT_ONCE // max(log.num_items, 1))
    for start in range(0, len(log), step):
        rows = np.arange(start, min(start + step, len(log)))
        yield rows, contexts.take(rows)
