"""Columns of a table of users or items as numbers, a category of many levels by the levels that are 1 alone."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import polars as pl

from causalrec.data.card import Column
from causalrec.errors import DataError, RequestError, did_you_mean
from causalrec.features.row_columns import NO_LEVEL, check_levels, is_wide
from causalrec.types import Floats, Ints

MAX_NAMED = 100  # levels that an error lists


@dataclass(frozen=True)
class ExpandedTable:
    """The columns of N users or items.

    Attributes:
        names: the expanded columns, F.
        dense: int64[D], which of them are numbers.
        numbers: float32[N,D].
        levels: int64[N,K], which of the others are 1, -1 where there are fewer.
    """

    names: tuple[str, ...]
    dense: Ints
    numbers: Floats
    levels: Ints


def expand_table(
    table: pl.DataFrame,
    columns: Sequence[Column],
    represented: Mapping[str, Floats],
    reference: pl.DataFrame | None = None,
) -> ExpandedTable:
    """Expand columns: numbers standardised over the table, categories one-hot, lists multi-hot.

    Args:
        table: of users or items; an empty one has one row, which a userless log reads.
        columns: those of the view.
        represented: text and vector columns that are numbers already, float32[N,K] by name.
        reference: the table whose means, deviations and levels are those of the columns; None: the table itself.

    Raises:
        RequestError: Where a row has a level that the reference lacks.
    """
    reference = table if reference is None else reference
    rows, names, dense = max(len(table), 1), list[str](), list[int]()
    numbers, levels = [np.zeros((rows, 0), np.float32)], [np.zeros((rows, 0), np.int64)]
    for column in columns:
        start = len(names)
        if column.name in represented:
            block = represented[column.name]
            names += [f"{column.name}[{k}]" for k in range(block.shape[1])]
        elif column.kind in ("id", "text", "vector", "knowledge"):
            continue
        elif column.kind == "numeric":
            names.append(column.name)
            block = _standardise(table[column.name], column.name, reference[column.name])
        else:
            level_names, held = _levels(table[column.name], column.name, reference[column.name])
            names += [f"{column.name}={level}" for level in level_names]
            if is_wide(len(level_names)):
                levels.append(np.where(held == NO_LEVEL, NO_LEVEL, held + start))
                continue
            block = _multi_hot(held, len(level_names))
        numbers.append(block)
        dense += range(start, len(names))
    return ExpandedTable(tuple(names), np.array(dense, np.int64), np.hstack(numbers), np.hstack(levels))


def _standardise(series: pl.Series, name: str, reference: pl.Series) -> Floats:
    values = series.cast(pl.Float64).to_numpy()
    if not np.isfinite(values).all():
        row = int(np.argmax(~np.isfinite(values)))
        raise DataError(f"column {name}: row {row} is not a finite number; fill or drop it")
    of_all = reference.cast(pl.Float64).to_numpy()
    standardised: Floats = ((values - of_all.mean()) / (of_all.std() or 1.0)).astype(np.float32)[:, None]
    return standardised


def _levels(series: pl.Series, name: str, reference: pl.Series) -> tuple[list[str], Ints]:
    """Return the sorted levels of the reference, and which of them each row has, int64[N,K], -1 where it has fewer."""
    listed = _level_lists(series)
    levels = sorted({level for row in (listed if reference is series else _level_lists(reference)) for level in row})
    check_levels(name, len(levels), len(reference))
    position = {level: k for k, level in enumerate(levels)}
    held = np.full((len(series), max(map(len, listed), default=1)), NO_LEVEL)
    for row, values in enumerate(listed):
        if unknown := [level for level in values if level not in position]:
            nearest = did_you_mean(unknown[0], levels[:MAX_NAMED])
            raise RequestError(f"column {name}: row {row + 1}: the data have no level {unknown[0]!r}; {nearest}")
        numbers = dict.fromkeys(position[level] for level in values)
        held[row, : len(numbers)] = [*numbers]
    return levels, held


def _level_lists(series: pl.Series) -> list[list[str]]:
    return [[str(level) for level in (value if isinstance(value, list) else [value])] for value in series.to_list()]


def _multi_hot(held: Ints, count: int) -> Floats:
    block = np.zeros((len(held), count), np.float32)
    row, slot = np.nonzero(held != NO_LEVEL)
    block[row, held[row, slot]] = 1.0
    return block
