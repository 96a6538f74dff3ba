"""The doubly robust estimate: what a model expects, and the weighed residual of the action taken."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from causalrec.estimators.policy_value.base import AbstractValueEstimator
from causalrec.estimators.policy_value.contributions import Contributions
from causalrec.estimators.policy_value.reward_model import doubly_robust
from causalrec.estimators.policy_value.rounds import LoggedRounds, RoundsInput


@dataclass(frozen=True, kw_only=True)
class DRValue(AbstractValueEstimator):
    """`mean_i [ sum_a pi(a|x_i) q(x_i,a) + w_i (r_i - q(x_i,a_i)) ]`, `w = pi(a|x) / pi0(a|x)`, in the unit of rewards.

    Assumption: the propensities are true and the log takes every action that the target does, or q is the mean reward;
    then unbiased, q having learnt from other rounds (cross-fitted). Biased where both are wrong. q = 0 is IPS.

    Source: Dudik, Langford & Li, ICML 2011; Robins, Rotnitzky & Zhao, JASA 1994.

    >>> import numpy as np
    >>> rounds = LoggedRounds(
    ...     reward=np.array([1.0]), action=np.array([0]), propensity=np.array([0.5]), target=np.array([0.25]),
    ...     target_distribution=np.array([[0.25, 0.75]]), model=np.array([[0.4, 0.8]]),
    ... )
    >>> round(DRValue().contributions(rounds).value, 9)
    1.0
    """

    requires: ClassVar[frozenset[RoundsInput]] = frozenset({"target_distribution", "model"})

    def contributions(self, rounds: LoggedRounds) -> Contributions:
        return doubly_robust(rounds, rounds.weight)
