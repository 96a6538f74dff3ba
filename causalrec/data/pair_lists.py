"""The items of each user as lists: what of a user x item table is not empty."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from causalrec.types import Bools, Ints


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
        distinct = sort_distinct(codes)
        return PairLists(np.searchsorted(distinct, np.arange(num_users + 1) * num_items), distinct % num_items)

    def of_users(self, users: Ints) -> tuple[Ints, Ints]:
        """Return the pairs of some users as positions in `users` and items, int64 each.

        >>> [pairs.tolist() for pairs in PairLists.of(np.array([0, 2, 7]), 3, 3).of_users(np.array([2, 0]))]
        [[0, 1, 1], [1, 0, 2]]
        """
        position, index = self.index_of_users(users)
        return position, self.item[index]

    def index_of_users(self, users: Ints) -> tuple[Ints, Ints]:
        """Return the pairs of some users as positions in `users` and places in `item`, int64 each."""
        count = self.counts[users]
        position = np.repeat(np.arange(len(users)), count)
        before = np.cumsum(count) - count
        return position, np.arange(len(position)) + np.repeat(self.start[users] - before, count)

    @property
    def counts(self) -> Ints:
        """The number of items of each user, int64[U]."""
        return np.diff(self.start)

    def where(self, keep: Bools) -> PairLists:
        """Return the pairs whose item is in a mask, bool[I]."""
        inside = keep[self.item]
        return PairLists(np.concatenate([[0], np.cumsum(inside)])[self.start], self.item[inside])


def sort_distinct(codes: Ints) -> Ints:
    """Return the distinct codes, rising: `np.unique` of NumPy 2.3 goes by a hash, which takes twenty times as long.

    >>> sort_distinct(np.array([3, 1, 3])).tolist()
    [1, 3]
    """
    ordered = np.sort(codes)
    is_first = np.ones(len(ordered), bool)
    is_first[1:] = ordered[1:] != ordered[:-1]
    return ordered[is_first]


def is_among(codes: Ints, ordered: Ints) -> Bools:
    """Return which codes are among rising ones.

    >>> is_among(np.array([3, 1]), np.array([1, 2])).tolist()
    [False, True]
    """
    if not len(ordered):
        return np.zeros(codes.shape, bool)
    position = np.minimum(np.searchsorted(ordered, codes), len(ordered) - 1)
    return np.asarray(ordered[position] == codes)
