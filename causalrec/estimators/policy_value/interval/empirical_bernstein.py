"""The empirical Bernstein interval: wide, and valid at any number of rounds."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import sqrt

import numpy as np

from causalrec.errors import RequestError
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


class BernsteinSums(AbstractIntervalSums):
    """Means, covariances and ranges of the terms of a log."""

    def __init__(self, columns: Sequence[str], num_clusters: int, term_range: float | None) -> None:
        self._stream = TermStream(columns, num_clusters, TermMoments.empty)
        self._term_range, self._clustered = term_range, num_clusters > 0

    def update(self, contributions: Mapping[str, Contributions], cluster: Ints) -> None:
        self._stream.update(contributions, cluster)

    def interval(self, column: str, level: float) -> ValueInterval:
        moments, layout = self._stream.total(), self._stream.layout
        return self._around(float(layout.estimate(column, moments.sums)), (column,), level)

    def difference(self, column: str, reference: str, level: float) -> ValueInterval:
        moments, layout = self._stream.total(), self._stream.layout
        value, other = (float(layout.estimate(name, moments.sums)) for name in (column, reference))
        return self._around(value - other, (column, reference), level)

    def _around(self, value: float, columns: tuple[str, ...], level: float) -> ValueInterval:
        check_level(level)
        moments = self._stream.total()
        slopes = [self._stream.layout.gradient(column, moments.sums) for column in columns]
        slope = slopes[0] - sum(slopes[1:], np.zeros_like(slopes[0]))
        variance, reach = moments.variance(slope), self._reach(moments, columns, slopes)

        def half_width(levels: Doubles) -> Doubles:
            surprise = np.log(4 / (1 - levels))
            width: Doubles = np.sqrt(2 * variance * surprise) + 7 * reach * surprise / (3 * (moments.count - 1))
            return width

        return symmetric_interval(value, sqrt(variance), half_width, level)

    def _reach(self, moments: TermMoments, columns: tuple[str, ...], slopes: list[Doubles]) -> float:
        seen = [moments.reach(slope) for slope in slopes]
        if self._term_range is None:
            return sum(seen)
        layout = self._stream.layout
        for column, reach in zip(columns, seen, strict=True):
            if self._clustered or column in layout.ratio:
                raise RequestError(f"{column}: term_range: a ratio has no range known beforehand; leave it out")
            if reach > self._term_range * (1 + 1e-9):
                raise RequestError(
                    f"{column}: its terms lie up to {reach:.6g} apart, beyond term_range={self._term_range}"
                )
        return self._term_range * len(columns)


@dataclass(frozen=True, kw_only=True)
class EmpiricalBernstein(AbstractValueInterval):
    """The mean of G terms, plus and minus `sqrt(2 V L / G) + 7 b L / (3 (G-1))`, L = ln(4 / delta), at level 1 - delta.

    V is the sample variance of the terms and b how far they may lie apart: of IPS w r from 0 to the largest weight
    times the largest reward. Each end fails with a chance of delta / 2, hence ln(4 / delta) where the theorem, of one
    side, has ln(2 / delta). At any number of rounds the interval covers with a chance of 1 - delta at least where
    `term_range` is known beforehand and terms are averaged.

    Without `term_range`, b is the range that was seen: no guarantee, for what was not seen may lie further off. Of
    ratios (SNIPS, any estimate of clustered rounds, whose number is random too) the terms are linearised at the
    estimate, b the sum of the ranges of their pieces: wide, right in large samples only. A difference has the terms'
    difference, b the sum of both ranges.

    Source: Maurer & Pontil (COLT 2009), theorem 4; of off-policy values Thomas, Theocharous & Ghavamzadeh (AAAI 2015).

    Attributes:
        term_range: b of every column, in the unit of the reward; None: what was seen.
    """

    term_range: float | None = None

    def __post_init__(self) -> None:
        if self.term_range is not None and not 0 < self.term_range < float("inf"):
            raise RequestError(f"interval empirical_bernstein: term_range={self.term_range}: a length above 0, or none")

    def start(self, columns: Sequence[str], num_clusters: int, seed: int) -> BernsteinSums:
        return BernsteinSums(columns, num_clusters, self.term_range)
