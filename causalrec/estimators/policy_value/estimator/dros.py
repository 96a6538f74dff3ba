"""The doubly robust estimate with optimistic shrinkage of its weights."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import ClassVar

import numpy as np

from causalrec.estimators.policy_value.base import AbstractValueEstimator
from causalrec.estimators.policy_value.contributions import Contributions
from causalrec.estimators.policy_value.parameter import THRESHOLDS, Auto, NonNegative, set_value
from causalrec.estimators.policy_value.reward_model import doubly_robust
from causalrec.estimators.policy_value.rounds import LoggedRounds, RoundsInput


@dataclass(frozen=True, kw_only=True)
class DRosValue(AbstractValueEstimator):
    """`mean_i [ sum_a pi q + l w_i / (w_i^2 + l) (r_i - q(x_i,a_i)) ]`, `w = pi(a|x) / pi0(a|x)`, l the `shrinkage`.

    A weight is at most sqrt(l) / 2, and falls again where w is above sqrt(l). Biased by the model's error where weights
    shrink, for less variance: `shrinkage=inf` is DR, 0 the direct method.

    Attributes:
        shrinkage: l; `auto`: SLOPE chooses among inf, 10,000, 5,000, 1,000, 500, 100, 50 and 10.

    Source: Su, Dimakopoulou, Krishnamurthy & Dudik, ICML 2020; candidates: Open Bandit Pipeline.

    >>> import numpy as np
    >>> rounds = LoggedRounds(
    ...     reward=np.array([1.0]), action=np.array([0]), propensity=np.array([0.5]), target=np.array([0.25]),
    ...     target_distribution=np.array([[0.25, 0.75]]), model=np.array([[0.4, 0.8]]),
    ... )
    >>> round(DRosValue(shrinkage=0.25).contributions(rounds).value, 9)  # a weight of .25
    0.85
    """

    requires: ClassVar[frozenset[RoundsInput]] = frozenset({"target_distribution", "model"})
    shrinkage: NonNegative | Auto = "auto"

    def contributions(self, rounds: LoggedRounds) -> Contributions:
        weight, shrinkage = rounds.weight, set_value(self.shrinkage)
        shrunk = weight / (1 + weight**2 / shrinkage) if shrinkage > 0 else np.zeros_like(weight)
        return doubly_robust(rounds, shrunk)

    def candidates(self) -> Sequence[tuple[float, DRosValue]]:
        return [(value, replace(self, shrinkage=value)) for value in THRESHOLDS] if self.shrinkage == "auto" else ()
