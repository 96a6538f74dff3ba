"""Tables of users or items with one row per id, whatever the raw tables lack."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import polars as pl

from causalrec.data.card import Column
from causalrec.errors import DataError
from causalrec.types import Ints

UNKNOWN = "unknown"


def every_id(*columns: pl.Series) -> pl.Series:
    """Return the ids that occur in any of the columns, each once, ascending: row k of a side table is id k."""
    return pl.concat([column.cast(pl.Int64) for column in columns]).unique().sort().alias("id")


def positions(column: pl.Series, ids: pl.Series) -> Ints:
    """Map raw ids to their row numbers int64[N] in the ascending `ids`; each must be there (`every_id`)."""
    return np.searchsorted(ids.to_numpy(), column.to_numpy()).astype(np.int64)


def side_table(table: pl.DataFrame, key: str, ids: pl.Series, columns: Sequence[Column]) -> pl.DataFrame:
    """Give every id one row: a missing category is "unknown", number the median, list empty, text "".

    Args:
        table: The raw table.
        key: Its column of ids.
        ids: The ids in order, one per row of the result.
        columns: The card's columns of this entity; those of kind `id` are left out.

    Raises:
        DataError: When the raw table holds an id twice.
    """
    if table[key].n_unique() != len(table):
        twice = table.filter(table[key].is_duplicated())[key][0]
        raise DataError(f"the table of {key} holds {twice} twice; another version?")
    joined = ids.to_frame(key).join(table, on=key, how="left", maintain_order="left")
    return joined.select([_fill_missing(joined, column) for column in columns if column.kind != "id"])


def _fill_missing(table: pl.DataFrame, column: Column) -> pl.Series:
    series = table[column.name]
    if column.kind == "numeric":
        median = series.median()
        return series.cast(pl.Float64).fill_null(0.0 if median is None else float(median))  # type: ignore[arg-type]
    if column.kind == "multi_hot":
        return pl.Series(column.name, [value if value is not None else [] for value in series], dtype=series.dtype)
    return series.cast(pl.String).fill_null("" if column.kind == "text" else UNKNOWN)
