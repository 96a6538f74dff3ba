"""Precomputed vectors of items (of images, sound, text), one row per item, checked before they are read."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import numpy as np
import polars as pl
from pydantic import ConfigDict

from causalrec.errors import DataError, did_you_mean
from causalrec.types import Vectors

ROWS_AT_ONCE = 1 << 14
EXPECTED_FORMAT = "save a two-dimensional array of 16, 32 or 64 bit floats, one row per item, by numpy.save"


@dataclass(frozen=True, kw_only=True)
class VectorFile:
    """Where vectors stand; an item without a row has no vector.

    Attributes:
        file: A `.npy` array [I,D] in item order, which is memory-mapped, or a `.parquet` table.
        column: The table's column of lists of floats; None: the column that has the vectors' name.
        id: The table's column of item ids; None where its rows are in item order.
    """

    __pydantic_config__: ClassVar[ConfigDict] = ConfigDict(extra="forbid")
    file: str
    column: str | None = None
    id: str | None = None


def read_vectors(
    path: Path, ids: Sequence[str], name: str, *, column: str | None = None, id: str | None = None
) -> Vectors:
    """Return floats [I,D], a row of NaN where an item has no vector.

    Args:
        path: A `.npy` array or a `.parquet` table.
        ids: The item ids in item order.
        name: What the vectors are called, in messages too.
        column: The table's column of lists of floats; None: the column called `name`.
        id: The table's column of item ids; None where its rows are in item order.

    Raises:
        DataError: In one line, on a missing file, other than two dimensions, other than floats (Python objects, which
            could run code, among them), the wrong number of rows, and a row that is partly NaN or infinite.
    """
    if not path.is_file():
        raise DataError(f"{path}: there is no such file; name the file of the vectors {name}")
    if path.suffix not in (".npy", ".parquet"):
        raise DataError(f"{path}: vectors are read from .npy or .parquet, not {path.suffix or 'a file without suffix'}")
    values = _array(path) if path.suffix == ".npy" else _column(path, column or name, id, ids)
    if len(values) != len(ids):
        raise DataError(f"{path}: {len(values)} rows, but there are {len(ids)} items; give one per item, in item order")
    missing = 0
    for start in range(0, len(values), ROWS_AT_ONCE):
        block = values[start : start + ROWS_AT_ONCE]
        absent = np.isnan(block).all(1)
        bad = ~np.isfinite(block).all(1) & ~absent
        if bad.any():
            row = start + int(np.argmax(bad))
            raise DataError(f"{path}: row {row} is partly NaN or infinite; mend it, or make all of it NaN (no vector)")
        missing += int(absent.sum())
    if missing == len(values):
        raise DataError(f"{path}: every row of {name} is NaN, so that no item has a vector; check the ids and the file")
    return values


def _array(path: Path) -> Vectors:
    try:
        values: Vectors = np.lib.format.open_memmap(path, mode="c")  # never Python objects; a tensor must be writable
    except (ValueError, OSError, EOFError) as error:
        raise DataError(f"{path}: no array of numbers ({' '.join(str(error).split())}); {EXPECTED_FORMAT}") from error
    _require(path, values.ndim == 2 and values.shape[1] > 0, f"has shape {values.shape}")
    _require(path, values.dtype.kind == "f" and values.dtype.itemsize <= 8, f"holds {values.dtype}")
    return values if values.dtype.isnative else values.astype(values.dtype.newbyteorder("="))


def _require(path: Path, holds: bool, what: str) -> None:
    if not holds:
        raise DataError(f"{path}: {what}; {EXPECTED_FORMAT}")


def _column(path: Path, column: str, id: str | None, ids: Sequence[str]) -> Vectors:
    try:
        header = pl.scan_parquet(path, glob=False).collect_schema().names()
        for name in filter(None, (column, id)):
            if name not in header:
                raise DataError(f"{path}: no column {name}; {did_you_mean(name, header)}")
        table = pl.read_parquet(path, glob=False, columns=[column, *([id] if id else [])])
    except (pl.exceptions.PolarsError, OSError) as error:
        raise DataError(f"{path}: no Parquet table ({' '.join(str(error).split())}); write it anew") from error
    vectors = _lists(path, table[column])
    return vectors if id is None else _order_rows(path, vectors, table[id].cast(pl.String), ids)


def _lists(path: Path, series: pl.Series) -> Vectors:
    """Return the lists of floats as an array; a null is a row of NaN."""
    if isinstance(series.dtype, pl.Array):
        series = series.arr.to_list()
    inner = series.dtype.inner if isinstance(series.dtype, pl.List) else None
    if inner not in (pl.Float32, pl.Float64):
        raise DataError(f"{path}: column {series.name} holds {series.dtype}; give lists of 32 or 64 bit floats")
    there, lengths = series.is_not_null().to_numpy(), series.list.len().drop_nulls()
    if lengths.n_unique() != 1 or lengths[0] == 0:
        raise DataError(
            f"{path}: the lists of {series.name} differ in length, or are empty; give each row as many numbers"
        )
    values = np.full((len(series), int(lengths[0])), np.nan, np.float32 if inner == pl.Float32 else np.float64)
    values[there] = series.drop_nulls().explode().to_numpy().reshape(-1, values.shape[1])
    return values


def _order_rows(path: Path, vectors: Vectors, given: pl.Series, ids: Sequence[str]) -> Vectors:
    """Put rows in the order of `ids`; NaN for an id that the file lacks."""
    if given.is_duplicated().any():
        row = int(given.is_duplicated().arg_max() or 0)
        raise DataError(f"{path}: row {row}: the id {given[row]!r} stands in several rows; keep one")
    row_of = {item_id: row for row, item_id in enumerate(given)}
    rows = np.array([row_of.get(item_id, len(vectors)) for item_id in ids], np.int64)
    return np.concatenate([vectors, np.full((1, vectors.shape[1]), np.nan, vectors.dtype)])[rows]
