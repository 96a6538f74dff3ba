"""Inverse propensity scores drawn to 1 by a harmonic mean, so that errors have sub-Gaussian tails."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Annotated

import numpy as np
from pydantic import Field

from causalrec.estimators.policy_value.base import AbstractValueEstimator
from causalrec.estimators.policy_value.contributions import Contributions
from causalrec.estimators.policy_value.parameter import Auto, set_value
from causalrec.estimators.policy_value.rounds import LoggedRounds

CANDIDATES = (1e-4, 1e-3, 1e-2, 0.05, 0.1, 0.25, 0.5, 1.0)


@dataclass(frozen=True, kw_only=True)
class SubGaussianIPSValue(AbstractValueEstimator):
    """`mean_i r_i w_i / (1 - l + l w_i)`, `w = pi(a|x) / pi0(a|x)`, in the unit of the reward, with l the `shrinkage`.

    A weight is at most 1 / l. Biased for less variance; `shrinkage=0` is IPS, and 1 the sum of rewards of actions that
    the target may take over all rounds.

    Attributes:
        shrinkage: l in [0, 1]; `auto`: SLOPE chooses among eight from 0.0001 to 1.

    Source: Metelli, Russo & Restelli, NeurIPS 2021 (their power mean with s = -1); the range of candidates: Saito &
    Joachims, ICML 2022, experiments.

    >>> rounds = LoggedRounds(
    ...     reward=np.array([1.0, 2.0]), action=np.array([0, 1]), propensity=np.array([0.5, 0.25]),
    ...     target=np.array([0.5, 0.75]),
    ... )
    >>> SubGaussianIPSValue(shrinkage=0.5).contributions(rounds).value
    2.0
    """

    shrinkage: Annotated[float, Field(ge=0, le=1)] | Auto = "auto"

    def contributions(self, rounds: LoggedRounds) -> Contributions:
        weight, shrinkage = rounds.weight, set_value(self.shrinkage)
        below = 1 - shrinkage + shrinkage * weight  # 0 where the weight is, at a shrinkage of 1
        weight = np.divide(weight, below, out=np.zeros_like(weight), where=below > 0)
        return Contributions(base=weight * rounds.reward, weight=weight)

    def candidates(self) -> Sequence[tuple[float, SubGaussianIPSValue]]:
        return [(value, replace(self, shrinkage=value)) for value in CANDIDATES] if self.shrinkage == "auto" else ()
