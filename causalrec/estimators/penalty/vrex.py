"""Risk extrapolation: the loss should be as large in one environment as in another."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

from torch import Tensor

from causalrec.estimators.penalty.environments import AbstractEnvironmentPenalty
from causalrec.types import Batch, Outputs, Term


@dataclass(frozen=True, kw_only=True)
class VREx(AbstractEnvironmentPenalty):
    """The variance over environments of the objective's risk of the outcome in each.

    With the objective's own loss beside it: `mean + beta Var_e(R_e)`, beta the weight. A batch compares the
    environments that it has rows of. What tells the outcome with another strength in each environment is leant on
    less. Source: V-REx (Krueger et al., ICML 2021, equation 8).

    Args:
        environment: A category of users, items or rows, whose levels are the environments; a number of theirs, or
            `time`, which is cut into `groups` of as many training rows.
        groups: K, of a number or of time.
        weight: beta.
    """

    reads_terms: ClassVar[bool] = True
    vectorizable: ClassVar[bool] = True

    def ratios(self, batch: Batch, outputs: Outputs) -> Mapping[str, Term]:
        return self.risk_ratios(batch, outputs)

    def combine(self, values: Mapping[str, Tensor]) -> Tensor:
        risks, present = self.risks(values)
        some = present.to(risks.dtype)
        count = some.sum(0).clamp_min(1)
        mean = (risks * some).sum(0) / count
        return ((risks - mean).square() * some).sum(0) / count
