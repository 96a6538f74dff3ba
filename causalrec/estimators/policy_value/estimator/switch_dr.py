"""The doubly robust estimate that trusts its model alone where weights are large."""

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
class SwitchDRValue(AbstractValueEstimator):
    """`mean_i [ sum_a pi q + w_i 1{w_i <= threshold} (r_i - q(x_i,a_i)) ]`, `w = pi(a|x) / pi0(a|x)`.

    Biased by the model's error where weights are above the threshold, for less variance: `threshold=inf` is DR, 0 the
    direct method (of actions that the target may take).

    Attributes:
        threshold: the largest weight that is used; `auto`: SLOPE chooses among inf, 10,000, 5,000, 1,000, 500, 100, 50
            and 10.

    Source: Wang, Agarwal & Dudik, ICML 2017, with DR below the threshold; candidates: Open Bandit Pipeline.

    >>> import numpy as np
    >>> rounds = LoggedRounds(
    ...     reward=np.array([1.0]), action=np.array([0]), propensity=np.array([0.5]), target=np.array([0.25]),
    ...     target_distribution=np.array([[0.25, 0.75]]), model=np.array([[0.4, 0.8]]),
    ... )
    >>> round(SwitchDRValue(threshold=0.4).contributions(rounds).value, 9)
    0.7
    """

    requires: ClassVar[frozenset[RoundsInput]] = frozenset({"target_distribution", "model"})
    threshold: NonNegative | Auto = "auto"

    def contributions(self, rounds: LoggedRounds) -> Contributions:
        weight = rounds.weight
        return doubly_robust(rounds, np.where(weight <= set_value(self.threshold), weight, 0.0))

    def candidates(self) -> Sequence[tuple[float, SwitchDRValue]]:
        return [(value, replace(self, threshold=value)) for value in THRESHOLDS] if self.threshold == "auto" else ()
