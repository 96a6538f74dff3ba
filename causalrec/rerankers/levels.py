"""Levels that items have, and how what a user met is spread over them."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from causalrec.catalogue.facts import CatalogueFacts
from causalrec.catalogue.item_space import LEVELLED, check_column
from causalrec.data.pair_lists import PairLists
from causalrec.data.popularity import BORDERS
from causalrec.types import Floats, Ints

TAIL = 2  # of head 0 and torso 1; items that were never met are in it


@dataclass(frozen=True, eq=False)
class ItemLevels:
    """Levels of items, and the items by which a user's share of each is counted.

    Attributes:
        share: how much of an item is of each level, float32[I,L]: each of n levels has 1 / n of it; 0 throughout where
            that is not known.
        items: of each user.
    """

    share: Floats
    items: PairLists

    @cached_property
    def has(self) -> Floats:
        """1 where an item has a level, float32[I,L]."""
        return (self.share > 0).astype(np.float32)

    @cached_property
    def share_of_all(self) -> Floats:
        """How the items of all users are spread over levels, float32[L]."""
        counts = np.bincount(self.items.item, minlength=len(self.share)).astype(np.float32)
        shares: Floats = _normalise(counts[None, :] @ self.share)[0]
        return shares

    def user_shares(self, users: Ints) -> Floats:
        """Return how each user's items are spread over levels, float32[B,L]; of a user without any, as those of all
        users are.
        """
        count = self.items.counts[users]
        _, item = self.items.of_users(users)
        totals = np.zeros((len(users), self.share.shape[1]), np.float32)
        first = (np.cumsum(count) - count)[count > 0]
        if len(first):
            totals[count > 0] = np.add.reduceat(self.share[item], first)
        shares: Floats = np.where(totals.sum(1, keepdims=True) > 0, _normalise(totals), self.share_of_all)
        return shares


def _normalise(totals: Floats) -> Floats:
    """Divide each row by its sum; a row of 0 stays."""
    total = totals.sum(1, keepdims=True)
    share: Floats = (totals / np.where(total > 0, total, 1)).astype(np.float32)
    return share


def column_levels(facts: CatalogueFacts, column: str | None) -> ItemLevels:
    """Return the levels of a column, None: of the only one that has some, and the items that each user liked."""
    name = check_column(facts.dataset.card, column, kinds=LEVELLED).name
    return ItemLevels(facts.level_shares(name), facts.liked)


def head_torso_tail(facts: CatalogueFacts, borders: tuple[float, float] = BORDERS) -> ItemLevels:
    """Return the levels of popularity, and the items that each user was exposed to in training."""
    level = np.minimum(facts.popularity_levels(borders), TAIL)
    codes = facts.train.codes[facts.train.treatment > 0]
    items = PairLists.of(codes, max(facts.num_users, 1), facts.num_items)
    return ItemLevels(np.eye(TAIL + 1, dtype=np.float32)[level], items)
