"""SLOPE: the least variable estimate that does not contradict less biased ones."""

from __future__ import annotations

from collections.abc import Sequence
from math import sqrt

import numpy as np

CONSTANT = sqrt(6) - 1  # of the wider interval (Tucker & Lee, 2021, Algorithm 1)


def slope(values: Sequence[float], half_widths: Sequence[float]) -> int:
    """Return the index of the estimate to take.

    Candidate i stands while `|v_i - v_j| <= w_i + (sqrt(6) - 1) w_j` for every j before it, and the last that stands
    before the first that does not is taken: a shift that both intervals cannot explain is bias. Widths that do not
    fall are made to as the authors' code does: each becomes the largest of its own and all later ones, so that an
    estimate that a more biased one exceeds in width is not trusted more than that one. A candidate without an interval
    (not finite) stands for nothing: it is passed over.

    Assumption: candidates are in the order of their bias, least first, the first one's is small beside its interval,
    and the intervals hold.

    Args:
        values: of V candidates, in the unit of the reward.
        half_widths: half the width of each one's interval; of a 95 % interval 1.96 standard errors.

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
