"""Augmented inverse propensity weighting: the average effect with its standard error, from nuisances of any kind."""

from __future__ import annotations

from dataclasses import dataclass
from statistics import NormalDist
from typing import Annotated, Any

import numpy as np
from pydantic import Field

from causalrec.errors import DataError
from causalrec.estimators.effect.base import AverageEffect, LearnerData
from causalrec.estimators.effect.fit_log import FitLog
from causalrec.estimators.effect.nuisance import Model, build_sklearn_model, silence_warnings
from causalrec.types import Doubles, Ints


def aipw(outcome: Doubles, treatment: Ints, means: Doubles, probabilities: Doubles, *, clip: float) -> Doubles:
    """Return each row's score of each arm, float64[N,A], in the outcome's unit; its mean is the average effect.

    `score(a) = m(a) - m(0) + 1{T=a} (Y - m(a)) / p(a) - 1{T=0} (Y - m(0)) / p(0)`. Unbiased where the means or the
    probabilities are right given the adjustment set. Source: Robins, Rotnitzky & Zhao (JASA 1994).

    Args:
        outcome: float64[N], Y.
        treatment: int64[N], T in 0..A.
        means: float64[N,A+1], m: the mean outcome under each arm.
        probabilities: float64[N,A+1], p: of each arm.
        clip: the least probability divided by.

    >>> aipw(np.array([3.0, 1.0]), np.array([1, 0]), np.array([[1.0, 2.0]] * 2), np.full((2, 2), 0.5), clip=0.01)
    array([[3.],
           [1.]])
    """
    treatment_one_hot = np.eye(means.shape[1])[treatment]
    corrected_means = means + treatment_one_hot * (outcome[:, None] - means) / np.maximum(probabilities, clip)
    scores: Doubles = corrected_means[:, 1:] - corrected_means[:, :1]
    return scores


def clustered_variance(scores: Doubles, groups: Ints | None) -> Doubles:
    """Return the variance of the mean of scores [N,A], as [A]; rows of one group may depend on each other.

    >>> clustered_variance(np.array([[0.0], [0.0], [2.0], [2.0]]), np.array([7, 7, 8, 8]))
    array([1.])
    """
    _, group = np.unique(np.arange(len(scores)) if groups is None else groups, return_inverse=True)
    sums = np.zeros((int(group.max()) + 1, scores.shape[1]))
    np.add.at(sums, group, scores - scores.mean(axis=0))
    variance: Doubles = (sums**2).sum(axis=0) / len(scores) ** 2 * len(sums) / max(len(sums) - 1, 1)
    return variance


def normal_average(value: Doubles, standard_error: Doubles, level: float) -> AverageEffect:
    """Return the average effect with its normal interval."""
    half_width = NormalDist().inv_cdf((1 + level) / 2) * standard_error
    return AverageEffect(value, standard_error, value - half_width, value + half_width)


@dataclass(frozen=True, kw_only=True)
class CrossFit:
    """Nuisances fitted on other folds than those they predict.

    All rows of a user are in one fold; arms are spread evenly over folds. Assumption: no unmeasured confounding given X
    and W, every arm possible. Source: Chernozhukov et al. (Econometrics Journal 2018, section 5.1).

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

    def average(self, rows: LearnerData, level: float, seed: int, log: FitLog | None = None) -> AverageEffect:
        """Return the average effect over the population of which the rows are a sample, users as clusters.

        Args:
            rows: what is read.
            level: of the interval.
            seed: of the folds, and of what the models draw.
            log: counts the fits of the nuisances; None: nobody does.
        """
        scores = aipw(rows.outcome, rows.treatment, *self.nuisances(rows, seed, log), clip=self.clip)
        return normal_average(scores.mean(axis=0), np.sqrt(clustered_variance(scores, rows.groups)), level)

    def nuisances(self, rows: LearnerData, seed: int, log: FitLog | None = None) -> tuple[Doubles, Doubles]:
        """Return (means, probabilities), float64[N,A+1] each, of models that have not seen the row's user."""
        features, means = rows.features, np.empty((len(rows), rows.arms + 1))
        probabilities = np.empty_like(means)
        outcome, treatment = self._models(binary=rows.binary, seed=seed, log=log)
        with silence_warnings("the cross-fitting of its average"):
            for training, predicted_rows in self._splits(rows, seed):
                probabilities[predicted_rows] = _predict_probabilities(
                    treatment, features[training], rows.treatment[training], features[predicted_rows]
                )
                for arm in range(rows.arms + 1):
                    of_arm = training[rows.treatment[training] == arm]
                    means[predicted_rows, arm] = _predict_mean(
                        outcome, features[of_arm], rows.outcome[of_arm], features[predicted_rows]
                    )
        return means, probabilities

    def _models(self, *, binary: bool, seed: int, log: FitLog | None = None) -> tuple[Any, Any]:
        treatment = build_sklearn_model("learner.average.treatment", self.treatment, "classifier", seed, log)
        if binary and self.binary_outcome is not None:
            return build_sklearn_model(
                "learner.average.binary_outcome", self.binary_outcome, "classifier", seed, log
            ), treatment
        return build_sklearn_model("learner.average.outcome", self.outcome, "regressor", seed, log), treatment

    def _splits(self, rows: LearnerData, seed: int) -> list[tuple[Ints, Ints]]:
        from sklearn.model_selection import StratifiedGroupKFold, StratifiedKFold

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
