"""Each test positive among sampled negatives, as much published work ranks it; not an estimate of a full ranking."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from causalrec.data.pair_lists import PairLists, is_among, sort_distinct
from causalrec.errors import DataError, RequestError
from causalrec.evaluation.slice.base import AbstractSlice, SliceData, SliceSource
from causalrec.types import Bools, Count, Ints, Seed

DENSE = 4  # where a user has fewer unmet items than this times the negatives, they are dealt, not drawn


@dataclass(frozen=True, kw_only=True)
class SampledNegativesSlice(AbstractSlice):
    """`sampled_negatives_M`: each test positive among M items that its user has no row with, drawn anew for each.

    Distinct and uniform, from a fixed seed, so that every row of a table is scored on the same lists; a mean is over
    positives, resampled by user. Positives of training and validation rows are none. Logs of other feedback have none.

    Attributes:
        negatives: M.
        seed: of the draw.
    """

    negatives: Count = 99
    seed: Seed = 0

    def select(self, source: SliceSource) -> Iterator[SliceData]:
        if source.dataset.card.feedback != "positive_only":
            return
        splits, test = source.splits, source.splits.test
        if test.user is None:
            raise DataError(f"{test.name}: positive-only rows without users cannot be ranked per user; name a column")
        seen, width = sort_distinct(np.concatenate([splits.train.codes, splits.validation.codes])), test.num_items
        positives = sort_distinct(test.codes[~is_among(test.codes, seen)])
        user, item = positives // width, positives % width
        met = PairLists.of(np.concatenate([seen, test.codes]), test.num_users, width)
        self._require_items(user, met, width)
        drawn_items = draw_unmet(user, met, width, self.negatives, np.random.default_rng(self.seed))
        size = self.negatives + 1
        yield SliceData(
            name=f"sampled_negatives_{self.negatives}",
            kind="ranking",
            user=np.repeat(user, size),
            item=np.concatenate([item[:, None], drawn_items], 1).reshape(-1),
            label=np.tile(np.eye(1, size, dtype=np.float32)[0], len(user)),
            num_users=test.num_users,
            ranking=np.repeat(np.arange(len(user)), size),
            jackknife=True,
            note=f"sampled_negatives_{self.negatives}: each positive is ranked among {self.negatives} sampled items; "
            f"such numbers do not estimate those of full rankings, and may order models otherwise (Krichene & Rendle, "
            f"KDD 2020).",
        )

    def _require_items(self, user: Ints, met: PairLists, num_items: int) -> None:
        """Raise RequestError where a user has fewer unmet items than are drawn."""
        unmet = num_items - met.counts[user]
        least = int(unmet.min(initial=num_items))
        if least < self.negatives:
            few = int((unmet < self.negatives).sum())
            way = f"set negatives={least} or fewer" if least else "leave sampled_negatives out"
            raise RequestError(
                f"negatives={self.negatives}: {few:,} of {len(user):,} test positives are of users with fewer items "
                f"without a row (the least has {least} of {num_items:,}); {way}"
            )


def draw_unmet(user: Ints, met: PairLists, num_items: int, count: int, rng: np.random.Generator) -> Ints:
    """Return distinct items that each user has no row with, uniform, int64[N,count].

    Args:
        user: int64[N].
        met: the items of each user's rows, `count` fewer than all at most.
        num_items: I.
        count: of each row.
        rng: draws.
    """
    items = rng.integers(num_items, size=(len(user), count))
    dense = np.flatnonzero(num_items - met.counts[user] < DENSE * count)
    for k in dense:
        unmet = np.setdiff1d(np.arange(num_items), met.item[met.start[user[k]] : met.start[user[k] + 1]])
        items[k] = rng.choice(unmet, count, replace=False)
    codes = np.repeat(np.arange(len(met.counts)), met.counts) * num_items + met.item
    rows: Ints = np.setdiff1d(np.arange(len(user)), dense)
    while len(rows):  # of equal items the first stays
        wrong = _repeats(items[rows]) | is_among(user[rows][:, None] * num_items + items[rows], codes)
        row, column = np.nonzero(wrong)
        items[rows[row], column] = rng.integers(num_items, size=len(row))
        rows = rows[np.unique(row)]
    return items


def _repeats(items: Ints) -> Bools:
    """Return which items of each row stand in it before, bool[N,K]."""
    order = np.argsort(items, axis=1, kind="stable")
    ordered = np.take_along_axis(items, order, 1)
    repeats = np.zeros(items.shape, bool)
    np.put_along_axis(repeats, order[:, 1:], ordered[:, 1:] == ordered[:, :-1], 1)
    return repeats
