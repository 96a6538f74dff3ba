"""How often rounds appear in resamples: Poisson(1) draws that depend on the round's number alone, not on its block.

A resample of n rows of unknown n: each row appears W times, W ~ Poisson(1) (Chamandy et al., Estimating Uncertainty for
Massive Data Streams, 2012; Hanley & MacGibbon, Comput. Methods Programs Biomed. 2006).
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache

import numpy as np
import numpy.typing as npt

from causalrec.types import Doubles, Floats
from causalrec.working_folder import check_working_folder

Words = npt.NDArray[np.uint32]
Halves = npt.NDArray[np.uint16]
Times = npt.NDArray[np.uint8]
CHUNK = 1024  # rows that share a key of random numbers; partial sums of that many are float32
LAW = (24109, 24110, 12055, 4017, 1005, 201, 34, 4, 1)  # of 2^16 words, how many give a row 0, 1, ... appearances
"""Poisson(1) to 2^-15 in each probability; mean and variance are exactly 1, so that no standard error is off."""

_BOUNDS = np.cumsum(LAW)[:-1].astype(np.uint16)  # a word of 16 bits appears as often as there are bounds below or at it


@cache
def resample_kernel() -> Callable[..., None]:
    """Compile the pass, or take it from numba's cache; importing numba takes a second, so not before.

    It adds to `sums[R,C]`, float64, what the rows of `terms[C,N]`, float32, weigh in each of R resamples: N rows, the
    first of which is number `CHUNK * first_chunk` of all. The seed is a `numpy.uint64`.
    """
    check_working_folder()  # numba reads its settings there
    from numba import njit, prange

    b0, b1, b2, b3, b4, b5, b6, b7 = _BOUNDS

    @njit(cache=True)
    def scramble(key: np.uint64) -> np.uint64:  # the finaliser of splitmix64 (Steele et al., OOPSLA 2014)
        key = np.uint64(key) + np.uint64(0x9E3779B97F4A7C15)
        key = (key ^ (key >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        key = (key ^ (key >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
        return key ^ (key >> np.uint64(31))

    @njit(cache=True)
    def fill(words: Words, key: np.uint64) -> None:  # numbers them by a bijection of 32 bits (Ettinger's triple32)
        before, between = np.uint32(key), np.uint32(key >> np.uint64(32))
        for i in range(len(words)):
            word = np.uint32(np.uint32(i) * np.uint32(0x9E3779B9)) ^ before
            word = np.uint32((word ^ (word >> np.uint32(17))) * np.uint32(0xED5AD4BB))
            word = np.uint32(word ^ between)
            word = np.uint32((word ^ (word >> np.uint32(11))) * np.uint32(0xAC4C1B51))
            word = np.uint32((word ^ (word >> np.uint32(15))) * np.uint32(0x31848BAB))
            words[i] = np.uint32(word ^ (word >> np.uint32(14)))

    @njit(cache=True)
    def count(halves: Halves, times: Times) -> None:
        for i in range(len(halves)):
            h = halves[i]
            few = np.uint8(h >= b0) + np.uint8(h >= b1) + np.uint8(h >= b2) + np.uint8(h >= b3)
            times[i] = few + np.uint8(h >= b4) + np.uint8(h >= b5) + np.uint8(h >= b6) + np.uint8(h >= b7)

    @njit(parallel=True, cache=True, nogil=True, error_model="numpy", fastmath={"reassoc", "contract", "nsz"})
    def resample(terms: Floats, first_chunk: int, seed: np.uint64, sums: Doubles) -> None:
        columns, rows = terms.shape
        for r in prange(len(sums)):
            words, times, weights = (
                np.empty(CHUNK // 2, np.uint32),
                np.empty(CHUNK, np.uint8),
                np.empty(CHUNK, np.float32),
            )
            for start in range(0, rows, CHUNK):
                chunk = first_chunk + start // CHUNK
                fill(words, scramble(scramble(scramble(seed) ^ np.uint64(chunk)) ^ np.uint64(r)))
                count(words.view(np.uint16), times)
                weights[:] = times
                for c in range(columns):
                    column, total = terms[c, start : start + CHUNK], np.float32(0)
                    for i in range(len(column)):
                        total += weights[i] * column[i]
                    sums[r, c] += total

    compiled: Callable[..., None] = resample
    return compiled
