"""Whole rankings of the test users, where a log holds positives alone."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from causalrec.data.log import InteractionLog
from causalrec.data.split.splits import Splits
from causalrec.errors import DataError
from causalrec.evaluation.slice.base import AbstractSlice, SliceData, SliceSource
from causalrec.types import Bools, Count, Ints


@dataclass(frozen=True, kw_only=True)
class FullRankingSlice(AbstractSlice):
    """`full_ranking`: for each test user every item of the log, but those of the user's training and validation rows.

    Where all test users would make more than `most_pairs` pairs, a random sample of them that fits (one at least),
    drawn from a fixed seed, so that every row of a table is scored on the same users. Logs of other feedback have none.
    """

    most_pairs: Count = 2_000_000

    def select(self, source: SliceSource) -> Iterator[SliceData]:
        if source.dataset.card.feedback == "positive_only":
            yield full_ranking(source.splits, self.most_pairs)


def full_ranking(splits: Splits, most_pairs: int) -> SliceData:
    """Return the rankings as one slice of at most `most_pairs` rows; raise DataError without users."""
    test = splits.test
    if test.user is None:
        raise DataError(f"{test.name}: positive-only rows without users cannot be ranked per user; name a user column")
    users = np.unique(test.user)
    max_users = max(1, most_pairs // test.num_items)
    if len(users) > max_users:
        users = np.sort(np.random.default_rng(0).choice(users, max_users, replace=False))
    seen = _interactions(splits.train, users) | _interactions(splits.validation, users)
    position, item = np.nonzero(~seen)
    return SliceData(
        name="full_ranking",
        kind="ranking",
        user=users[position],
        item=item,
        label=_interactions(test, users)[position, item].astype(np.float32),
        num_users=test.num_users,
        jackknife=True,
    )


def _interactions(log: InteractionLog, users: Ints) -> Bools:
    """Return which of `users` (sorted) has a row with which item: bool[users, items]."""
    assert log.user is not None
    table = np.zeros((len(users), log.num_items), bool)
    position = np.minimum(np.searchsorted(users, log.user), len(users) - 1)
    rows = users[position] == log.user
    table[position[rows], log.item[rows]] = True
    return table
