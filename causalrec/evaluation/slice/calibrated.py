"""The test rows, their predictions made probabilities of other rows first: is a calibrator as good as its rows?"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Annotated, Literal

import numpy as np
from pydantic import Field

from causalrec.data.card import DatasetCard
from causalrec.data.log import InteractionLog
from causalrec.errors import RequestError
from causalrec.evaluation.slice.base import (
    AbstractSlice,
    Calibration,
    SliceData,
    SliceSource,
    held_out_name,
    outcome_kind,
    slice_of_log,
)
from causalrec.solvers.calibration import OF_OUTCOMES
from causalrec.types import Doubles


@dataclass(frozen=True, kw_only=True)
class CalibratedSlice(AbstractSlice):
    """`NAME_METHOD_ROWS`, as `randomised_platt_weighted`: the test rows under a map fitted on other rows.

    A model that is right on the logged rows may be far too high on pairs that nobody chose; a map fitted on logged rows
    keeps that. The same rows weighted by 1/p stand for all pairs where the propensities are right, and randomised rows
    that are set aside stand for them by design. What the map is fitted on was read by early stopping and the search.

    Attributes:
        method: `platt` fits `sigmoid(a logit(p) + b)` (Platt 1999), which keeps the order of predictions where a > 0;
            `isotonic` a monotone step function (Zadrozny & Elkan, KDD 2002), which may tie them.
        rows: `validation`: logged rows held out, as they are; `weighted`: the same by 1/p of the run's propensity;
            `randomised`: randomised rows set aside (`split.propensity_sample`).
        clip: of the weights: no p counts as less than this multiple of the rows' density, `1 / mean(1/p)`.
    """

    method: Literal["platt", "isotonic"]
    rows: Literal["validation", "weighted", "randomised"]
    clip: Annotated[float, Field(ge=0, le=1)] = 0.1

    @property
    def reads_randomised_sample(self) -> bool:
        return self.rows == "randomised"

    def check(self, card: DatasetCard) -> None:
        if card.outcome != "click" or card.feedback == "positive_only":
            raise RequestError(
                f"method={self.method}: makes probabilities of outcomes that are 0 or 1, but that of {card.name} is "
                f"a {card.outcome} ({card.feedback}); set dataset.threshold, or leave the slice out"
            )

    def select(self, source: SliceSource) -> Iterator[SliceData]:
        log, kind = self._log(source), outcome_kind(source.dataset.card)
        if len(np.unique(log.outcome)) < 2:
            raise RequestError(f"rows={self.rows}: all {len(log)} rows have one outcome; hold out more rows")
        test = slice_of_log(source.splits.test, held_out_name(source), kind)
        calibration = Calibration(
            rows=slice_of_log(log, self.rows, kind), weight=self._weight(source, log), fit=OF_OUTCOMES[self.method]
        )
        name, every_row = f"{test.name}_{self.method}_{self.rows}", np.arange(len(test))
        yield replace(
            test, name=name, subset_of=test, rows=every_row, calibration=calibration, note=self._note(name, log)
        )

    def _log(self, source: SliceSource) -> InteractionLog:
        if self.rows == "randomised":
            if source.splits.randomised_sample is None:
                raise RequestError(
                    "rows=randomised: no randomised rows are set aside; set split.propensity_sample=0.05 and declare "
                    "them with selection.randomised_budget"
                )
            return source.splits.randomised_sample
        if source.validation_is_fitted:
            raise RequestError(
                f"rows={self.rows}: the model is fitted on all {len(source.splits.validation):,} validation rows too; "
                f"set selection.folds=1"
            )
        return source.splits.validation

    def _weight(self, source: SliceSource, log: InteractionLog) -> Doubles:
        if self.rows != "weighted":
            return np.ones(len(log))
        propensity = source.propensity.predict(log).astype(np.float64)
        weight: Doubles = 1 / np.maximum(propensity, self.clip / np.mean(1 / propensity))
        weight /= weight.mean()  # a row, on average: what a step function takes half of
        return weight

    def _note(self, name: str, log: InteractionLog) -> str:
        which = {
            "validation": "logged rows held out, which early stopping and the search read too",
            "weighted": "the same rows by 1/p; right where the propensities are",
            "randomised": "randomised rows that left the test",
        }
        return f"{name}: predictions pass {self.method}, fitted on {len(log):,} rows: {which[self.rows]}."
