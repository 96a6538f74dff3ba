"""The normal interval, by the delta method."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from scipy.stats import t

from causalrec.estimators.policy_value.contributions import Contributions
from causalrec.estimators.policy_value.interval.base import (
    AbstractIntervalSums,
    AbstractValueInterval,
    ValueInterval,
    check_level,
)
from causalrec.estimators.policy_value.interval.moments import TermMoments, symmetric_interval
from causalrec.estimators.policy_value.interval.term_stream import TermStream
from causalrec.types import Doubles, Ints


class NormalSums(AbstractIntervalSums):
    """Means and covariances of the terms of a log."""

    def __init__(self, columns: Sequence[str], num_clusters: int) -> None:
        self._stream = TermStream(columns, num_clusters, TermMoments.empty)

    def update(self, contributions: Mapping[str, Contributions], cluster: Ints) -> None:
        self._stream.update(contributions, cluster)

    def interval(self, column: str, level: float) -> ValueInterval:
        moments, layout = self._stream.total(), self._stream.layout
        return _interval(
            moments, float(layout.estimate(column, moments.sums)), layout.gradient(column, moments.sums), level
        )

    def difference(self, column: str, reference: str, level: float) -> ValueInterval:
        moments, layout = self._stream.total(), self._stream.layout
        value, other = (float(layout.estimate(name, moments.sums)) for name in (column, reference))
        slope = layout.gradient(column, moments.sums) - layout.gradient(reference, moments.sums)
        return _interval(moments, value - other, slope, level)


def _interval(moments: TermMoments, value: float, slope: Doubles, level: float) -> ValueInterval:
    check_level(level)
    error = moments.variance(slope) ** 0.5
    law = t(moments.count - 1)

    def half_width(levels: Doubles) -> Doubles:
        width: Doubles = error * law.ppf((1 + levels) / 2)
        return width

    return symmetric_interval(value, error, half_width, level)


@dataclass(frozen=True, kw_only=True)
class NormalInterval(AbstractValueInterval):
    r"""The estimate plus and minus its standard error times a quantile of Student's t with G - 1 degrees of freedom.

    An estimate is a smooth function f of sums S of the terms of G independent rounds, or clusters, `s_g`:
    `se² = G / (G-1) sum_g (f'(S) (s_g - S / G))²`: of a mean the usual one, of a ratio the delta method, of clusters
    the cluster-robust one; of a difference f is the difference, so that it is paired.

    Assumption: rounds (or clusters) are independent, and so many that sums are normal: heavy weights need more.

    Source: Owen, Monte Carlo theory, methods and examples (2013), chapter 9, of ratios of weighted sums; Liang & Zeger
    (Biometrika 1986), of clusters.

    >>> import numpy as np
    >>> sums = NormalInterval().start(["ips"], num_clusters=0, seed=0)
    >>> terms = Contributions(base=np.array([1.0, 3.0, 5.0]), weight=np.ones(3))
    >>> sums.update({"ips": terms}, cluster=np.zeros(3, np.int64))
    >>> interval = sums.interval("ips", level=0.95)
    >>> interval.value, round(interval.standard_error, 3)
    (3.0, 1.155)
    """

    def start(self, columns: Sequence[str], num_clusters: int, seed: int) -> NormalSums:
        return NormalSums(columns, num_clusters)
