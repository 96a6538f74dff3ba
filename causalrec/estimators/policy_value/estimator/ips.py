"""Inverse propensity scores: rewards weighed by how much more often the target takes the action."""

from __future__ import annotations

from dataclasses import dataclass

from causalrec.estimators.policy_value.base import AbstractValueEstimator
from causalrec.estimators.policy_value.contributions import Contributions
from causalrec.estimators.policy_value.rounds import LoggedRounds


@dataclass(frozen=True, kw_only=True)
class IPSValue(AbstractValueEstimator):
    """`mean_i w_i r_i`, `w = pi(a|x) / pi0(a|x)`, in the unit of the reward.

    Assumption: the propensities are true, and the log takes every action that the target does (common support); then
    unbiased. Mass of the target without support counts as reward 0. Its variance grows with `E[w^2 r^2]`, and it moves
    where a constant is added to rewards.

    Source: Horvitz & Thompson, JASA 1952; Strehl et al., NeurIPS 2010.

    >>> import numpy as np
    >>> rounds = LoggedRounds(
    ...     reward=np.array([1.0, 2.0]), action=np.array([0, 1]), propensity=np.array([0.5, 0.5]),
    ...     target=np.array([0.25, 0.75]),
    ... )
    >>> IPSValue().contributions(rounds).value
    1.75
    """

    def contributions(self, rounds: LoggedRounds) -> Contributions:
        weight = rounds.weight
        return Contributions(base=weight * rounds.reward, weight=weight)
