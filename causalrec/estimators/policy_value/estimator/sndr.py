"""The doubly robust estimate with a self-normalised residual."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from causalrec.estimators.policy_value.base import AbstractValueEstimator
from causalrec.estimators.policy_value.contributions import Contributions
from causalrec.estimators.policy_value.reward_model import expected_reward, residual
from causalrec.estimators.policy_value.rounds import LoggedRounds, RoundsInput


@dataclass(frozen=True, kw_only=True)
class SNDRValue(AbstractValueEstimator):
    """`mean_i sum_a pi(a|x_i) q(x_i,a) + sum_i w_i (r_i - q(x_i,a_i)) / sum_i w_i`, in the unit of the reward.

    Assumption: as of DR; then consistent, with a bias of order 1 / rounds. Less variable than DR where weights are.
    A constant q is SNIPS.

    Source: Thomas & Brunskill, ICML 2016 (weighted doubly robust, a horizon of one step).

    >>> import numpy as np
    >>> rounds = LoggedRounds(
    ...     reward=np.array([1.0]), action=np.array([0]), propensity=np.array([0.5]), target=np.array([0.25]),
    ...     target_distribution=np.array([[0.25, 0.75]]), model=np.array([[0.4, 0.8]]),
    ... )
    >>> round(SNDRValue().contributions(rounds).value, 9)
    1.3
    """

    requires: ClassVar[frozenset[RoundsInput]] = frozenset({"target_distribution", "model"})

    def contributions(self, rounds: LoggedRounds) -> Contributions:
        weight = rounds.weight
        return Contributions(
            base=expected_reward(rounds), weight=weight, numerator=weight * residual(rounds), denominator=weight
        )
