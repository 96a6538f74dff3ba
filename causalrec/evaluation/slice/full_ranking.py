"""Whole rankings of the test users, where a log holds positives alone."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from causalrec.data.pair_lists import PairLists, is_among, sort_distinct
from causalrec.data.split.splits import Splits
from causalrec.errors import DataError
from causalrec.evaluation.slice.base import AbstractSlice, SliceSource
from causalrec.evaluation.slice.catalogue import CatalogueData

NOTE = (
    "full_ranking: all items are ranked for each test user, but those of the user's training and validation rows; "
    "differences between rows are clustered by user, items held fixed."
)


@dataclass(frozen=True, kw_only=True)
class FullRankingSlice(AbstractSlice):
    """`full_ranking`: for each test user every item of the log, but those of the user's training and validation rows.

    No pair is drawn: all test users meet all items, a block of users at a time. Logs of other feedback have none.
    """

    def select(self, source: SliceSource) -> Iterator[CatalogueData]:
        if source.dataset.card.feedback == "positive_only":
            yield full_ranking(source.splits)


def full_ranking(splits: Splits) -> CatalogueData:
    """Return the rankings of all test users; raise DataError without users."""
    test = splits.test
    if test.user is None:
        raise DataError(f"{test.name}: positive-only rows without users cannot be ranked per user; name a user column")
    seen = sort_distinct(np.concatenate([splits.train.codes, splits.validation.codes]))
    sizes, codes = (test.num_users, test.num_items), test.codes[test.outcome > 0]  # a labelled test holds others too
    return CatalogueData(
        name="full_ranking",
        kind="ranking",
        users=sort_distinct(test.user),
        num_users=test.num_users,
        num_items=test.num_items,
        excluded=PairLists.of(seen, *sizes),
        positives=PairLists.of(codes[~is_among(codes, seen)], *sizes),
        jackknife=True,
        note=NOTE,
    )
