"""A learner from a table: the difference of means, for treatments drawn at random."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from causalrec.estimators.effect.average_effect import AverageEffect, AverageRequest, normal_average
from causalrec.estimators.effect.base import AbstractFittedEffect, LearnerData
from causalrec.learners.table import AbstractTableLearner
from causalrec.types import Doubles


@dataclass(frozen=True)
class FittedDifference(AbstractFittedEffect):
    """One effect for all."""

    value: Doubles
    standard_error: Doubles

    def effects(self, modifiers: Doubles, controls: Doubles) -> Doubles:
        return np.tile(self.value, (len(modifiers), 1))

    def interval(self, modifiers: Doubles, controls: Doubles, level: float) -> None:
        return None

    def average(self, request: AverageRequest) -> AverageEffect:
        return normal_average(self.value, self.standard_error, request.level)


@dataclass(frozen=True, kw_only=True)
class DifferenceInMeans(AbstractTableLearner):
    """`mean(Y | a) - mean(Y | 0)`."""

    def fit_rows(self, rows: LearnerData, seed: int) -> AbstractFittedEffect:
        groups = [rows.outcome[rows.treatment == arm] for arm in range(rows.arms + 1)]
        means = np.array([group.mean() for group in groups])
        variances = np.array([group.var(ddof=1) / len(group) for group in groups])
        return FittedDifference(means[1:] - means[0], np.sqrt(variances[1:] + variances[0]))
