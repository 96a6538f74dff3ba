"""All pairs of users and items with their true mean outcomes, where a simulation knows them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from causalrec.evaluation.slice.base import AbstractSlice, SliceSource
from causalrec.evaluation.slice.catalogue import CatalogueData


@dataclass(frozen=True, kw_only=True)
class AllPairsSlice(AbstractSlice):
    """`all_pairs`: every user with every item, judged by the true mean outcome."""

    def select(self, source: SliceSource) -> Iterator[CatalogueData]:
        oracle, test = source.dataset.oracle, source.splits.test
        if oracle is None or source.dataset.card.feedback == "positive_only":
            return
        yield CatalogueData(
            name="all_pairs",
            kind="rate",
            users=np.arange(max(test.num_users, 1)),
            num_users=test.num_users,
            num_items=test.num_items,
            truth=oracle.rate,
        )
