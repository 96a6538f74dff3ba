"""A ratio of two estimates that err together, and the set of ratios that the data do not contradict."""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import pairwise

from causalrec.types import Doubles

Interval = tuple[float, float]
WHOLE_LINE: tuple[Interval, ...] = ((-math.inf, math.inf),)


def fieller_set(numerator: float, denominator: float, covariance: Doubles, quantile: float) -> tuple[Interval, ...]:
    """Return the ratios r at which `numerator - r * denominator` lies within `quantile` of its standard errors of 0.

    With N, D and their covariance V they solve `N^2 - q^2 V_NN - 2 r (ND - q^2 V_ND) + r^2 (D^2 - q^2 V_DD) <= 0`: an
    interval where D is told apart from 0 (the last factor is above 0); else what lies outside of one, as two rays, or
    the whole line. Source: Fieller (JRSS B 1954), section 3.

    Args:
        numerator: N.
        denominator: D.
        covariance: float64[2,2] of N and D; of an estimate below 0 (a difference of estimates) the set may be empty.
        quantile: q, of the distribution of a standardised difference.

    >>> import numpy as np
    >>> ((low, high),) = fieller_set(1.0, 2.0, np.diag([0.01, 0.01]), 2.0)
    >>> round(low, 3), round(high, 3)
    (0.393, 0.618)
    >>> fieller_set(1.0, 0.0, np.diag([0.01, 0.01]), 6.0)  # D may be 0: ratios near 0 alone are contradicted
    ((-inf, -1.3333333333333333), (1.3333333333333333, inf))
    >>> fieller_set(0.1, 0.0, np.diag([0.01, 0.04]), 2.0)
    ((-inf, inf),)
    """
    square = quantile * quantile
    a = denominator * denominator - square * float(covariance[1, 1])
    b = numerator * denominator - square * float(covariance[0, 1])
    c = numerator * numerator - square * float(covariance[0, 0])
    if a == 0:
        return _half_line(b, c)
    discriminant = b * b - a * c
    if discriminant < 0:
        return () if a > 0 else WHOLE_LINE
    root = math.sqrt(discriminant)
    low, high = sorted(((b - root) / a, (b + root) / a))
    return ((low, high),) if a > 0 else ((-math.inf, low), (high, math.inf))


def _half_line(b: float, c: float) -> tuple[Interval, ...]:
    """Return the r at which `c - 2 r b <= 0`."""
    if b == 0:
        return WHOLE_LINE if c <= 0 else ()
    return ((c / (2 * b), math.inf),) if b > 0 else ((-math.inf, c / (2 * b)),)


def unite(intervals: Sequence[Interval]) -> tuple[Interval, ...]:
    """Return the union of intervals as disjoint ones, in order.

    >>> unite([(2.0, 3.0), (0.0, 1.0), (0.5, 1.5)])
    ((0.0, 1.5), (2.0, 3.0))
    """
    united: list[Interval] = []
    for low, high in sorted(intervals):
        if united and low <= united[-1][1]:
            united[-1] = (united[-1][0], max(high, united[-1][1]))
        else:
            united.append((low, high))
    assert all(first[1] < second[0] for first, second in pairwise(united))
    return tuple(united)
