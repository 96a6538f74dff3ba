"""Doubly robust with joint learning (Wang, Zhang, Sun & Qi, ICML 2019)."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, ClassVar

from pydantic import Field
from torch import Tensor

from causalrec.estimators.doubly_robust import joint_learning
from causalrec.estimators.objective.base import ANY_LINK, AbstractObjective, Claim
from causalrec.estimators.pointwise_error import dynamic_propensity, inverse_propensity
from causalrec.types import IMPUTATION, OUTCOME, Batch, Link, Outputs, Role, Space, Term


@dataclass(frozen=True, kw_only=True)
class DRJL(AbstractObjective):
    """Learns the outcome and the imputation model together, each on its own term and its own parameters.

    The imputed error is the outcome model's error on the label the imputation model would give.

    Attributes:
        clip: the least number divided by.
        dynamic: divides by `dynamic_propensity` in both terms, whose weight is the same (D-DR-JL; the paper: 0.1, and
            no word on the imputation's); `clip` then bounds that. Biased by design.
        legacy_public_code: the outcome loss of much public code, which is not doubly robust (`doubly_robust.py`).
    """

    reads_row_propensity: ClassVar[bool] = True
    roles: ClassVar[tuple[Role, ...]] = (OUTCOME, IMPUTATION)
    space: ClassVar[Space] = "all_pairs"
    links: ClassVar[frozenset[Link]] = ANY_LINK
    claims: ClassVar[frozenset[Claim]] = frozenset({"unbiased", "doubly_robust"})
    clip: Annotated[float, Field(ge=0)] = 0.1
    dynamic: Annotated[float, Field(gt=0)] | None = None
    legacy_public_code: bool = False

    def terms(self, batch: Batch, outputs: Outputs) -> Mapping[str, Term]:
        return joint_learning(
            batch, outputs, self._weight, clip=self.clip, legacy=self.legacy_public_code, dynamic=self.dynamic
        )

    def _weight(self, observed: Tensor, propensity: Tensor, clip: float) -> Tensor:
        return inverse_propensity(observed, dynamic_propensity(propensity, self.dynamic), clip)
