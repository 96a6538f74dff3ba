"""Reading quoted CSV tables by column name and type, with a message that names file and line of a bad value."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

import polars as pl

from causalrec.errors import DataError

Schema = Mapping[str, Any]  # column -> polars type


def read_csv(path: Path, schema: Schema, *, optional: Collection[str] = ()) -> pl.DataFrame:
    """Read these columns of a comma-separated file, typed; other columns are ignored, quotes may enclose a field.

    A file whose name ends in .gz is unpacked on the way. Columns in `optional` may hold empty fields (null, or "" for
    text); in any other number or text column an empty field, or a number that is not finite, raises DataError with
    its line. Lines are counted as records, so a line break inside quotes does not count.
    """
    try:
        table = pl.read_csv(path, columns=list(schema), schema_overrides=dict(schema), glob=False)
    except (pl.exceptions.PolarsError, OSError) as error:
        raise _locate_error(path, schema, optional, error) from error
    _require_complete(table, path, optional)
    return table.select(list(schema))


def _require_complete(table: pl.DataFrame, path: Path, optional: Collection[str]) -> None:
    for name, series in ((s.name, s) for s in table):
        bad = series.is_null() if series.dtype not in (pl.Float32, pl.Float64) else ~series.is_finite().fill_null(False)
        if name not in optional and bad.any():
            row = int(bad.arg_max() or 0)
            raise DataError(f"{path}: line {row + 2}: {name} is {series[row]!r}; the row is truncated or corrupt")


def _locate_error(path: Path, schema: Schema, optional: Collection[str], error: Exception) -> DataError:
    """Find the first value that cannot be read as its column's type; polars itself names no line."""
    try:
        text = pl.read_csv(path, infer_schema=False, truncate_ragged_lines=True, glob=False)
    except (pl.exceptions.PolarsError, OSError) as worse:
        return DataError(f"{path}: cannot be read as CSV ({_first_line(worse)}); the file is corrupt")
    missing = [name for name in schema if name not in text.columns]
    if missing:
        return DataError(
            f"{path}: has no column {missing[0]} (it has {', '.join(text.columns[:30])}); another version?"
        )
    for name, kind in schema.items():
        bad = text[name].cast(kind, strict=False).is_null() & (text[name].is_not_null() | (name not in optional))
        if bad.any():
            row = int(bad.arg_max() or 0)
            return DataError(f"{path}: line {row + 2}: {name} {text[name][row]!r} is not a {kind}; corrupt?")
    return DataError(f"{path}: cannot be read as CSV ({_first_line(error)}); the file is truncated or corrupt")


def _first_line(error: Exception) -> str:
    return str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
