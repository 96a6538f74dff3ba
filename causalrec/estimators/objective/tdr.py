"""Targeted doubly robust with an imputation model learnt on its own (Li et al., ICLR 2023, "TDR-CL")."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, ClassVar

from pydantic import Field

from causalrec.estimators.doubly_robust import ImputationErrors
from causalrec.estimators.objective.base import ANY_LINK, AbstractObjective, Claim
from causalrec.estimators.objective.tdr_jl import targeted_terms
from causalrec.estimators.pointwise_error import pointwise_error
from causalrec.types import IMPUTATION, OUTCOME, Batch, Link, Outputs, Role, Space, Term


@dataclass(frozen=True, kw_only=True)
class TDR(AbstractObjective):
    """As `tdr_jl`, but the imputation model regresses observed outcomes, without regard to the outcome model.

    `legacy_public_code`: the outcome loss of much public code, which is not doubly robust (`doubly_robust.py`).
    """

    roles: ClassVar[tuple[Role, ...]] = (OUTCOME, IMPUTATION)
    space: ClassVar[Space] = "all_pairs"
    links: ClassVar[frozenset[Link]] = ANY_LINK
    reads_pair_propensity: ClassVar[bool] = True
    claims: ClassVar[frozenset[Claim]] = frozenset({"consistent", "doubly_robust"})
    reads_whole_batch: ClassVar[bool] = True
    clip: Annotated[float, Field(ge=0)] = 0.1
    legacy_public_code: bool = False

    def terms(self, batch: Batch, outputs: Outputs) -> Mapping[str, Term]:
        outcome = targeted_terms(
            ImputationErrors.from_outputs(batch, outputs), batch, clip=self.clip, legacy=self.legacy_public_code
        )
        imputation_error = batch.observed * pointwise_error(outputs[IMPUTATION], batch.outcome, outputs.link)
        return {**outcome, "imputation": Term(imputation_error, IMPUTATION, normaliser=batch.observed)}
