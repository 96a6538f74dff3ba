"""How the average effect is estimated again on changed rows."""

from __future__ import annotations

from dataclasses import dataclass

from causalrec.errors import DataError
from causalrec.estimators.effect.aipw import CrossFit
from causalrec.estimators.effect.average_effect import AverageEffect, AverageRequest
from causalrec.estimators.effect.base import FitEffect, LearnerData
from causalrec.estimators.effect.nuisance import Model

LOGISTIC: Model = {  # as in conf/learner: scikit-learn's default stops short on many rows
    "estimator": "sklearn.linear_model.LogisticRegression",
    "solver": "newton-cholesky",
    "tol": 1e-8,
    "max_iter": 1000,
}
LINEAR_CROSSFIT = CrossFit(
    outcome={"estimator": "sklearn.linear_model.RidgeCV"}, binary_outcome=LOGISTIC, treatment=LOGISTIC
)
ALL_ROWS = AverageRequest()


@dataclass(frozen=True)
class ReEstimator:
    """Fits a learner from a table again; without one, cross-fitted doubly robust scores of linear models.

    Raises DataError where the learner tells no average with an error of changed rows though it did of the original.
    """

    learner: FitEffect | None = None
    request: AverageRequest = ALL_ROWS

    def __call__(self, rows: LearnerData, seed: int) -> AverageEffect:
        if self.learner is None:
            return LINEAR_CROSSFIT.average(rows, self.request, seed)
        average = _average(self.learner, self.request, rows, seed)
        if average is None:
            raise DataError("refute: the learner tells no average effect with a standard error of these rows")
        return average

    @classmethod
    def from_learner(
        cls, learner: FitEffect | None, request: AverageRequest, rows: LearnerData, seed: int
    ) -> tuple[ReEstimator, AverageEffect]:
        """Return how these rows' effect is estimated, and what it is.

        Args:
            learner: is used where it gives a standard error too; else linear models are.
            request: the target and the level.
            rows: the rows.
            seed: of what is random.
        """
        if learner is not None and (average := _average(learner, request, rows, seed)) is not None:
            return cls(learner, request), average
        return cls(None, request), LINEAR_CROSSFIT.average(rows, request, seed)


def _average(learner: FitEffect, request: AverageRequest, rows: LearnerData, seed: int) -> AverageEffect | None:
    """Return the learner's average effect of these rows, None where it has no standard error."""
    average = learner(rows, seed).average(request)
    return average if average is not None and (average.standard_error > 0).all() else None
