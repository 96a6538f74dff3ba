"""SLOPE: the least variable estimate that does not contradict less biased ones."""

from __future__ import annotations

from collections.abc import Sequence
from math import sqrt

import numpy as np

from causalrec.types import Doubles

CONSTANT = sqrt(6) - 1  # of the wider interval (Tucker & Lee, 2021, Algorithm 1)
ROUNDING = 1e-12  # of an estimate: that of two which are equal but for the order of their sums


def slope(values: Sequence[float], half_widths: Sequence[float]) -> int:
    """Return the index of the estimate to take.

    Candidate i stands while `|v_i - v_j| <= w_i + (sqrt(6) - 1) w_j` for every j before it, and the last that stands
    before the first that does not is taken: a shift that both intervals cannot explain is bias. Widths that do not
    fall are made to as the authors' code does: each becomes the largest of itself and of all later ones, so that an
    estimate is not trusted more than a more biased one that is more variable. A candidate without a finite interval is
    passed over.

    Assumption: candidates are in the order of their bias, least first, the first one's is small beside its interval,
    and the intervals hold. It does not know that candidates read the same rounds, so that a bias of one or two standard
    errors is let through: of kernels over smooth rewards it took up to 3 times the error of the best one at 1.28
    standard errors, and 10 times at 1.96.

    Args:
        values: of V candidates, in the unit of the reward.
        half_widths: of each one's interval; 1.28 standard errors (as Open Bandit Pipeline: 90 % to each side).

    Returns:
        From 0; the first candidate where all are without an interval.

    Source: Su, Srinath & Krishnamurthy, ICML 2020, Algorithm 1; the constant of Tucker & Lee, 2021.

    >>> slope([1.0, 1.1, 3.0], [0.5, 0.2, 0.1])
    1
    """
    value, width = np.asarray(values, float), np.asarray(half_widths, float)
    if value.shape != width.shape or not len(value) or (width < 0).any():
        raise ValueError("SLOPE needs a value and a half-width, at least 0, of one or more candidates")
    usable = np.flatnonzero(np.isfinite(value) & np.isfinite(width))
    value, width = value[usable], np.maximum.accumulate(width[usable][::-1])[::-1]
    for i in range(1, len(usable)):
        if (np.abs(value[i] - value[:i]) > width[i] + CONSTANT * width[:i]).any():
            return int(usable[i - 1])
    return int(usable[-1]) if len(usable) else 0


def slope_by_differences(values: Sequence[float], widths: Doubles) -> int:
    """Return the index of the estimate to take, by how well differences of two of the same rounds are known.

    Candidate i stands while `|v_i - v_j| <= w_ij` for every j before it, w_ij the half-width of their difference, and
    the last that stands before the first that does not is taken. Estimates of the same rounds err alike, so that their
    difference is known far better than either, and a bias is seen that `slope` lets through.

    Assumption: candidates are in the order of their bias, least first, and the first one's is small.

    Args:
        values: of V candidates, in the unit of the reward.
        widths: float64[V,V], of differences; one that is not finite compares nothing.

    Returns:
        From 0; the first candidate where none can be compared.

    Source: the rule of Lepski (1991), of which SLOPE is a case, with the deviation of the difference in place of a sum
    of two; derived here. Measured in experiments/VALIDATION.md.

    >>> slope_by_differences([1.0, 1.1, 1.4], np.array([[0, 0.2, 0.3], [0.2, 0, 0.2], [0.3, 0.2, 0]]))
    1
    """
    value = np.asarray(values, float)
    if widths.shape != (len(value), len(value)) or not len(value) or (widths < 0).any():
        raise ValueError("SLOPE needs the value of one or more candidates, and a half-width of each two, at least 0")
    usable = [k for k in range(len(value)) if np.isfinite(value[k])]
    taken = usable[:1]
    for i in usable[1:]:
        against = [j for j in usable if j < i and np.isfinite(widths[i, j])]
        if any(abs(value[i] - value[j]) > widths[i, j] + ROUNDING * abs(value[i]) for j in against):
            break
        taken = [i] if against else taken
    return taken[0] if taken else 0
