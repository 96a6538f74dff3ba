"""What joins and steps touched rows, each in one compiled pass: a dozen tensor operations wait for memory at each."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache

import numpy as np

from causalrec.types import Doubles, Ints, Vectors
from causalrec.working_folder import check_working_folder


@cache
def step_kernel() -> Callable[..., None]:
    """Compile the pass, or take it from numba's cache; importing numba takes a second, so not before.

    It steps `rows[M]` of `table[N,D]` by `gradient[M,D]`, its moments `mean[N,D]` and `square[N,D]`, how often each row
    was stepped, `count[N]`, and the decay that it has, `row_log_decay[N]`, up to `log_decay`.
    """
    check_working_folder()  # numba reads its settings there
    from numba import njit

    @njit(cache=True, error_model="numpy", nogil=True)
    def step(
        table: Vectors,
        mean: Vectors,
        square: Vectors,
        count: Ints,
        row_log_decay: Doubles,
        rows: Ints,
        gradient: Vectors,
        numbers: Doubles,
    ) -> None:
        rate, beta1, beta2, eps, log_decay = numbers
        real, width = table.dtype.type, table.shape[1]
        b1, b2, c1, c2, floor = real(beta1), real(beta2), real(1 - beta1), real(1 - beta2), real(eps)
        for k in range(len(rows)):
            row = rows[k]
            count[row] += 1
            move = real(rate / (1 - beta1 ** count[row]))
            spread = real(1 / np.sqrt(1 - beta2 ** count[row]))
            left = real(np.exp(log_decay - row_log_decay[row]))
            row_log_decay[row] = log_decay
            for d in range(width):
                g = gradient[k, d]
                m, v = b1 * mean[row, d] + c1 * g, b2 * square[row, d] + c2 * g * g
                mean[row, d], square[row, d] = m, v
                table[row, d] = left * table[row, d] - move * m / (np.sqrt(v) * spread + floor)

    compiled: Callable[..., None] = step
    return compiled


@cache
def join_kernel() -> Callable[..., int]:
    """Compile the pass, or take it from numba's cache.

    It adds `gradients[K,D]` of `ids[K]` to `sums[M,D]` of distinct `rows[M]`, `count` of which are there already, and
    gives how many there are then. `slots[N]` says where a row is among them, -1 where it is not.
    """
    check_working_folder()
    from numba import njit

    @njit(cache=True, error_model="numpy", nogil=True)
    def join(ids: Ints, gradients: Vectors, slots: Ints, rows: Ints, sums: Vectors, count: int) -> int:
        for k in range(len(ids)):
            slot = slots[ids[k]]
            if slot < 0:
                slots[ids[k]], rows[count] = count, ids[k]
                for d in range(gradients.shape[1]):
                    sums[count, d] = gradients[k, d]
                count += 1
            else:
                for d in range(gradients.shape[1]):
                    sums[slot, d] += gradients[k, d]
        return count

    compiled: Callable[..., int] = join
    return compiled
