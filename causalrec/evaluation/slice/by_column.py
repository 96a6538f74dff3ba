"""The rows of each level of a user or item column: groups of people or things that a model may serve unalike."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Annotated

import numpy as np
import polars as pl
from pydantic import Field

from causalrec.data.card import DatasetCard
from causalrec.data.dataset import CausalDataset
from causalrec.errors import RequestError, did_you_mean
from causalrec.evaluation.slice.base import AbstractSlice, AnySliceData, SliceSource
from causalrec.evaluation.slice.catalogue import CatalogueData
from causalrec.evaluation.slice.full_ranking import FullRankingSlice
from causalrec.evaluation.slice.test import HeldOutSlice
from causalrec.types import Bools, Count, Doubles, Ints

KINDS = ("category", "multi_hot", "numeric")  # what has levels, or can be cut into some


@dataclass(frozen=True, kw_only=True)
class ColumnSlice(AbstractSlice):
    """`NAME_COLUMN=LEVEL` of the rows NAME, for each level of a column that has rows there.

    A level is a category, an entry of a list (a row may have several), or a bin of a number; what is missing is a level
    too. Of a full ranking the level of an item column counts the positives of that level, ranked among all items.

    Attributes:
        column: of users or items.
        of: whose rows are grouped; None: the test rows, or the full ranking of a log of positives alone.
        bins: of a number, each of about equally many users or items (each value, where there are no more).
        max_levels: more are refused.
    """

    column: str
    of: AbstractSlice | None = None
    bins: Annotated[int, Field(ge=2)] = 4
    max_levels: Count = 20

    def check(self, card: DatasetCard) -> None:
        """Raise RequestError where the card has no such column of users or items, or one without levels."""
        columns = {column.name: column for column in card.columns}
        fitting = [
            name for name, column in columns.items() if column.kind in KINDS and column.entity in ("user", "item")
        ]
        if self.column not in columns:
            raise RequestError(f"column={self.column}: unknown column; {did_you_mean(self.column, fitting)}")
        if self.column not in fitting:
            column = columns[self.column]
            raise RequestError(
                f"column={self.column}: rows cannot be grouped by a column of kind {column.kind} of "
                f"each {column.entity}; {card.name} has {', '.join(fitting) or 'none that can be'}"
            )

    def select(self, source: SliceSource) -> Iterator[AnySliceData]:
        self.check(source.dataset.card)
        bases = (HeldOutSlice(), FullRankingSlice()) if self.of is None else (self.of,)
        for base in bases:
            for data in base.select(source):
                yield from (
                    self._of_catalogue(source, data)
                    if isinstance(data, CatalogueData)
                    else (
                        data.subset(self.name(data.name, level), np.flatnonzero(members))
                        for level, members in self.members(source.dataset, data.user, data.item).items()
                    )
                )

    def _of_catalogue(self, source: SliceSource, data: CatalogueData) -> Iterator[CatalogueData]:
        """Yield the users of each level, or what is judged of the items of each."""
        of_users = source.dataset.card.column(self.column).entity == "user"
        if data.kind == "lists" and not of_users:
            raise RequestError(f"column={self.column}: is of items, and a list holds several; name a column of users")
        if data.sample is not None and not of_users:
            raise RequestError(
                f"column={self.column}: is one of items, and {data.name} can be cut by users alone; choose a column of "
                f"users"
            )
        for level, members in self._levels(source.dataset).items():
            name = self.name(data.name, level)
            level_data = data.of_users(name, members) if of_users else data.of_items(name, members)
            if len(level_data):
                yield level_data

    def name(self, rows: str, level: str) -> str:
        """Return the name of the slice of a level of rows that are called `rows`."""
        return f"{rows}_{self.column}={level}"

    def members(self, dataset: CausalDataset, user: Ints, item: Ints) -> dict[str, Bools]:
        """Return which rows of these users and items have each level that some of them have, bool[N], by its name."""
        ids = user if dataset.card.column(self.column).entity == "user" else item
        by_level = {level: of_ids[ids] for level, of_ids in self._levels(dataset).items()}
        return {level: rows for level, rows in by_level.items() if rows.any()}

    def _levels(self, dataset: CausalDataset) -> Mapping[str, Bools]:
        """Return who or what has each level, bool[ids], by its name."""
        column = dataset.card.column(self.column)
        series = (dataset.user_table if column.entity == "user" else dataset.item_table)[column.name]
        if column.kind == "numeric":
            return number_levels(series.cast(pl.Float64).to_numpy(), self.bins)
        levels = category_levels(series)
        if len(levels) > self.max_levels:
            raise RequestError(
                f"column={self.column}: has {len(levels)} levels, more than max_levels="
                f"{self.max_levels}; choose a coarser column, or set max_levels={len(levels)}"
            )
        return levels


def category_levels(series: pl.Series) -> dict[str, Bools]:
    """Return which rows of a column hold each of its levels, in the order of their names.

    >>> {name: rows.tolist() for name, rows in category_levels(pl.Series(["b", "a", None])).items()}
    {'a': [False, True, False], 'b': [True, False, False], 'missing': [False, False, True]}
    """
    entries = [value if isinstance(value, list) else [value] for value in series.to_list()]
    held = [{"missing" if entry is None else str(entry) for entry in row} or {"missing"} for row in entries]
    names = sorted({entry for row in held for entry in row})
    safe = _safe_names(names)
    return {safe[name]: np.array([name in row for row in held], bool) for name in names}


def number_levels(values: Doubles, bins: int) -> dict[str, Bools]:
    """Return which of the numbers [ids] are in each of `bins` bins of about equally many; each value where few differ.

    >>> list(number_levels(np.array([1.0, 2.0, 3.0, 4.0]), 2)), list(number_levels(np.array([0.0, 1.0, 0.0]), 2))
    (['q1of2', 'q2of2'], ['0', '1'])
    """
    finite = np.isfinite(values)
    distinct = np.unique(values[finite])
    levels: dict[str, Bools] = {}
    if len(distinct) <= bins:
        levels = {f"{value:.12g}": values == value for value in distinct}
    else:
        edges = np.unique(np.quantile(values[finite], np.arange(1, bins) / bins))
        bin_of = np.searchsorted(edges, values)  # an edge is in the bin below it
        filled = [k for k in range(len(edges) + 1) if (finite & (bin_of == k)).any()]
        levels = {f"q{n}of{len(filled)}": finite & (bin_of == k) for n, k in enumerate(filled, 1)}
    return levels if finite.all() else levels | {"missing": ~finite}


def _safe_names(names: list[str]) -> dict[str, str]:
    """Return each name as a score's key may hold it, no two alike."""
    safe: dict[str, str] = {}
    for name in names:
        plain = re.sub(r"[^\w.+-]", "_", name) or "_"
        taken, number = set(safe.values()), 1
        while (chosen := plain if number == 1 else f"{plain}_{number}") in taken:
            number += 1
        safe[name] = chosen
    return safe
