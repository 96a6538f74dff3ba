"""Columns of the data set as one value per row of a batch: level codes of categories, plain numbers else."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import numpy as np
import polars as pl

from causalrec.data.card import CODED_COLUMN_KINDS, Column, DatasetCard
from causalrec.data.dataset import CausalDataset
from causalrec.data.log import InteractionLog
from causalrec.data.pair_columns import PairColumn
from causalrec.errors import DataError, RequestError, did_you_mean
from causalrec.types import Floats, Ints


@dataclass(frozen=True)
class BatchColumn:
    """A column that a batch can hold.

    Attributes:
        name: the column, as the card and the causal graph name it.
        entity: whose it is: `user`, `item`, `pair` or `row`.
        levels: the sorted levels of a category, whose codes are their indices; empty for numbers.
        table: the value of each user or item, int64 codes or float32 numbers; None for a column of pairs or rows.
        pair: the value of each (user, item) pair, float32; None for other columns.
    """

    name: str
    entity: str
    levels: tuple[str, ...] = ()
    table: Ints | Floats | None = None
    pair: PairColumn | None = None

    def read(self, log: InteractionLog, user: Ints, item: Ints, row: Ints) -> Ints | Floats:
        """Return the value of each row, int64 or float32 of the ids' shape.

        Args:
            log: the log that the rows are of.
            user: ids, int64.
            item: ids, int64.
            row: row numbers of the log, int64; -1 where there is none.
        """
        if self.pair is not None:
            return self.pair(user, item)
        if self.entity == "row":
            return self._of_rows(log, row)
        assert self.table is not None
        return self.table[user if self.entity == "user" else item]

    def _of_rows(self, log: InteractionLog, row: Ints) -> Ints | Floats:
        """Read the log's own column; DataError for pairs that were never logged, and for levels it has not met."""
        if (row < 0).any():
            raise DataError(
                f"{log.name}: pairs that were never logged have no {self.name}; choose an objective over logged rows"
            )
        values = log.columns[self.name][row]
        if not self.levels:
            return values.astype(np.float32)
        text, levels = values.astype(str), np.array(self.levels)
        codes: Ints = np.minimum(np.searchsorted(levels, text), len(levels) - 1)
        if not (levels[codes] == text).all():
            raise DataError(f"{log.name}: {self.name} has a level that no logged row has; leave these rows out")
        return codes

    @property
    def is_binary(self) -> bool:
        """Whether it has two levels, or its numbers are 0 and 1 alone (columns of pairs are not looked through)."""
        if self.levels:
            return len(self.levels) == 2
        return self.table is not None and np.unique(self.table).tolist() == [0, 1]


def readable_column(card: DatasetCard, name: str, component: str) -> Column:
    """Return a column that a batch can hold; no file is read.

    `component`: which one asks, for the RequestError where there is none.
    """
    readable = {column.name: column for column in card.columns if column.kind in CODED_COLUMN_KINDS}
    if name not in readable:
        other = f" of kind {card.column(name).kind}" if name in {column.name for column in card.columns} else ""
        what = f"{card.name} has {'it' if other else 'no such column'}{other}"
        raise RequestError(f"{component}: reads column {name!r}, but {what}; {did_you_mean(name, readable)}")
    return readable[name]


def batch_column(dataset: CausalDataset, name: str, component: str) -> BatchColumn:
    """Return a column by its name; raise RequestError as `readable_column` does."""
    column = readable_column(dataset.card, name, component)
    if column.entity == "pair":
        return BatchColumn(name, column.entity, pair=dataset.pair_features[name])
    if column.entity == "row":
        values = dataset.logged.columns[name]
        levels = () if column.kind == "numeric" else tuple(sorted(set(values.astype(str).tolist())))
        return BatchColumn(name, column.entity, levels)
    series = (dataset.user_table if column.entity == "user" else dataset.item_table)[name]
    if column.kind == "numeric":
        return BatchColumn(name, column.entity, table=series.cast(pl.Float32).to_numpy())
    text = [str(value) for value in series.to_list()]
    levels = tuple(sorted(set(text)))
    codes = {level: code for code, level in enumerate(levels)}
    return BatchColumn(name, column.entity, levels, np.array([codes[value] for value in text], np.int64))


def batch_columns(dataset: CausalDataset, columns_by_component: Mapping[str, Iterable[str]]) -> dict[str, BatchColumn]:
    """Return the columns that each reader names, by name."""
    return {
        name: batch_column(dataset, name, component)
        for component, names in columns_by_component.items()
        for name in names
    }
