"""Cross-fitted nuisances of average effects: models of the outcome under each arm, and of the arm received."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Any

import numpy as np
from pydantic import Field

from causalrec.errors import DataError
from causalrec.estimators.effect.adjusted_rows import AdjustedRows
from causalrec.estimators.effect.average_effect import AverageEffect, AverageRequest
from causalrec.estimators.effect.base import LearnerData
from causalrec.estimators.effect.fit_log import FitLog
from causalrec.estimators.effect.nuisance import Model, build_sklearn_model, silence_warnings
from causalrec.types import Doubles, Ints

CROSS_FITTING = "the cross-fitting of its average"


@dataclass(frozen=True, kw_only=True)
class CrossFit:
    """Nuisances fitted on other folds than those they predict.

    All rows of a group are in one fold; arms are spread evenly over folds. Assumption: no unmeasured confounding given
    X and W, every arm possible. Source: Chernozhukov et al. (Econometrics Journal 2018, section 5.1).

    Attributes:
        outcome: a regressor of the outcome for each arm, on X and W.
        treatment: a classifier of the arms, on X and W.
        binary_outcome: a classifier in place of the regressor where the outcome is 0 or 1; None: the regressor.
        folds: how many.
        clip: the least probability of an arm divided by.
    """

    outcome: Model
    treatment: Model
    binary_outcome: Model | None = None
    folds: Annotated[int, Field(ge=2)] = 5
    clip: Annotated[float, Field(gt=0, lt=1)] = 0.01

    def __post_init__(self) -> None:
        self._models(binary=False, seed=0)
        self._models(binary=True, seed=0)

    def average(
        self, rows: LearnerData, request: AverageRequest, seed: int, log: FitLog | None = None
    ) -> AverageEffect:
        """Return the average effect over the population of which the rows are a sample.

        Args:
            rows: what is read.
            request: the target, the level and the rows included.
            seed: of the folds, and of what the models draw.
            log: counts the fits of the nuisances; None: nobody does.
        """
        included = rows if request.included is None else rows.take(request.included)
        return self.adjust(included, seed, log).average(request)

    def adjust(self, rows: LearnerData, seed: int, log: FitLog | None = None) -> AdjustedRows:
        """Return the rows with nuisances of models that have not seen the row's group."""
        means, probabilities = self.nuisances(rows, seed, log)
        return AdjustedRows(
            outcome=rows.outcome,
            treatment=rows.treatment,
            means=means,
            probabilities=probabilities,
            clusters=rows.dependence,
            clip=self.clip,
        )

    def nuisances(self, rows: LearnerData, seed: int, log: FitLog | None = None) -> tuple[Doubles, Doubles]:
        """Return (means, probabilities), float64[N,A+1] each, of models that have not seen the row's group.

        Probabilities that the rows bring with them are taken as they are.
        """
        features, means = rows.features, np.empty((len(rows), rows.arms + 1))
        probabilities = np.empty_like(means) if rows.probabilities is None else rows.probabilities
        outcome, treatment = self._models(binary=rows.binary, seed=seed, log=log)
        with silence_warnings(CROSS_FITTING):
            for training, predicted_rows in self._splits(rows, seed):
                if rows.probabilities is None:
                    probabilities[predicted_rows] = _predict_probabilities(
                        treatment, features[training], rows.treatment[training], features[predicted_rows]
                    )
                seen = rows.outcome[training], rows.treatment[training]
                means[predicted_rows] = _predict_means(outcome, features[training], *seen, features[predicted_rows])
        return means, probabilities

    def outcome_means(self, rows: LearnerData, features: Doubles, seed: int, log: FitLog | None = None) -> Doubles:
        """Return the mean outcome under each arm of other rows, float64[N,A+1], by models fitted on all of `rows`.

        Args:
            rows: what the models are fitted on.
            features: float64[N,Dx+Dw], X and W of the other rows.
            seed: of what the models draw.
            log: counts the fits; None: nobody does.
        """
        outcome, _ = self._models(binary=rows.binary, seed=seed, log=log)
        with silence_warnings(CROSS_FITTING):
            return _predict_means(outcome, rows.features, rows.outcome, rows.treatment, features)

    def _models(self, *, binary: bool, seed: int, log: FitLog | None = None) -> tuple[Any, Any]:
        treatment = build_sklearn_model("learner.average.treatment", self.treatment, "classifier", seed, log)
        if binary and self.binary_outcome is not None:
            return build_sklearn_model(
                "learner.average.binary_outcome", self.binary_outcome, "classifier", seed, log
            ), treatment
        return build_sklearn_model("learner.average.outcome", self.outcome, "regressor", seed, log), treatment

    def _splits(self, rows: LearnerData, seed: int) -> list[tuple[Ints, Ints]]:
        from sklearn.model_selection import StratifiedGroupKFold, StratifiedKFold

        rows.check_folds(self.folds)
        fold = StratifiedKFold if rows.groups is None else StratifiedGroupKFold
        splitter = fold(self.folds, shuffle=True, random_state=seed)
        splits = list(splitter.split(rows.features, rows.treatment, rows.groups))
        for training, _ in splits:
            missing = set(range(rows.arms + 1)) - set(rows.treatment[training].tolist())
            if missing:
                raise DataError(f"learner.average: arm {min(missing)} is in one fold alone; too few users have it")
        return splits


def _predict_probabilities(model: Any, features: Doubles, treatment: Ints, predicted_features: Doubles) -> Doubles:
    if not features.shape[1]:  # nothing to adjust for: an arm is as likely as its share
        return np.tile(np.bincount(treatment) / len(treatment), (len(predicted_features), 1))
    probabilities: Doubles = model.fit(features, treatment).predict_proba(predicted_features)
    return probabilities


def _predict_means(
    model: Any, features: Doubles, outcome: Doubles, treatment: Ints, predicted_features: Doubles
) -> Doubles:
    """Return float64[M,A+1]: an arm's by the rows that received it."""
    arms = range(int(treatment.max()) + 1)
    by_arm = [
        _predict_mean(model, features[treatment == arm], outcome[treatment == arm], predicted_features) for arm in arms
    ]
    return np.stack(by_arm, axis=1)


def _predict_mean(model: Any, features: Doubles, outcome: Doubles, predicted_features: Doubles) -> Doubles:
    if not features.shape[1] or len(np.unique(outcome)) == 1:  # a classifier refuses a single class
        return np.full(len(predicted_features), outcome.mean())
    fitted = model.fit(features, outcome)
    mean: Doubles = (
        fitted.predict_proba(predicted_features)[:, 1]
        if hasattr(fitted, "predict_proba")
        else fitted.predict(predicted_features)
    )
    return mean
