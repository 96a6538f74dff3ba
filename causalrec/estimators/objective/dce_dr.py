"""Doubly calibrated doubly robust estimation: DCE-DR (Kweon & Yu, WWW 2024)."""

from collections.abc import Mapping
from dataclasses import dataclass

from causalrec.estimators.doubly_calibrated import AbstractDoublyCalibrated
from causalrec.estimators.doubly_robust import doubly_robust_terms
from causalrec.types import Batch, Outputs, Term


@dataclass(frozen=True, kw_only=True)
class DCEDR(AbstractDoublyCalibrated):
    """Doubly robust joint learning with calibrated propensities and calibrated imputed labels.

    The terms of `multi_dr` where the experts change nothing. Assumption: right as held-out rows grow, where the
    propensities or the imputed labels, each after calibration, are true.

    Attributes:
        clip: the least propensity divided by.
        held_out: share of training rows that no step meets, which the experts are fitted on.
        experts: K, of each nuisance.
        steps: of each fit of experts.
        decay: of experts towards those that change nothing.
        cooling_epochs: in which the gate's temperature falls from 1 to .001.
        legacy_public_code: public code subtracts `e_hat`, not `e_hat / p`, from observed rows (`doubly_robust.py`).
    """

    def terms(self, batch: Batch, outputs: Outputs) -> Mapping[str, Term]:
        errors, propensity, terms = self.shared_terms(batch, outputs)
        rows = (batch.observed, propensity)
        outcome = doubly_robust_terms(
            errors.error, errors.imputed, *rows, clip=self.clip, legacy=self.legacy_public_code
        )
        return {**outcome, **terms}
