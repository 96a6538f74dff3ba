"""Doubly calibrated targeted doubly robust estimation: DCE-TDR (Kweon & Yu, WWW 2024)."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import ClassVar

from causalrec.estimators.doubly_calibrated import AbstractDoublyCalibrated
from causalrec.estimators.objective.tdr_jl import targeted_terms
from causalrec.types import Batch, Outputs, Term


@dataclass(frozen=True, kw_only=True)
class DCETDR(AbstractDoublyCalibrated):
    """Targeted doubly robust joint learning with calibrated propensities and calibrated imputed labels.

    The calibrated imputed error is moved by `epsilon (1/p - 1)`, as in `tdr_jl`. Assumption: right as rows grow, where
    the propensities or the imputed labels, each after calibration, are true.

    Attributes:
        clip: the least propensity divided by.
        held_out: share of training rows that no step meets, which the experts are fitted on.
        experts: K, of each nuisance.
        steps: of each fit of experts.
        decay: of experts towards those that change nothing.
        cooling_epochs: in which the gate's temperature falls from 1 to .001.
        legacy_public_code: public code subtracts `e_hat`, not `e_hat / p`, from observed rows (`doubly_robust.py`).
    """

    reads_whole_batch: ClassVar[bool] = True

    def terms(self, batch: Batch, outputs: Outputs) -> Mapping[str, Term]:
        errors, propensity, terms = self.shared_terms(batch, outputs)
        rows = replace(batch, propensity=propensity)
        return {**targeted_terms(errors, rows, clip=self.clip, legacy=self.legacy_public_code), **terms}
