"""The test rows, ranked among those whose items share a value of a column: headlines of one test, arms of one page."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np
import polars as pl

from causalrec.data.card import DatasetCard
from causalrec.errors import RequestError, did_you_mean
from causalrec.evaluation.slice.base import (
    AbstractSlice,
    SliceData,
    SliceSource,
    held_out_name,
    outcome_kind,
    slice_of_log,
)
from causalrec.types import Count, Ints, Seed


@dataclass(frozen=True, kw_only=True)
class WithinColumnSlice(AbstractSlice):
    """`NAME_within_COLUMN`: the test rows, each value of a column of items a list of its own, as a user's rows are.

    For logs without users whose items compete in groups: metrics of rankings are means over groups, and groups are
    resampled. Groups of one row rank nothing and are left out.

    Attributes:
        column: of items, whose values are the groups.
        groups: how many groups are drawn at random, whole; None: all of them.
        seed: of the draw.
    """

    column: str
    groups: Count | None = None
    seed: Seed = 0

    def check(self, card: DatasetCard) -> None:
        """Raise RequestError where items have no such column."""
        names = [column.name for column in card.columns if column.entity == "item"]
        if self.column not in names:
            raise RequestError(f"column={self.column}: no column of items; {did_you_mean(self.column, names)}")

    def select(self, source: SliceSource) -> Iterator[SliceData]:
        self.check(source.dataset.card)
        test = source.splits.test
        values = source.dataset.item_table[self.column].cast(pl.String).fill_null("").to_numpy()[test.item]
        _, group = np.unique(values.astype(str), return_inverse=True)
        rows = np.flatnonzero(np.isin(group, self._drawn_groups(group)))
        name = f"{held_out_name(source)}_within_{self.column}"
        predicted = slice_of_log(test.take(rows), name, outcome_kind(source.dataset.card))
        names, of_rows = np.unique(group[rows], return_inverse=True)
        yield replace(
            predicted.subset(name, np.arange(len(rows))),
            user=of_rows.astype(np.int64),
            num_users=len(names),
            note=f"{name}: {len(rows):,} test rows, ranked within {len(names):,} values of {self.column}.",
        )

    def _drawn_groups(self, group: Ints) -> Ints:
        """Return the groups of two rows or more, or as many of them as are asked for."""
        several = np.flatnonzero(np.bincount(group) > 1)
        if len(several) < (self.groups or 1):
            raise RequestError(
                f"column={self.column}: {len(several)} of its values have two test rows or more, fewer than "
                f"{self.groups or 1}; lower groups, or name another column"
            )
        if self.groups is None:
            return several
        return np.random.default_rng(self.seed).choice(several, self.groups, replace=False)
