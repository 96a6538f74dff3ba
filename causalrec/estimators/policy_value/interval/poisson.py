"""How often rounds appear in resamples: Poisson(1) draws that depend on the round's number alone, not on its block.

A resample of n rows of unknown n: each row appears W times, W ~ Poisson(1) (Chamandy et al., Estimating Uncertainty for
Massive Data Streams, 2012; Hanley & MacGibbon, Comput. Methods Programs Biomed. 2006).
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache

import numpy as np

from causalrec.types import Doubles, Floats
from causalrec.working_folder import check_working_folder

CHUNK = 1024  # rows that share a key of random numbers; partial sums of that many are float32
LAW = (24109, 24110, 12055, 4017, 1005, 201, 34, 4, 1)  # of 2^16 words, how many give a row 0, 1, ... appearances
"""Poisson(1) to 2^-15 in each probability; mean and variance are exactly 1, so that no standard error is off."""

_BOUNDS = np.cumsum(LAW)[:-1].astype(np.int32)  # a word of 16 bits appears as often as there are bounds below or at it


@cache
def resample_kernel() -> Callable[..., None]:
    """Compile the pass, or take it from numba's cache; importing numba takes a second, so not before.

    It adds to `sums[R,C]`, float64, what the rows of `terms[C,N]`, float32, weigh in each of R resamples: N rows, the
    first of which is number `CHUNK * first_chunk` of all. The seed is a `numpy.uint64`.
    """
    check_working_folder()  # numba reads its settings there
    from numba import njit, prange

    b0, b1, b2, b3, b4, b5, b6, b7 = (np.int32(bound) for bound in _BOUNDS)
    half = CHUNK // 2

    @njit(cache=True)
    def scramble(key: np.uint64) -> np.uint64:  # the finaliser of splitmix64 (Steele et al., OOPSLA 2014)
        key = np.uint64(key) + np.uint64(0x9E3779B97F4A7C15)
        key = (key ^ (key >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        key = (key ^ (key >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
        return key ^ (key >> np.uint64(31))

    @njit(cache=True)
    def appearances(word: np.int32) -> np.float32:
        few = np.int32(word >= b0) + np.int32(word >= b1) + np.int32(word >= b2) + np.int32(word >= b3)
        many = np.int32(word >= b4) + np.int32(word >= b5) + np.int32(word >= b6) + np.int32(word >= b7)
        return np.float32(few + many)

    @njit(parallel=True, cache=True, nogil=True, error_model="numpy", fastmath={"reassoc", "contract", "nsz"})
    def resample(terms: Floats, first_chunk: int, seed: np.uint64, sums: Doubles) -> None:
        columns, rows = terms.shape
        for r in prange(len(sums)):
            weights = np.empty(CHUNK, np.float32)
            first, second = weights[:half], weights[half:]  # numba asks of a computed index whether it is negative
            for start in range(0, rows, CHUNK):
                chunk = first_chunk + start // CHUNK
                key = scramble(scramble(scramble(seed) ^ np.uint64(chunk)) ^ np.uint64(r))
                before, between = np.uint32(key), np.uint32(key >> np.uint64(32))
                for i in range(half):  # a bijection of 32 bits (Ettinger's triple32), keyed twice
                    word = np.uint32(np.uint32(i) * np.uint32(0x9E3779B9)) ^ before
                    word = np.uint32((word ^ (word >> np.uint32(17))) * np.uint32(0xED5AD4BB))
                    word = np.uint32(word ^ between)
                    word = np.uint32((word ^ (word >> np.uint32(11))) * np.uint32(0xAC4C1B51))
                    word = np.uint32((word ^ (word >> np.uint32(15))) * np.uint32(0x31848BAB))
                    word = np.uint32(word ^ (word >> np.uint32(14)))
                    first[i] = appearances(np.int32(word & np.uint32(0xFFFF)))
                    second[i] = appearances(np.int32(word >> np.uint32(16)))
                for c in range(columns):
                    column, total = terms[c, start : start + CHUNK], np.float32(0)
                    for i in range(len(column)):
                        total += weights[i] * column[i]
                    sums[r, c] += total

    compiled: Callable[..., None] = resample
    return compiled
