"""Augmented inverse propensity weighting: the average effect with its standard error, from nuisances of any kind."""

from __future__ import annotations

from dataclasses import dataclass
from statistics import NormalDist
from typing import Annotated, Any

import numpy as np
from pydantic import Field

from causalrec.errors import DataError
from causalrec.estimators.effect.base import AverageEffect, LearnerData
from causalrec.estimators.effect.nuisance import Model, built, quiet
from causalrec.types import Doubles, Ints


def aipw(outcome: Doubles, treatment: Ints, means: Doubles, chances: Doubles, *, clip: float) -> Doubles:
    """Return each row's score of each arm, float64[N,A], in the outcome's unit; its mean is the average effect.

    `score(a) = m(a) - m(0) + 1{T=a} (Y - m(a)) / p(a) - 1{T=0} (Y - m(0)) / p(0)`, with `means[N,A+1]` the outcome's
    under each arm, `chances[N,A+1]` the probabilities of the arms, no less than `clip`. Unbiased where either is right
    given the adjustment set. Source: Robins, Rotnitzky & Zhao (JASA 1994).

    >>> aipw(np.array([3.0, 1.0]), np.array([1, 0]), np.array([[1.0, 2.0]] * 2), np.full((2, 2), 0.5), clip=0.01)
    array([[3.],
           [1.]])
    """
    taken = np.eye(means.shape[1])[treatment]
    level = means + taken * (outcome[:, None] - means) / np.maximum(chances, clip)
    scores: Doubles = level[:, 1:] - level[:, :1]
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
    reach = NormalDist().inv_cdf((1 + level) / 2) * standard_error
    return AverageEffect(value, standard_error, value - reach, value + reach)


@dataclass(frozen=True, kw_only=True)
class CrossFit:
    """Nuisances fitted on other folds than those they predict: users stay whole, arms are spread evenly.

    `outcome`: a regressor per arm, `binary_outcome`: a classifier in its place where the outcome is 0 or 1 (None: the
    regressor), `treatment`: a classifier of the arms; all read X and W. `clip`: least probability of an arm divided by.
    Assumption: no unmeasured confounding given X and W, every arm possible. Source: Chernozhukov et al. (Econometrics
    Journal 2018, section 5.1).
    """

    outcome: Model
    treatment: Model
    binary_outcome: Model | None = None
    folds: Annotated[int, Field(ge=2)] = 5
    clip: Annotated[float, Field(gt=0, lt=1)] = 0.01

    def __post_init__(self) -> None:
        self._models(binary=False, seed=0)
        self._models(binary=True, seed=0)

    def average(self, rows: LearnerData, level: float, seed: int) -> AverageEffect:
        """Return the average effect over the population of which the rows are a sample, users as clusters."""
        scores = aipw(rows.outcome, rows.treatment, *self.nuisances(rows, seed), clip=self.clip)
        return normal_average(scores.mean(axis=0), np.sqrt(clustered_variance(scores, rows.groups)), level)

    def nuisances(self, rows: LearnerData, seed: int) -> tuple[Doubles, Doubles]:
        """Return (means, chances), float64[N,A+1] each, each row judged by models that have not seen its user."""
        features, means = rows.features, np.empty((len(rows), rows.arms + 1))
        chances = np.empty_like(means)
        outcome, treatment = self._models(binary=rows.binary, seed=seed)
        with quiet("the cross-fitting of its average"):
            for kept, held in self._splits(rows, seed):
                chances[held] = _chances(treatment, features[kept], rows.treatment[kept], features[held])
                for arm in range(rows.arms + 1):
                    own = kept[rows.treatment[kept] == arm]
                    means[held, arm] = _mean(outcome, features[own], rows.outcome[own], features[held])
        return means, chances

    def _models(self, *, binary: bool, seed: int) -> tuple[Any, Any]:
        treatment = built("learner.average.treatment", self.treatment, "classifier", seed)
        if binary and self.binary_outcome is not None:
            return built("learner.average.binary_outcome", self.binary_outcome, "classifier", seed), treatment
        return built("learner.average.outcome", self.outcome, "regressor", seed), treatment

    def _splits(self, rows: LearnerData, seed: int) -> list[tuple[Ints, Ints]]:
        from sklearn.model_selection import StratifiedGroupKFold, StratifiedKFold

        fold = StratifiedKFold if rows.groups is None else StratifiedGroupKFold
        splitter = fold(self.folds, shuffle=True, random_state=seed)
        splits = list(splitter.split(rows.features, rows.treatment, rows.groups))
        for kept, _ in splits:
            missing = set(range(rows.arms + 1)) - set(rows.treatment[kept].tolist())
            if missing:
                raise DataError(f"learner.average: arm {min(missing)} is in one fold alone; too few users have it")
        return splits


def _chances(model: Any, features: Doubles, treatment: Ints, held: Doubles) -> Doubles:
    if not features.shape[1]:  # nothing to adjust for: an arm is as likely as its share
        return np.tile(np.bincount(treatment) / len(treatment), (len(held), 1))
    chances: Doubles = model.fit(features, treatment).predict_proba(held)
    return chances


def _mean(model: Any, features: Doubles, outcome: Doubles, held: Doubles) -> Doubles:
    if not features.shape[1] or len(np.unique(outcome)) == 1:  # a classifier refuses a single class
        return np.full(len(held), outcome.mean())
    fitted = model.fit(features, outcome)
    mean: Doubles = fitted.predict_proba(held)[:, 1] if hasattr(fitted, "predict_proba") else fitted.predict(held)
    return mean
