"""Columns of a row as numbers: what they are standardised and expanded by is learnt from the logged rows."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from causalrec.data.card import Column
from causalrec.data.log import RowValues
from causalrec.errors import DataError
from causalrec.types import Floats

MOST_LEVELS = 1_000_000  # more are ids
WIDE_LEVELS = 100  # of a category, above which rows hold the number of their level in place of a number for each
NO_LEVEL = -1


class RowsWithColumns(Protocol):
    """Anything whose rows have columns: a log, a slice."""

    def __len__(self) -> int:
        """How many rows it has."""

    @property
    def name(self) -> str:
        """How errors call it."""

    @property
    def columns(self) -> Mapping[str, RowValues]:
        """The columns of its rows by name, [N] each; none of pairs that were never logged."""


@dataclass(frozen=True)
class AbstractRowColumn(ABC):
    """One column of a row as float32[N,K], K the length of `names`; of a wide category as the number of its level,
    float32[N,1].
    """

    column: str

    @property
    @abstractmethod
    def names(self) -> tuple[str, ...]:
        """The expanded columns."""

    @property
    def is_wide(self) -> bool:
        """Whether it is a category held by the number of its level."""
        return False

    @property
    def width(self) -> int:
        """How many numbers of a row it takes."""
        return 1 if self.is_wide else len(self.names)

    @abstractmethod
    def expand(self, values: RowValues, where: str) -> Floats:
        """Return float32[N,width] of values[N]; `where`: whose rows they are, for errors."""

    def __call__(self, rows: RowsWithColumns) -> Floats:
        if self.column not in rows.columns:
            raise DataError(
                f"{rows.name}: its rows have no {self.column}, which pairs that were never logged lack; leave "
                f"{self.column} out of the graph, or ask for logged rows"
            )
        return self.expand(rows.columns[self.column], rows.name)


@dataclass(frozen=True)
class NumberOfRow(AbstractRowColumn):
    """A number, standardised by the mean and standard deviation of the logged rows."""

    mean: float
    deviation: float

    @property
    def names(self) -> tuple[str, ...]:
        return (self.column,)

    def expand(self, values: RowValues, where: str) -> Floats:
        return ((values.astype(np.float64) - self.mean) / self.deviation).astype(np.float32)[:, None]


@dataclass(frozen=True)
class CategoryOfRow(AbstractRowColumn):
    """A category, one-hot over the levels of the logged rows, or the number of its level where it is wide; DataError on
    a level that none of these has.
    """

    levels: tuple[str, ...]
    wide: bool = False

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(f"{self.column}={level}" for level in self.levels)

    @property
    def is_wide(self) -> bool:
        return self.wide

    def expand(self, values: RowValues, where: str) -> Floats:
        levels, words = np.array(self.levels), values.astype(np.str_)
        code = np.minimum(np.searchsorted(levels, words), len(levels) - 1)
        new = levels[code] != words
        if new.any():
            row = int(np.argmax(new))
            raise DataError(
                f"{where}: row {row}: {self.column} is {str(words[row])!r}, which no logged row has ({int(new.sum())} "
                f"such rows); drop these rows, or merge the level with one that the log has"
            )
        if self.is_wide:
            return code.astype(np.float32)[:, None]  # exact below 2^24
        block = np.zeros((len(words), len(levels)), np.float32)
        block[np.arange(len(words)), code] = 1.0
        return block


def row_column(column: Column, values: RowValues) -> AbstractRowColumn:
    """Return how a column of rows becomes numbers, by its values[N] in the logged rows."""
    if column.kind == "numeric":
        numbers = values.astype(np.float64)
        return NumberOfRow(column.name, float(numbers.mean()), float(numbers.std()) or 1.0)
    levels = np.unique(values.astype(np.str_)).tolist()
    check_levels(column.name, len(levels), len(values))
    return CategoryOfRow(column.name, tuple(levels), is_wide(len(levels)))


def is_wide(levels: int) -> bool:
    """Whether a category of so many levels is held by the number of its level."""
    return levels > WIDE_LEVELS


def check_levels(name: str, levels: int, rows: int) -> None:
    """Raise DataError on a column of too many levels: each has a coefficient of its own."""
    if levels > MOST_LEVELS:
        raise DataError(
            f"column {name}: {levels:,} levels in {rows:,} rows, at most {MOST_LEVELS:,} become numbers; merge rare "
            f"levels, call it text for an encoder that reads, or leave it out of the graph"
        )
