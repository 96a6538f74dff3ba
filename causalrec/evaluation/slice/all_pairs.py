"""All pairs of users and items with their true mean outcomes, where a simulation knows them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np

from causalrec.data.popularity import LEVELS, popularity_levels
from causalrec.evaluation.slice.base import AbstractSlice, SliceSource
from causalrec.evaluation.slice.catalogue import CatalogueData


@dataclass(frozen=True, kw_only=True)
class AllPairsSlice(AbstractSlice):
    """`all_pairs`: every user with every item, judged by the true mean outcome.

    Attributes:
        by_popularity: also `all_pairs_head`, `_torso`, `_tail` and `_cold`, the pairs with items of that popularity as
            `popularity` has it; rows can be compared in them, by leaving groups of users out while items stay fixed.
    """

    by_popularity: bool = False

    def select(self, source: SliceSource) -> Iterator[CatalogueData]:
        oracle, test = source.dataset.oracle, source.splits.test
        if oracle is None or source.dataset.card.feedback == "positive_only":
            return
        pairs = CatalogueData(
            name="all_pairs",
            kind="rate",
            users=np.arange(max(test.num_users, 1)),
            num_users=test.num_users,
            num_items=test.num_items,
            truth=oracle.rate,
        )
        yield pairs
        if self.by_popularity:
            levels = popularity_levels(source.splits.drawn_from or source.splits.train)
            by_level = (
                replace(pairs.of_items(f"all_pairs_{name}", levels == level), jackknife=True)
                for level, name in enumerate(LEVELS)
            )
            yield from (data for data in by_level if len(data))
