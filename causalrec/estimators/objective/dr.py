"""Doubly robust with an imputation model learnt on its own (Robins, Rotnitzky & Zhao, JASA 1994)."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, ClassVar

from pydantic import Field

from causalrec.estimators.doubly_robust import ImputationErrors, doubly_robust_terms
from causalrec.estimators.objective.base import ANY_LINK, AbstractObjective, Claim
from causalrec.estimators.pointwise_error import dynamic_propensity, pointwise_error
from causalrec.types import IMPUTATION, OUTCOME, Batch, Link, Outputs, Role, Space, Term


@dataclass(frozen=True, kw_only=True)
class DR(AbstractObjective):
    """The imputation model regresses observed outcomes on its own; DR-JL learns both models together.

    Attributes:
        clip: the least number divided by.
        dynamic: divides by `dynamic_propensity` (D-DR; the paper: 0.1), which `clip` then bounds; biased by design.
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
        errors = ImputationErrors.from_outputs(batch, outputs)
        rows = (batch.observed, dynamic_propensity(batch.propensity, self.dynamic))
        outcome = doubly_robust_terms(
            errors.error, errors.imputed, *rows, clip=self.clip, legacy=self.legacy_public_code
        )
        imputation_error = batch.observed * pointwise_error(outputs[IMPUTATION], batch.outcome, outputs.link)
        return {**outcome, "imputation": Term(imputation_error, IMPUTATION, normaliser=batch.observed)}
