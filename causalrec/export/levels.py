"""The columns of users or items as levels: categories and lists as they are, numbers in bins of their range."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import polars as pl

from causalrec.data.card import Column
from causalrec.types import Doubles, Ints

BINS = 10  # of a column of numbers
MOST_LEVELS = 100  # of a column; of more the most frequent are levels, and all others one level together
ANY = "any"  # the level that each id has
MISSING = "missing"
CHECKED_KINDS = ("category", "numeric", "multi_hot")


@dataclass(frozen=True)
class Levels:
    """The levels that ids have.

    Attributes:
        names: [L], `column=level`; the first is that of every id.
        column: int64[L], the index of each level's column in `columns`; -1 of the first.
        held: int64[N,K], the levels of each id; 0, that of every id, where there are fewer.
        columns: the names of the columns.
    """

    names: tuple[str, ...]
    column: Ints
    held: Ints
    columns: tuple[str, ...]

    def column_name(self, level: int) -> str | None:
        """Return the column of a level; None of that of every id."""
        return None if self.column[level] < 0 else self.columns[self.column[level]]


def column_levels(side: str, table: pl.DataFrame, columns: Sequence[Column], rows: Ints) -> Levels:
    """Return the levels of a table's columns; ids without a training row have one of their own, `side=new`.

    Args:
        side: `user` or `item`.
        table: one row for each id; a userless log has none, and one id.
        columns: those of the card that are this side's.
        rows: int64[N], how many training rows each id has.
    """
    names, column, held = [ANY], [-1], [np.where(rows > 0, 0, 1)[:, None]]
    names.append(f"{side}: no training row")
    column.append(-1)
    checked = [each for each in columns if each.kind in CHECKED_KINDS]
    for number, each in enumerate(checked):
        lists = _lists(each, table[each.name], rows)
        texts, positions = _positions(lists, rows)
        held.append(np.where(positions < 0, 0, positions + len(names)))
        names += [f"{each.name}={text}" for text in texts]
        column += [number] * len(texts)
    return Levels(tuple(names), np.array(column), np.hstack(held), tuple(each.name for each in checked))


def _lists(column: Column, series: pl.Series, rows: Ints) -> list[list[str]]:
    """Return the levels of each id as texts."""
    if column.kind == "numeric":
        values = series.cast(pl.Float64).to_numpy()
        name = _bin_names(values, rows)
        return [[name(value)] for value in values.tolist()]
    listed = [value if isinstance(value, list) else [value] for value in series.to_list()]
    return [[MISSING if level is None else str(level) for level in levels] for levels in listed]


def _bin_names(values: Doubles, rows: Ints) -> Callable[[float], str]:
    """Return what names the bin of a number: tenths of the training rows, by their range; each number where they are
    few.

    >>> name = _bin_names(np.array([1.0, 2.0, 5.0]), np.array([4, 1, 0]))
    >>> name(2.0), name(5.0), name(0.5)
    ('2', 'above 2', 'below 1')
    """
    seen = np.isfinite(values) & (rows > 0)
    distinct, weights = np.unique(values[seen]), rows[seen].astype(np.float64)
    if not len(distinct):
        return lambda value: MISSING
    shares = np.linspace(0, 1, BINS + 1)[1:]
    ends = distinct
    if len(distinct) > BINS:
        ends = np.unique(np.quantile(values[seen], shares, method="inverted_cdf", weights=weights))
    bins = np.searchsorted(ends, distinct)
    low, high = (np.array([choose(distinct[bins == k]) for k in range(len(ends))]) for choose in (np.min, np.max))
    low_text, high_text = _texts(low, high)

    def name(value: float) -> str:
        if not np.isfinite(value):
            return MISSING
        if value < low[0] or value > high[-1]:
            return f"below {low_text[0]}" if value < low[0] else f"above {high_text[-1]}"
        k = int(np.searchsorted(ends, value))
        return low_text[k] if low[k] == high[k] else f"{low_text[k]}..{high_text[k]}"

    return name


def _texts(low: Doubles, high: Doubles) -> tuple[list[str], list[str]]:
    """Write the ends of bins with six digits, or as many as tell all of them apart: bins of one name would be one.

    >>> _texts(np.array([1.39e9]), np.array([1.39e9 + 1]))
    (['1390000000'], ['1390000001'])
    """
    for digits in range(6, 18):
        texts = [[f"{end:.{digits}g}" for end in ends.tolist()] for ends in (low, high)]
        if len({*texts[0], *texts[1]}) == len(np.union1d(low, high)):
            break
    return texts[0], texts[1]


def _positions(lists: list[list[str]], rows: Ints) -> tuple[list[str], Ints]:
    """Return the levels, and which of them each id has, int64[N,K], -1 where there are fewer.

    Of more than `MOST_LEVELS` those with most training rows are levels of their own, and the rest one, `other`.
    """
    count: dict[str, int] = {}
    for levels, number in zip(lists, rows.tolist(), strict=True):
        for level in set(levels):
            count[level] = count.get(level, 0) + number
    by_rows = sorted(count, key=lambda level: (-count[level], level))
    frequent = by_rows if len(by_rows) <= MOST_LEVELS else by_rows[: MOST_LEVELS - 1]
    names = sorted(frequent) + ([f"other ({len(by_rows) - len(frequent):,} levels)"] if frequent != by_rows else [])
    position = {level: k for k, level in enumerate(sorted(frequent))}
    numbers = [sorted({position.get(level, len(names) - 1) for level in levels}) for levels in lists]
    held = np.full((len(lists), max(map(len, numbers), default=1)), -1)
    for row, each in enumerate(numbers):
        held[row, : len(each)] = each
    return names, held
