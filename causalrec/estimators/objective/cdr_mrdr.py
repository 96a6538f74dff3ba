"""Conservative MRDR (Song et al., CIKM 2023, "CDR")."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, ClassVar

from pydantic import Field

from causalrec.estimators.conservative import AbstractConservative
from causalrec.estimators.doubly_robust import variance_weight
from causalrec.estimators.objective.base import Claim
from causalrec.types import Batch, Outputs, Term


@dataclass(frozen=True, kw_only=True)
class CDRMRDR(AbstractConservative):
    """MRDR whose uncertain imputed errors are dropped: such a row is weighed by inverse propensity alone.

    `m e_hat + o (e - m e_hat) / p`, m in {0, 1} by `AbstractConservative`. Assumption: unbiased where propensities are
    true, for m does not read o; true imputed errors do not suffice, as those that are dropped leave the propensities
    alone. `max_variation` large: MRDR itself; 0: IPS.

    Attributes:
        max_variation: the largest coefficient of variation of an imputed error that is imputed (the paper's eta).
        passes: with dropout.
        dropout: share of a vector's entries that a pass sets to 0.
        clip: the least propensity divided by.
        legacy_public_code: public code's filter, `s^2 < 10`, and its outcome loss (`doubly_robust.py`).
    """

    reads_row_propensity: ClassVar[bool] = True
    claims: ClassVar[frozenset[Claim]] = frozenset({"unbiased"})
    clip: Annotated[float, Field(ge=0)] = 0.1
    legacy_public_code: bool = False

    def terms(self, batch: Batch, outputs: Outputs) -> Mapping[str, Term]:
        return self.joint_terms(batch, outputs, variance_weight)
