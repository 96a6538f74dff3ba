"""All pairs of users and items with their true mean outcomes, where a simulation knows them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from causalrec.evaluation.slice.base import AbstractSlice, SliceData, SliceSource


@dataclass(frozen=True, kw_only=True)
class AllPairsSlice(AbstractSlice):
    """`all_pairs`: every user with every item, judged by the true mean outcome."""

    def select(self, source: SliceSource) -> Iterator[SliceData]:
        oracle, test = source.dataset.oracle, source.splits.test
        if oracle is None or source.dataset.card.feedback == "positive_only":
            return
        pairs = np.arange(test.num_pairs)
        user, item = pairs // test.num_items, pairs % test.num_items
        yield SliceData(
            name="all_pairs",
            kind="rate",
            user=user,
            item=item,
            label=oracle.rate(user, item),
            num_users=test.num_users,
        )
