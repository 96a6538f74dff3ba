"""Areas below curves of uplift for many resamples of many rows: one pass each, compiled.

What `uplift_curve.area_of` does by tensors, which a resample of 64,000 rows leaves waiting for memory.
"""

from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np

from causalrec.types import Bools, Doubles, Ints
from causalrec.working_folder import check_working_folder

TINY = 1e-200


@cache
def kernel() -> Any:
    """Compile the pass over rows, or take it from numba's cache; importing numba takes a second, so not before.

    It takes `weights[R,U]`, of which `column[N]` is each row's, how many rows each `stands_for[N]`, what is summed
    `columns[N,5]`, its `cell[N]`, and whether a row is the `last[N]` of its step; it gives areas `[R]` and sums over
    all rows `[R,10]`.
    """
    check_working_folder()  # numba reads its settings there
    from numba import njit, prange

    @njit(parallel=True, cache=True)
    def passes(
        weights: Doubles, column: Ints, stands_for: Doubles, columns: Doubles, cell: Ints, last: Bools, by_arm: bool
    ) -> tuple[Doubles, Doubles]:
        under, sums = np.zeros(len(weights)), np.zeros((len(weights), 10))
        for r in prange(len(weights)):
            rows = width = treated = treated_outcome = control = control_outcome = height = area = probability = 0.0
            for n in range(len(column)):
                w = (
                    weights[r, column[n]] * stands_for[n]
                )  # often 0: to skip such a row costs more, as no processor guesses which
                width += w
                probability += w * columns[n, 4]
                sums[r, 6 + cell[n]] += w
                treated += w * columns[n, 0]
                treated_outcome += w * columns[n, 1]
                control += w * columns[n, 2]
                control_outcome += w * columns[n, 3]
                if not last[n]:
                    continue
                rows += width
                before = height
                if by_arm:
                    difference = treated_outcome / max(treated, TINY) - control_outcome / max(control, TINY)
                    height = difference * rows
                else:
                    height = treated_outcome - control_outcome * (treated / max(control, TINY))
                area += width * (before + height) / 2
                width = 0.0
            under[r] = area - rows * height / 2
            sums[r, 0], sums[r, 1], sums[r, 2] = rows, treated, treated_outcome
            sums[r, 3], sums[r, 4], sums[r, 5] = control, control_outcome, probability
        return under, sums

    return passes
