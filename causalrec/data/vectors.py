"""Precomputed vectors of items and users (of images, sound, text, of another model), checked before they are read."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import numpy as np
import polars as pl
from pydantic import ConfigDict

from causalrec.data.readable_paths import require_readable
from causalrec.data.sources import sha256_of
from causalrec.errors import DataError, RequestError, did_you_mean
from causalrec.types import Entity, Vectors

ROWS_AT_ONCE = 1 << 14
EXPECTED_FORMAT = "save a two-dimensional array of 16, 32 or 64 bit floats, one row per item, by numpy.save"


@dataclass(frozen=True, kw_only=True)
class VectorFile:
    """Where vectors stand; an id without a row has no vector.

    Attributes:
        file: A `.npy` array [I,D], memory-mapped where its rows are in the order of the ids, or a `.parquet` table;
            below the data set's folder, or anywhere where it begins with `.` or `/`.
        column: The table's column of lists of floats; None: the column that has the vectors' name.
        id: The table's column of ids; None where its rows are in the order of the ids.
        ids: The file beside a `.npy` array that holds the id of each row, itself a `.npy` array of text, as
            `causalrec vectors` writes it; None where the rows are in the order of the ids.
    """

    __pydantic_config__: ClassVar[ConfigDict] = ConfigDict(extra="forbid")
    file: str
    column: str | None = None
    id: str | None = None
    ids: str | None = None

    def __post_init__(self) -> None:
        if self.ids is not None and Path(self.file).suffix != ".npy":
            raise RequestError(f"vectors of {self.file}: ids stand beside a .npy array; name the table's column, id")

    def path(self, folder: Path, root: Path) -> Path:
        """Return where the file lies; RequestError where it is none of data (`readable_paths`)."""
        return _locate(folder, self.file, root)

    def read(self, folder: Path, root: Path, ids: Sequence[str], name: str, entity: Entity = "item") -> Vectors:
        """Return the vectors of ids in their order, as `read_vectors` does.

        Args:
            folder: Of the data set.
            root: `paths.data`.
            ids: The ids in order.
            name: What the vectors are called.
            entity: Whose vectors they are.
        """
        path, column = self.path(folder, root), self.column
        id_file = None if self.ids is None else _locate(path.parent, self.ids, root)
        return read_vectors(path, ids, name, column=column, id=self.id, id_file=id_file, entity=entity)


def _locate(folder: Path, file: str, root: Path) -> Path:
    if file.startswith((".", "/")):
        return require_readable(Path(file).parent, Path(file).name, root)
    return require_readable(folder, file, root)


def read_side(
    files: Mapping[str, VectorFile], folder: Path, root: Path, ids: Sequence[str], entity: Entity
) -> dict[str, Vectors]:
    """Return the vectors of one side by name, [N,D] each.

    Args:
        files: Where they stand, by name.
        folder: Of the data set.
        root: `paths.data`.
        ids: The side's ids in order.
        entity: Whose ids they are.
    """
    return {name: file.read(folder, root, ids, name, entity) for name, file in files.items()}


def row_numbers(count: int) -> list[str]:
    """Return what ids are called where the files name none: their rows, from 0."""
    return [str(row) for row in range(count)]


def check_side(files: Mapping[str, VectorFile], folder: Path, root: Path) -> None:
    """Raise RequestError where a file of vectors, or of their ids, is not there; nothing is read.

    Args:
        files: Where they stand, by name.
        folder: Of the data set.
        root: `paths.data`.
    """
    for name, file in files.items():
        path = file.path(folder, root)
        for each in (path, *([] if file.ids is None else [_locate(path.parent, file.ids, root)])):
            if not each.is_file():
                raise RequestError(
                    f"{each}: there is no such file; name the file of the vectors {name}, or make it by `causalrec "
                    f"vectors RUN --out DIR`"
                )


def checksums(files: Iterable[VectorFile], folder: Path, root: Path) -> dict[str, str]:
    """Return the sha256 of each file of vectors and of ids that there is, by its path below the folder."""
    paths: dict[str, Path] = {}
    for file in files:
        paths[file.file] = path = file.path(folder, root)
        if file.ids is not None:
            paths[f"{file.file}: {file.ids}"] = _locate(path.parent, file.ids, root)
    return {name: sha256_of(path) for name, path in paths.items() if path.is_file()}


def read_vectors(
    path: Path,
    ids: Sequence[str],
    name: str,
    *,
    column: str | None = None,
    id: str | None = None,
    id_file: Path | None = None,
    entity: Entity = "item",
) -> Vectors:
    """Return floats [N,D], a row of NaN where an id has no vector.

    Args:
        path: A `.npy` array or a `.parquet` table.
        ids: The ids in order.
        name: What the vectors are called, in messages too.
        column: The table's column of lists of floats; None: the column called `name`.
        id: The table's column of ids; None where its rows are in the order of `ids`.
        id_file: A `.npy` array of text with the id of each row of the array; None as that.
        entity: Whose vectors they are.

    Raises:
        DataError: In one line, on a missing file, other than two dimensions, other than floats (Python objects, which
            could run code, among them), the wrong number of rows, and a row that is partly NaN or infinite.
    """
    if not path.is_file():
        raise DataError(f"{path}: there is no such file; name the file of the vectors {name}")
    if path.suffix not in (".npy", ".parquet"):
        raise DataError(f"{path}: vectors are read from .npy or .parquet, not {path.suffix or 'a file without suffix'}")
    values = _array(path) if path.suffix == ".npy" else _column(path, column or name, id, ids)
    if id_file is not None:
        given = _ids(id_file)
        if len(given) != len(values):
            raise DataError(f"{id_file}: {len(given)} ids, but {path.name} has {len(values)} rows; name one of each")
        values = _order_rows(id_file, values, given, ids)
    if len(values) != len(ids):
        raise DataError(
            f"{path}: {len(values)} rows, but there are {len(ids)} {entity}s; give one per {entity}, in {entity} order"
        )
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
        raise DataError(
            f"{path}: every row of {name} is NaN, so that no {entity} has a vector; check the ids and the file"
        )
    return values


def _array(path: Path) -> Vectors:
    try:
        values: Vectors = np.lib.format.open_memmap(path, mode="c")  # never Python objects; a tensor must be writable
    except (ValueError, OSError, EOFError) as error:
        raise DataError(f"{path}: no array of numbers ({' '.join(str(error).split())}); {EXPECTED_FORMAT}") from error
    _require(path, values.ndim == 2 and values.shape[1] > 0, f"has shape {values.shape}")
    _require(path, values.dtype.kind == "f" and values.dtype.itemsize <= 8, f"holds {values.dtype}")
    return values if values.dtype.isnative else values.astype(values.dtype.newbyteorder("="))


def _ids(path: Path) -> pl.Series:
    try:
        values = np.load(path, allow_pickle=False)
    except (ValueError, OSError, EOFError) as error:
        raise DataError(f"{path}: no array of ids ({' '.join(str(error).split())}); save text by numpy.save") from error
    if values.ndim != 1 or values.dtype.kind != "U":
        raise DataError(f"{path}: holds {values.dtype} of shape {values.shape}; save one text per row by numpy.save")
    return pl.Series(values)


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
