"""The items of each user as lists: what of a user x item table is not empty."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from causalrec.types import Ints


@dataclass(frozen=True, eq=False)
class PairLists:
    """Distinct pairs of users and items, by user, then item.

    Attributes:
        start: int64[U+1], where the items of each user start, and where those of the last end.
        item: int64[P], the items.
    """

    start: Ints
    item: Ints

    @staticmethod
    def of(codes: Ints, num_users: int, num_items: int) -> PairLists:
        """Return the pairs of `codes`, int64[N], user * I + item each, repeated ones once."""
        distinct = np.unique(codes)
        return PairLists(np.searchsorted(distinct, np.arange(num_users + 1) * num_items), distinct % num_items)

    def of_users(self, users: Ints) -> tuple[Ints, Ints]:
        """Return the pairs of some users as positions in `users` and items, int64 each.

        >>> [pairs.tolist() for pairs in PairLists.of(np.array([0, 2, 7]), 3, 3).of_users(np.array([2, 0]))]
        [[0, 1, 1], [1, 0, 2]]
        """
        count = self.counts[users]
        position = np.repeat(np.arange(len(users)), count)
        before = np.cumsum(count) - count
        return position, self.item[np.arange(len(position)) + np.repeat(self.start[users] - before, count)]

    @property
    def counts(self) -> Ints:
        """The number of items of each user, int64[U]."""
        return np.diff(self.start)

    def where(self, keep: np.ndarray[tuple[int], np.dtype[np.bool_]]) -> PairLists:
        """Return the pairs whose item is in a mask, bool[I]."""
        inside = keep[self.item]
        return PairLists(np.concatenate([[0], np.cumsum(inside)])[self.start], self.item[inside])
