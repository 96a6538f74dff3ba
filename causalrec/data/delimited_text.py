"""Reading raw tables, with a message that names file and line when a value is not what it must be."""

import gzip
import zlib
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path

import numpy as np
import polars as pl

from causalrec.errors import DataError, RequestError
from causalrec.types import Doubles, Floats, Ints


def read_delimited(
    path: Path, separator: str, names: list[str], *, header: bool, encoding: str = "utf-8"
) -> pl.DataFrame:
    """Read a delimited file as strings; quotes are ordinary characters, `.gz` is unpacked.

    Args:
        path: The file.
        separator: What stands between two fields.
        names: Names of the columns, in order.
        header: Whether the first line is a header, which is skipped.
        encoding: Of the text.

    Raises:
        DataError: When the file cannot be unpacked or decoded, or has another number of columns.
    """
    try:
        text = _raw(path).decode(encoding).replace("\r\n", "\n").rstrip("\n")
    except UnicodeDecodeError as error:
        raise DataError(f"{path}: not {encoding} text (byte {error.start}); the file is corrupt") from error
    lines = text.split("\n")  # not splitlines: a title may hold U+0085; and a blank line counts, so numbers stay right
    rows = [line.split(separator) for line in lines[1 if header else 0 :]]
    for number, row in enumerate(rows, start=2 if header else 1):
        if len(row) != len(names):
            raise DataError(
                f"{path}: line {number} has {len(row)} fields, expected {len(names)} ({', '.join(names)}); "
                f"the file is truncated or uses another delimiter"
            )
    return pl.DataFrame(rows, schema=dict.fromkeys(names, pl.String), orient="row")


def _raw(path: Path) -> bytes:
    try:
        return gzip.decompress(path.read_bytes()) if path.suffix == ".gz" else path.read_bytes()
    except (OSError, EOFError, zlib.error) as error:
        raise DataError(f"{path}: cannot be read ({error}); the file is truncated or corrupt") from error


def numbers(table: pl.DataFrame, column: str, path: Path, first_line: int = 2) -> Doubles:
    """Return a string column as float64[N].

    Args:
        table: The table as read, all strings.
        column: The column's name.
        path: The file, for the message.
        first_line: Line of the table's first row.

    Raises:
        DataError: Naming the first line that holds no finite number.
    """
    parsed = table[column].cast(pl.Float64, strict=False).to_numpy()
    bad = ~np.isfinite(parsed)
    if bad.any():
        row = int(np.argmax(bad))
        raise DataError(f"{path}: line {row + first_line}: {column} {table[column][row]!r} is not a finite number")
    return parsed


def integers(
    table: pl.DataFrame, column: str, path: Path, first_line: int = 2, *, low: int = 0, high: int = 2**53
) -> Ints:
    """Return a string column as int64[N].

    Args:
        table: The table as read, all strings.
        column: The column's name.
        path: The file, for the message.
        first_line: Line of the table's first row.
        low: Least number allowed.
        high: Greatest number allowed.

    Raises:
        DataError: Naming the first line that holds no whole number in low..high.
    """
    parsed = table[column].cast(pl.Int64, strict=False)
    bad = ~parsed.is_between(low, high).fill_null(False)
    if bad.any():
        row = int(bad.arg_max() or 0)
        raise DataError(
            f"{path}: line {row + first_line}: {column} {table[column][row]!r} is not a whole number in {low}..{high}"
        )
    return parsed.to_numpy()


def ratings_in_scale(values: Doubles, scale: tuple[float, float], path: Path, first_line: int = 2) -> Floats:
    """Return ratings as float32[N].

    Args:
        values: The ratings.
        scale: The card's bounds, both included.
        path: The file, for the message.
        first_line: Line of the first rating.

    Raises:
        DataError: Naming the first line whose rating is outside the scale.
    """
    bad = ~((values >= scale[0]) & (values <= scale[1]))
    if bad.any():
        row = int(np.argmax(bad))
        raise DataError(
            f"{path}: line {row + first_line}: rating {values[row]:g} is outside {scale[0]:g}..{scale[1]:g}"
        )
    return values.astype(np.float32)


def indices(table: pl.DataFrame, column: str, ids: list[str], path: Path, first_line: int = 2) -> Ints:
    """Map an id column to positions in `ids`, int64[N].

    Args:
        table: The table as read, all strings.
        column: The column's name.
        ids: The raw ids in order, each once.
        path: The file, for the message.
        first_line: Line of the table's first row.

    Raises:
        DataError: Naming the first line whose id `ids` lacks, and on an id that `ids` holds twice.
    """
    lookup = pl.Series(ids)
    if lookup.n_unique() != len(ids):
        raise DataError(f"{path}: the table of {column} holds an id twice")
    positions = table[column].replace_strict(lookup, pl.Series(range(len(ids)), dtype=pl.Int64), default=None)
    if positions.null_count():
        row = int(positions.is_null().arg_max() or 0)
        raise DataError(f"{path}: line {row + first_line}: {column} {table[column][row]!r} is not in its table")
    return positions.to_numpy()


def binarise(outcome: Floats, threshold: float | None) -> Floats:
    """Return `outcome >= threshold` as 0/1 float32, or the outcome itself where the threshold is None.

    >>> binarise(np.array([3.0, 4.0], dtype=np.float32), 4.0).tolist()
    [0.0, 1.0]
    """
    return outcome if threshold is None else (outcome >= threshold).astype(np.float32)


def classify(outcome: Floats, bin_edges: Sequence[float]) -> Floats:
    """Return the class of each outcome as float32: how many of the ascending `bin_edges` are at or below it.

    >>> classify(np.array([1.0, 3.0, 3.5, 5.0], dtype=np.float32), [3.0, 4.0]).tolist()
    [0.0, 1.0, 1.0, 2.0]
    """
    return np.searchsorted(np.asarray(bin_edges, np.float64), outcome, side="right").astype(np.float32)


def check_classes(bin_edges: Sequence[float] | None, threshold: float | None, scale: tuple[float, float]) -> None:
    """Raise RequestError on `bin_edges` that do not part the scale into classes, or that stand beside a threshold."""
    if bin_edges is None:
        return
    setting, example = f"dataset.classes={list(bin_edges)}", f"for example [{(scale[0] + scale[1]) / 2:g},{scale[1]:g}]"
    if threshold is not None:
        raise RequestError(f"{setting}: the threshold {threshold:g} makes two classes; set dataset.threshold=null")
    if not bin_edges or any(not low < high for low, high in pairwise(bin_edges)):
        raise RequestError(f"{setting}: name the ratings where a class begins, ascending, {example}")
    if outside := [cut for cut in bin_edges if not scale[0] < cut <= scale[1]]:
        raise RequestError(
            f"{setting}: {outside[0]:g} parts no ratings of {scale[0]:g}..{scale[1]:g}; "
            f"give cuts above {scale[0]:g} and up to {scale[1]:g}, {example}"
        )
