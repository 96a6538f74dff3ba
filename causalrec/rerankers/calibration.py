"""Lists whose items are spread over levels as those of their users are."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from causalrec.rerankers.base import Rerank
from causalrec.rerankers.greedy import Aim, greedy_rerank
from causalrec.rerankers.levels import ItemLevels
from causalrec.types import Floats, Ints

Divergence = Callable[[Floats, Floats], Floats]  # of shares of a user and shares of a list, both [..,L] -> [..]


def calibrate(weight: float, levels: ItemLevels, divergence: Divergence) -> Rerank:
    """Return what keeps the divergence of a list's shares from its user's small.

    Args:
        weight: of that.
        levels: of items, and of what users met.
        divergence: of two vectors of shares.
    """

    def make_aim(users: Ints, items: Ints) -> Aim:
        return Likeness(levels.user_shares(users), levels.share[items], divergence)

    return greedy_rerank(weight, make_aim, 4 * levels.share.shape[1])


class Likeness:
    """Minus the divergence of a list with one candidate more; items without a level change nothing."""

    def __init__(self, wanted: Floats, share: Floats, divergence: Divergence) -> None:
        """Start with empty lists.

        Args:
            wanted: shares of each user, float32[B,L].
            share: how much of each candidate is of each level, float32[B,N,L].
            divergence: of two vectors of shares.
        """
        self.wanted, self.share, self.divergence = wanted[:, None, :], share, divergence
        self.users, self.total = np.arange(len(share)), np.zeros(wanted.shape, np.float32)

    def value(self) -> Floats:
        share: Floats = self.total[:, None, :] + self.share
        mass = share.sum(2, keepdims=True)
        share /= np.where(mass > 0, mass, 1)
        return -self.divergence(self.wanted, share)

    def add(self, position: Ints) -> None:
        self.total += self.share[self.users, position]
