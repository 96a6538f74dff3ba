"""The lists that test users are shown: the best items of the whole catalogue."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from causalrec.catalogue.facts import CatalogueFacts
from causalrec.data.pair_lists import PairLists
from causalrec.evaluation.slice.base import AbstractSlice, SliceSource
from causalrec.evaluation.slice.catalogue import CatalogueData, ListRequest
from causalrec.types import Count

NOTE = "lists: each test user's first {k} of all items, but those of the user's training and validation rows."


@dataclass(frozen=True, kw_only=True)
class ListsSlice(AbstractSlice):
    """`lists`: for each test user the first `k` of all items, but those of the user's training and validation rows.

    Attributes:
        k: items of a list.
    """

    k: Count = 10
    makes_lists: ClassVar[bool] = True

    def select(self, source: SliceSource) -> Iterator[CatalogueData]:
        splits, facts = source.splits, CatalogueFacts(source.dataset, source.splits.train)
        test = splits.test
        if test.user is None:
            return
        met = [log.users.astype(np.int64) * test.num_items + log.item for log in (splits.train, splits.validation)]
        yield CatalogueData(
            name="lists",
            kind="lists",
            users=np.unique(test.user),
            num_users=test.num_users,
            num_items=test.num_items,
            excluded=PairLists.of(np.concatenate(met), test.num_users, test.num_items),
            lists=ListRequest(k=self.k, facts=facts),
            jackknife=True,
            note=NOTE.format(k=self.k),
        )
