"""Self-normalised inverse propensity scores: a weighted mean of rewards."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from causalrec.estimators.policy_value.base import AbstractValueEstimator
from causalrec.estimators.policy_value.contributions import Contributions
from causalrec.estimators.policy_value.rounds import LoggedRounds


@dataclass(frozen=True, kw_only=True)
class SNIPSValue(AbstractValueEstimator):
    """`sum_i w_i r_i / sum_i w_i`, `w = pi(a|x) / pi0(a|x)`, in the unit of the reward.

    Assumption: as of IPS; then consistent, with a bias of order 1 / rounds. It stays within the rewards seen, and moves
    as they do where a constant is added. Of mass of the target without support it knows nothing: it is the value of
    the target where the log has been.

    Source: Swaminathan & Joachims, NeurIPS 2015.

    >>> rounds = LoggedRounds(
    ...     reward=np.array([1.0, 2.0]), action=np.array([0, 1]), propensity=np.array([0.5, 0.25]),
    ...     target=np.array([0.5, 0.75]),
    ... )
    >>> SNIPSValue().contributions(rounds).value
    1.75
    """

    def contributions(self, rounds: LoggedRounds) -> Contributions:
        weight = rounds.weight
        return Contributions(
            base=np.zeros(len(rounds)), weight=weight, numerator=weight * rounds.reward, denominator=weight
        )
