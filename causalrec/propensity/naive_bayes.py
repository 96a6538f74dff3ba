"""Naive Bayes: exposure given the outcome, by means of a few randomised rows."""

from dataclasses import dataclass, field
from typing import Annotated, ClassVar

import numpy as np
from pydantic import Field

from causalrec.data.log import InteractionLog
from causalrec.errors import DataError, RequestError
from causalrec.features.views import FeatureMatrix
from causalrec.propensity.base import AbstractPropensity, check_propensity
from causalrec.types import Doubles, Floats


@dataclass(kw_only=True)
class NaiveBayes(AbstractPropensity):
    """`P(O=1 | Y=r) = P(Y=r | O=1) P(O=1) / P(Y=r)`, at most 1; `P(Y=r)` is counted in the randomised rows.

    `P(Y=r | O=1)` is counted in the log and `P(O=1) = N / pairs`; `smoothing` is added to each count of both (Laplace;
    the paper counts without). float32[N] of rows with an outcome; pairs without one get `P(O=1)`. Assumption: exposure
    depends on the outcome's grade alone, so that no column needs adjusting for. Source: Schnabel et al. (ICML 2016,
    section 5). Raises RequestError without randomised rows, DataError on a grade never counted.
    """

    needs_randomised_sample: ClassVar[bool] = True
    scores_unlogged_pairs: ClassVar[bool] = False

    smoothing: Annotated[float, Field(ge=0)] = 0.0
    _grades: Floats = field(init=False, repr=False)
    _probability: Doubles = field(init=False, repr=False)
    _exposure_rate: float = field(init=False, repr=False)

    def fit(
        self, log: InteractionLog, features: FeatureMatrix, randomised_sample: InteractionLog | None = None
    ) -> None:
        if randomised_sample is None:
            raise RequestError(
                "propensity=naive_bayes: needs randomised rows of its own; set split.propensity_sample=0.05"
            )
        self._grades = np.unique(np.concatenate([log.outcome, randomised_sample.outcome]))
        self._exposure_rate = len(log) / log.num_pairs
        exposed, uniform = self._counts(log), self._counts(randomised_sample)
        if not uniform.all():
            raise DataError(
                f"propensity=naive_bayes: outcome {self._grades[int(np.argmin(uniform))]:g} never occurs in the "
                f"{len(randomised_sample)} randomised rows; set propensity.smoothing=1 or a larger "
                f"split.propensity_sample"
            )
        self._probability = np.minimum(self._exposure_rate * (exposed / exposed.sum()) / (uniform / uniform.sum()), 1.0)

    def predict(self, log: InteractionLog) -> Floats:
        has_outcome = ~np.isnan(log.outcome)
        grade_index = np.minimum(np.searchsorted(self._grades, log.outcome), len(self._grades) - 1)
        new = has_outcome & ((self._grades[grade_index] != log.outcome) | (self._probability[grade_index] <= 0))
        if new.any():
            row = int(np.argmax(new))
            raise DataError(
                f"propensity=naive_bayes: {log.name} row {row}: outcome {log.outcome[row]:g} is in no training row; "
                f"set propensity.smoothing=1"
            )
        return check_propensity(
            np.where(has_outcome, self._probability[grade_index], self._exposure_rate).astype(np.float32), "naive_bayes"
        )

    def columns_read(self, view: tuple[str, ...]) -> tuple[str, ...]:
        return ("outcome",)

    def _counts(self, log: InteractionLog) -> Doubles:
        counts: Doubles = np.array([np.count_nonzero(log.outcome == grade) for grade in self._grades]) + self.smoothing
        return counts
