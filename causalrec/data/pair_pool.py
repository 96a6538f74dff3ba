"""The pairs that a log stands for, where they are not those of all users and items."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from causalrec.types import Bools, Ints


@dataclass(frozen=True)
class PairPool:
    """Users int64[U'] and items int64[I'], each in increasing order, whose U' I' pairs a log stands for.

    >>> import numpy as np
    >>> PairPool(np.array([0, 2]), np.array([1, 3])).codes(np.arange(4), num_items=4).tolist()
    [1, 3, 9, 11]
    """

    users: Ints
    items: Ints

    @property
    def num_pairs(self) -> int:
        """Number of pairs."""
        return len(self.users) * len(self.items)

    def codes(self, index: Ints, num_items: int) -> Ints:
        """Return the codes `user * num_items + item` of pairs by their number, row-major."""
        return self.users[index // len(self.items)] * num_items + self.items[index % len(self.items)]

    def holds(self, user: Ints, item: Ints) -> Bools:
        """Return which pairs are among them, bool of the ids' shape."""
        return np.isin(user, self.users) & np.isin(item, self.items)
