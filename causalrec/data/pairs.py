"""Finding pairs among the rows of a log."""

from __future__ import annotations

import numpy as np

from causalrec.types import Ints

DENSE = 1 << 24  # pairs; a table of them takes four bytes each


class PairFinder:
    """Finds pairs among codes: int64[...] -> row int64[...], -1 where there is none (the first of repeated ones).

    A table where the `num_pairs` possible codes are few, else a binary search.
    """

    def __init__(self, codes: Ints, num_pairs: int) -> None:
        self._table = self._order = self._sorted = None
        if num_pairs <= DENSE:
            self._table = np.full(num_pairs, -1, np.int32)
            self._table[codes[::-1]] = np.arange(len(codes), dtype=np.int32)[::-1]  # of repeats, the first row
        else:
            self._order = np.argsort(codes, kind="stable")
            self._sorted = codes[self._order]

    def __call__(self, codes: Ints) -> Ints:
        if self._table is not None:
            return self._table[codes].astype(np.int64)
        assert self._order is not None and self._sorted is not None
        place = np.minimum(np.searchsorted(self._sorted, codes), len(self._sorted) - 1)
        return np.where(self._sorted[place] == codes, self._order[place], -1)
