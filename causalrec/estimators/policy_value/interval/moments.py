"""Means and scatter of terms in one pass, and intervals that have a formula in them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from causalrec.estimators.policy_value.interval.base import ValueInterval
from causalrec.types import Doubles

QUANTILES = 1000  # of an interval with a formula, which stand where another has replicates


@dataclass(frozen=True, kw_only=True)
class TermMoments:
    """Moments of G independent rows of C terms: rounds, or sums of clusters.

    Attributes:
        count: G.
        sums: float64[C].
        scatter: float64[C,C], sums of products of deviations from the means.
        low: float64[C], least term.
        high: float64[C], greatest term.
    """

    count: int
    sums: Doubles
    scatter: Doubles
    low: Doubles
    high: Doubles

    @staticmethod
    def empty(terms: int) -> TermMoments:
        """Return the moments of no rows of C terms."""
        edge = np.full(terms, np.inf)
        return TermMoments(count=0, sums=np.zeros(terms), scatter=np.zeros((terms, terms)), low=edge, high=-edge)

    def add(self, terms: Doubles, first: int) -> TermMoments:
        """Return the moments with rows `terms[C,N]` added (Chan, Golub & LeVeque, Am. Stat. 1983, eq. 1.5)."""
        rows, sums = terms.shape[1], terms.sum(1)
        around = terms - (sums / rows)[:, None]
        apart = sums / rows - (self.sums / self.count if self.count else 0)
        weight = self.count * rows / (self.count + rows)
        return TermMoments(
            count=self.count + rows,
            sums=self.sums + sums,
            scatter=self.scatter + around @ around.T + weight * np.outer(apart, apart),
            low=np.minimum(self.low, terms.min(1)),
            high=np.maximum(self.high, terms.max(1)),
        )

    def variance(self, slope: Doubles) -> float:
        """Return `G / (G-1) slope' scatter slope`: the variance of an estimate with that derivative by the sums."""
        return float(self.count / (self.count - 1) * np.maximum(slope @ self.scatter @ slope, 0))

    def reach(self, slope: Doubles) -> float:
        """Return how far the linearised terms of an estimate, G slope' terms, may lie from each other at most."""
        return float(self.count * np.abs(slope) @ (self.high - self.low))


def symmetric_interval(
    value: float, standard_error: float, half_width: Callable[[Doubles], Doubles], level: float
) -> ValueInterval:
    """Return the interval `value ± half_width(level)` with the quantiles that such intervals of all levels imply.

    Args:
        value: the estimate.
        standard_error: of it.
        half_width: levels -> half the width of the interval at each, rising.
        level: of the interval.

    >>> interval = symmetric_interval(1.0, 0.2, lambda levels: levels / 2, level=0.9)
    >>> interval.low, interval.high, interval.replicates[[0, -1]].tolist()
    (0.55, 1.45, [0.5005, 1.4995])
    """
    shares = 2 * (np.arange(QUANTILES) + 0.5) / QUANTILES - 1
    half = float(half_width(np.array([level]))[0])
    return ValueInterval(
        value=value,
        low=value - half,
        high=value + half,
        standard_error=standard_error,
        replicates=value + np.sign(shares) * half_width(np.abs(shares)),
    )
