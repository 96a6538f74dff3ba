"""Columns of (user, item) pairs, and finding pairs among the rows of a log."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from causalrec.types import Floats, Ints

PairColumn = Callable[[Ints, Ints], Floats]  # (user, item) -> float32 of the broadcast shape

DENSE = 1 << 24  # pairs; a table of them takes four bytes each


def scale_propensity(propensity: PairColumn | None, share: float) -> PairColumn | None:
    """Return the propensity of any pair within a part that holds this share of the rows."""
    return None if propensity is None else lambda user, item: propensity(user, item) * np.float32(share)


class PairFinder:
    """Finds pairs among codes: int64[...] -> row int64[...], -1 where there is none (the first of repeated ones).

    A table where the `num_codes` possible codes are few, else a binary search.
    """

    def __init__(self, codes: Ints, num_codes: int) -> None:
        self._table = self._order = self._sorted = None
        if num_codes <= DENSE:
            self._table = np.full(num_codes, -1, np.int32)
            self._table[codes[::-1]] = np.arange(len(codes), dtype=np.int32)[::-1]  # of repeats, the first row
        else:
            self._order = np.argsort(codes, kind="stable")
            self._sorted = codes[self._order]

    def __call__(self, codes: Ints) -> Ints:
        if self._table is not None:
            return self._table[codes].astype(np.int64)
        assert self._order is not None and self._sorted is not None
        position = np.minimum(_search(self._sorted, codes), len(self._sorted) - 1)
        return np.where(self._sorted[position] == codes, self._order[position], -1)


def _search(ascending: Ints, codes: Ints) -> Ints:
    """Return where codes stand: searched in their order, for memory is then read in its own, several times as fast."""
    flat = codes.ravel()
    order = np.argsort(flat)
    position = np.empty(len(flat), np.int64)
    position[order] = np.searchsorted(ascending, flat[order])
    return position.reshape(np.shape(codes))


@dataclass(frozen=True)
class PairFeature:
    """A numeric column of (user, item) pairs as a scaled product of factors: `scale * (user_part . item_part) + shift`.

    It is never a dense U x I array.

    Attributes:
        user_part: Factors of the users, float32[U,D].
        item_part: Factors of the items, float32[I,D].
        scale: Factor of the product.
        shift: Added to it.
    """

    user_part: Floats
    item_part: Floats
    scale: float = 1.0
    shift: float = 0.0

    def __call__(self, user: Ints, item: Ints) -> Floats:
        product = np.einsum("...d,...d->...", self.user_part[user], self.item_part[item])
        return np.asarray(product * self.scale + self.shift, np.float32)


@dataclass(frozen=True)
class PairTable:
    """A sparse numeric column of pairs: `values[M]` float32 at sorted `codes[M]` = user * num_items + item, else 0."""

    codes: Ints
    values: Floats
    num_items: int

    def __call__(self, user: Ints, item: Ints) -> Floats:
        if not len(self.codes):
            return np.zeros(np.broadcast(user, item).shape, np.float32)
        wanted = np.asarray(user) * self.num_items + np.asarray(item)
        position = np.minimum(np.searchsorted(self.codes, wanted), len(self.codes) - 1)
        return np.where(self.codes[position] == wanted, self.values[position], np.float32(0))
