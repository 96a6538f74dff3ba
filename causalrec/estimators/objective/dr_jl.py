"""Doubly robust with joint learning (Wang, Zhang, Sun & Qi, ICML 2019)."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, ClassVar

from pydantic import Field

from causalrec.estimators.doubly_robust import joint_learning
from causalrec.estimators.objective.base import ANY_LINK, AbstractObjective, Claim
from causalrec.estimators.pointwise_error import inverse_propensity
from causalrec.types import IMPUTATION, OUTCOME, Batch, Link, Outputs, Role, Space, Term


@dataclass(frozen=True, kw_only=True)
class DRJL(AbstractObjective):
    """Learns the outcome and the imputation model together, each on its own term and its own parameters.

    The imputed error is the outcome model's error on the label the imputation model would give.
    `legacy_public_code`: the outcome loss of much public code, which is not doubly robust (`doubly_robust.py`).
    """

    reads_row_propensity: ClassVar[bool] = True
    roles: ClassVar[tuple[Role, ...]] = (OUTCOME, IMPUTATION)
    space: ClassVar[Space] = "all_pairs"
    links: ClassVar[frozenset[Link]] = ANY_LINK
    claims: ClassVar[frozenset[Claim]] = frozenset({"unbiased", "doubly_robust"})
    clip: Annotated[float, Field(ge=0)] = 0.1
    legacy_public_code: bool = False

    def terms(self, batch: Batch, outputs: Outputs) -> Mapping[str, Term]:
        return joint_learning(batch, outputs, inverse_propensity, clip=self.clip, legacy=self.legacy_public_code)
