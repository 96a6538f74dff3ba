"""xQuAD: a list that covers the levels of a column, or of popularity, by how much its user cares for each."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from causalrec.catalogue.facts import CatalogueFacts
from causalrec.catalogue.item_space import LEVELLED, check_column
from causalrec.data.card import DatasetCard
from causalrec.errors import RequestError
from causalrec.rerankers.base import AbstractReranker, Rerank
from causalrec.rerankers.greedy import Aim, greedy_rerank
from causalrec.rerankers.levels import column_levels, head_torso_tail
from causalrec.types import Floats, Ints


@dataclass(frozen=True, kw_only=True)
class XQuAD(AbstractReranker):
    """Levels that the user cares for, and the list lacks, add to an item's score.

    Takes `argmax_i (1 - weight) score_i + weight sum_l p(l | user) has(i, l) prod_{j in list} (1 - has(j, l))`: `has`
    is 1 where an item has the level, `p(l | user)` the mean over the user's liked training items of the level's share
    in an item (1 / n of an item of n levels); of all users' likes for a user who liked none. Where `smooth`, the share
    of the list's items without the level stands for the product, so that a level goes on to count once it is covered.
    Source: Santos et al. (WWW 2010); over levels of popularity Abdollahpouri et al. (FLAIRS 2019), binary and
    smooth, where `p` counts the items that the user met.

    Attributes:
        column: of items: a category, or a list of several; None: the only one, unless `popularity`.
        popularity: levels are head, torso and tail by training rows, as the slice `popularity` has them (cold items are
            in the tail), and no column is read.
        smooth: how much of the list has a level counts, and not whether an item of it has.
    """

    column: str | None = None
    popularity: bool = False
    smooth: bool = False

    def check(self, card: DatasetCard) -> None:
        if not self.popularity:
            check_column(card, self.column, kinds=LEVELLED)
        elif self.column is not None:
            raise RequestError(f"column={self.column}: is not read where popularity=true; leave either out")

    def bind(self, facts: CatalogueFacts) -> Rerank:
        levels = head_torso_tail(facts) if self.popularity else column_levels(facts, self.column)

        def make_aim(users: Ints, items: Ints) -> Aim:
            return UncoveredLevels(levels.user_shares(users), levels.has[items], self.smooth)

        return greedy_rerank(self.weight, make_aim, levels.has.shape[1])


class UncoveredLevels:
    """What levels a candidate would add to a list, by how much its user cares for them."""

    def __init__(self, wanted: Floats, has: Floats, smooth: bool) -> None:
        """Start with empty lists.

        Args:
            wanted: how much each user cares for each level, float32[B,L].
            has: which levels the candidates have, 0 or 1, float32[B,N,L].
            smooth: as `XQuAD` has it.
        """
        self.wanted, self.has, self.smooth = wanted, has, smooth
        self.users, self.size = np.arange(len(has)), 0
        self.count = np.zeros(wanted.shape, np.float32)  # items of the list that have a level

    def value(self) -> Floats:
        lacking = 1 - self.count / max(self.size, 1) if self.smooth else (self.count == 0).astype(np.float32)
        gain: Floats = np.matmul(self.has, (self.wanted * lacking)[:, :, None])[:, :, 0]
        return gain

    def add(self, position: Ints) -> None:
        self.count += self.has[self.users, position]
        self.size += 1
