"""What estimators with a reward model share: the mean that it expects, and what it leaves."""

from __future__ import annotations

import numpy as np

from causalrec.estimators.policy_value.contributions import Contributions
from causalrec.estimators.policy_value.rounds import LoggedRounds, require
from causalrec.types import Doubles


def expected_reward(rounds: LoggedRounds) -> Doubles:
    """Return `sum_a pi(a|x) q(x,a)`, float64[B], in the unit of the reward."""
    target = require(rounds.target_distribution, "target_distribution")
    expected: Doubles = np.einsum("ba,ba->b", target, require(rounds.model, "model"))
    return expected


def residual(rounds: LoggedRounds) -> Doubles:
    """Return `r - q(x,a)` of the action taken, float64[B]."""
    model = require(rounds.model, "model")
    return rounds.reward - model[np.arange(len(rounds)), rounds.action]


def doubly_robust(rounds: LoggedRounds, weight: Doubles) -> Contributions:
    """Return `sum_a pi(a|x) q(x,a) + weight (r - q(x,a))` of each round.

    Args:
        rounds: with a model and the target policy's distribution.
        weight: float64[B], of the residual.
    """
    return Contributions(base=expected_reward(rounds) + weight * residual(rounds), weight=weight)
