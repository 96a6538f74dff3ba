"""Levels that items have, and how what a user met is spread over them."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from causalrec.catalogue.facts import CatalogueFacts
from causalrec.catalogue.item_space import check_column
from causalrec.data.card import DatasetCard
from causalrec.data.pair_lists import PairLists
from causalrec.data.popularity import BORDERS, popularity_levels
from causalrec.errors import RequestError
from causalrec.types import Floats, Ints

TAIL = 2  # of head 0 and torso 1; items that were never met are in it


def check_levels(card: DatasetCard, column: str) -> None:
    """Raise RequestError unless the column is a category of items, or a list of several."""
    kind = check_column(card, column, "column").kind
    if kind not in ("category", "multi_hot"):
        raise RequestError(f"column={column}: is a {kind}, which has no levels; take a category, or a list of several")


@dataclass(frozen=True, eq=False)
class ItemLevels:
    """Levels of items, and the items by which a user's share of each is counted.

    Attributes:
        has: 1 where an item has a level, float32[I,L]; a row of 0 where that is not known.
        items: of each user.
    """

    has: Floats
    items: PairLists

    @cached_property
    def share(self) -> Floats:
        """How much of an item is of each level, float32[I,L]: each of n levels has 1 / n of it."""
        share: Floats = self.has / np.maximum(self.has.sum(1, keepdims=True), 1)
        return share

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


def column_levels(facts: CatalogueFacts, column: str) -> ItemLevels:
    """Return the levels of a column, and the items that each user liked."""
    return ItemLevels((facts.space(column) > 0).astype(np.float32), facts.liked)


def head_torso_tail(facts: CatalogueFacts, borders: tuple[float, float] = BORDERS) -> ItemLevels:
    """Return the levels of popularity, and the items that each user was exposed to in training."""
    exposed = facts.train.take(np.flatnonzero(facts.train.treatment > 0))
    level = np.minimum(popularity_levels(exposed, borders), TAIL)
    codes = exposed.users.astype(np.int64) * facts.num_items + exposed.item
    items = PairLists.of(codes, max(facts.num_users, 1), facts.num_items)
    return ItemLevels(np.eye(TAIL + 1, dtype=np.float32)[level], items)
