"""Doubly robust that trades bias for variance (Dai et al., KDD 2022)."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, ClassVar

from pydantic import Field
from torch import Tensor

from causalrec.estimators.doubly_robust import bias_weight, joint_learning, variance_weight
from causalrec.estimators.objective.base import ANY_LINK, AbstractObjective, Claim
from causalrec.types import IMPUTATION, OUTCOME, Batch, Link, Outputs, Role, Space, Term


@dataclass(frozen=True, kw_only=True)
class DRMSE(AbstractObjective):
    """DR-JL whose imputation weight is `gamma * bias weight + (1 - gamma) * variance weight`.

    `gamma`: share of the bias; tuned in the paper, 1 (which is DR-BIAS) in public code, both alike here.
    `legacy_public_code`: the outcome loss of much public code, which is not doubly robust (`doubly_robust.py`).
    """

    reads_row_propensity: ClassVar[bool] = True
    roles: ClassVar[tuple[Role, ...]] = (OUTCOME, IMPUTATION)
    space: ClassVar[Space] = "all_pairs"
    links: ClassVar[frozenset[Link]] = ANY_LINK
    claims: ClassVar[frozenset[Claim]] = frozenset({"unbiased", "doubly_robust"})
    clip: Annotated[float, Field(ge=0)] = 0.1
    gamma: Annotated[float, Field(ge=0, le=1)] = 0.5
    legacy_public_code: bool = False

    def terms(self, batch: Batch, outputs: Outputs) -> Mapping[str, Term]:
        return joint_learning(batch, outputs, self._weight, clip=self.clip, legacy=self.legacy_public_code)

    def _weight(self, observed: Tensor, propensity: Tensor, clip: float) -> Tensor:
        bias, variance = (weight(observed, propensity, clip) for weight in (bias_weight, variance_weight))
        return self.gamma * bias + (1 - self.gamma) * variance
