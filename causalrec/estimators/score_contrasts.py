"""Differences between scores of models that were trained by the same seeds and scored on the same rows."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self

import numpy as np

from causalrec.estimators.ratio import Interval, fieller_set, unite
from causalrec.types import Doubles


@dataclass(frozen=True)
class Contrast:
    """A weighted sum of scores, with its standard error and the degrees of freedom of its t distribution."""

    value: float
    se: float
    df: float

    def interval(self, level: float = 0.95) -> Interval:
        """Return its two-sided interval."""
        reach = _quantile(self.df, level) * self.se
        return self.value - reach, self.value + reach


@dataclass(frozen=True, kw_only=True)
class ScoreContrasts:
    """Scores of V models by S seeds, and how they vary with the rows that they were scored on.

    The variance of a contrast is that of the test rows plus that of the seeds, sd^2 / S; its degrees of freedom are
    Satterthwaite's (Biometrics 1946), at most `row_df`: the rule by which the rows of a table are compared.

    Attributes:
        values: float64[V,S], one column a seed that all models share; S at least 2.
        row_covariances: float64[M,V,V], estimates of the covariance of the models' means over seeds along the test
            rows; of a contrast, the one that gives most counts.
        row_df: degrees of freedom of these estimates.
    """

    values: Doubles
    row_covariances: Doubles
    row_df: float

    @classmethod
    def from_groups(cls, values: Doubles, groups: Doubles) -> Self:
        """Take means over seeds without each of G groups along users, items and rows, float64[V,3,G].

        The covariance is `V_user + V_item - V_row`, at least each of the first two (`estimators/jackknife.py`).
        """
        count = groups.shape[-1]
        centred = groups - groups.mean(-1, keepdims=True)
        user, item, row = (count - 1) / count * np.einsum("vag,wag->avw", centred, centred)
        return cls(values=values, row_covariances=np.stack([user + item - row, user, item]), row_df=count - 1)

    @classmethod
    def from_replicates(cls, values: Doubles, replicates: Doubles) -> Self:
        """Take means over seeds on resamples of the test rows, the same for every model, float64[V,R].

        Resamples on which a score is not defined are left out.
        """
        defined = replicates[:, np.isfinite(replicates).all(0)]
        return cls(values=values, row_covariances=np.cov(defined)[None], row_df=defined.shape[1] - 1)

    def contrast(self, weights: Sequence[float]) -> Contrast:
        """Return `sum(weights * scores)`, weights by model."""
        w, seeds = np.asarray(weights, np.float64), self.values.shape[1]
        by_seed = w @ self.values
        components = [(float(max(w @ rows @ w for rows in self.row_covariances)), self.row_df)]
        components.append((float(np.var(by_seed, ddof=1)) / seeds, seeds - 1))
        variance = sum(component for component, _ in components)
        spread = sum(component * component / free for component, free in components)
        df = min(self.row_df, variance * variance / spread) if spread > 0 else self.row_df
        return Contrast(float(by_seed.mean()), math.sqrt(variance), df)

    def ratio(self, numerator: Sequence[float], denominator: Sequence[float], level: float = 0.95) -> list[Interval]:
        """Return the ratios of two contrasts that the scores do not contradict, as disjoint intervals.

        A ratio r is among them where the interval of `numerator - r * denominator`, by the rule above with the fewer
        degrees of freedom of both, holds 0: Fieller's set under each estimate of the covariance, united.
        """
        w = np.asarray([numerator, denominator], np.float64)
        first, second = self.contrast(numerator), self.contrast(denominator)
        quantile = _quantile(min(first.df, second.df), level)
        of_seeds = np.cov(self.values) / self.values.shape[1]
        covariances = [w @ (of_rows + of_seeds) @ w.T for of_rows in self.row_covariances]
        sets = [fieller_set(first.value, second.value, covariance, quantile) for covariance in covariances]
        return list(unite([interval for intervals in sets for interval in intervals]))


def _quantile(df: float, level: float) -> float:
    from scipy.special import stdtrit

    return float(stdtrit(df, (1 + level) / 2))
