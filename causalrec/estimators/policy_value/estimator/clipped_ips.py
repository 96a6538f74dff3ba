"""Inverse propensity scores whose weights have a largest value."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from causalrec.estimators.policy_value.base import AbstractValueEstimator
from causalrec.estimators.policy_value.contributions import Contributions
from causalrec.estimators.policy_value.parameter import THRESHOLDS, Auto, Positive, set_value
from causalrec.estimators.policy_value.rounds import LoggedRounds


@dataclass(frozen=True, kw_only=True)
class ClippedIPSValue(AbstractValueEstimator):
    """`mean_i min(w_i, clip) r_i`, `w = pi(a|x) / pi0(a|x)`, in the unit of the reward.

    Biased by `-E[(w - clip)^+ r]`, to below where rewards are positive, for less variance; `clip=inf` is IPS.

    Attributes:
        clip: the largest weight; `auto`: SLOPE chooses among inf, 10,000, 5,000, 1,000, 500, 100, 50 and 10.

    Source: Ionides, J. Comp. Graph. Stat. 2008; Bottou et al., JMLR 2013; candidates: Open Bandit Pipeline.

    >>> rounds = LoggedRounds(
    ...     reward=np.array([1.0, 2.0]), action=np.array([0, 1]), propensity=np.array([0.5, 0.1]),
    ...     target=np.array([0.25, 0.75]),
    ... )
    >>> ClippedIPSValue(clip=2.0).contributions(rounds).value
    2.25
    """

    clip: Positive | Auto = "auto"

    def contributions(self, rounds: LoggedRounds) -> Contributions:
        weight = np.minimum(rounds.weight, set_value(self.clip))
        return Contributions(base=weight * rounds.reward, weight=weight)

    def candidates(self) -> Sequence[tuple[float, ClippedIPSValue]]:
        return [(clip, replace(self, clip=clip)) for clip in THRESHOLDS] if self.clip == "auto" else ()
