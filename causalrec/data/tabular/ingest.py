"""Interactions of any size streamed once, in bounded memory, into memory-mapped arrays with ids from 0."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
import polars as pl

from causalrec.data.tabular.bad_rows import BadRows
from causalrec.data.tabular.npy import ArrayWriter
from causalrec.data.tabular.rawfile import RawFile
from causalrec.types import Bools, Ints

ROWS = 500_000  # of one batch
ABSENT = -(1 << 62)  # an integer that the file lacks
UNITS: Mapping[str, int] = {"s": 1, "ms": 10**3, "us": 10**6, "ns": 10**9, "place": 1}
ISO = ("%Y-%m-%d %H:%M:%S%.f", "%Y-%m-%d %H:%M")
TimeUnit = Literal["s", "ms", "us", "ns", "iso", "place"]
DTYPES: Mapping[str, type[np.generic]] = {
    **dict.fromkeys(("user", "item", "time", "position", "treatment"), np.int64),
    **dict.fromkeys(("outcome", "propensity"), np.float32),
    "randomised": np.bool_,
    "number": np.float64,
    "category": np.int64,  # its place among the levels
}
RowKind = Literal["numeric", "category"]


def dtype_of(role: str) -> type[np.generic]:
    """Return the dtype of a role: columns of rows are `number0`, `category1` and so on, in the order declared.

    >>> dtype_of("outcome").__name__, dtype_of("category12").__name__
    ('float32', 'int64')
    """
    return DTYPES[role.rstrip("0123456789")]


@dataclass(frozen=True, kw_only=True)
class Roles:
    """Which column of the interactions plays which role; None where the file has none.

    Attributes:
        item: The column of item ids.
        user: Of user ids.
        outcome: Of the raw outcome.
        time: Of the time.
        position: Of the position in the list, a whole number.
        treatment: Of the exposure: 0 = not exposed, 1.. = arms.
        propensity: Of the propensity, a probability in (0, 1].
        randomised: Of the flag that is 1 where the item was drawn at random, else 0.
        scale: Bounds of the raw outcome, both included.
        binary: The raw outcome is 0 or 1, and nothing between.
        time_unit: Unit of numeric times, `iso` for text (2024-01-31 12:00:00), `place` for places in order.
        row_columns: Kind of each further column that is read as it is, by name.
    """

    item: str
    user: str | None = None
    outcome: str | None = None
    time: str | None = None
    position: str | None = None
    treatment: str | None = None
    propensity: str | None = None
    randomised: str | None = None
    scale: tuple[float, float] = (float("-inf"), float("inf"))
    binary: bool = False
    time_unit: TimeUnit = "s"
    row_columns: Mapping[str, RowKind] = field(default_factory=dict)

    @property
    def columns(self) -> dict[str, str]:
        """Column by role, of the roles that are there."""
        named = {role: name for role in DTYPES if (name := getattr(self, role, None)) is not None}
        return {**named, **self.row_roles}

    @property
    def row_roles(self) -> dict[str, str]:
        """Column by role, of the columns of rows."""
        prefixes = {"numeric": "number", "category": "category"}
        return {f"{prefixes[kind]}{k}": name for k, (name, kind) in enumerate(self.row_columns.items())}

    @property
    def categories(self) -> dict[str, str]:
        """Column by role, of the columns of rows that are categories."""
        return {role: name for role, name in self.row_roles.items() if role.startswith("category")}


@dataclass
class StreamedFile:
    """One raw file as arrays in the order of its rows, ids still those of `Dictionary`.

    Attributes:
        folder: Holds one `.npy` array per role.
        rows: N.
        bad_rows: The rows that break a rule.
        column_names: The roles that have an array.
    """

    folder: Path
    rows: int
    bad_rows: BadRows
    column_names: tuple[str, ...]

    def array(self, role: str, mode: Literal["r", "r+"] = "r") -> npt.NDArray[Any]:
        """Memory-map one array."""
        path = self.folder / f"{role}.npy"
        if self.rows == 0:
            return np.zeros(0, dtype_of(role))
        return np.load(path, mmap_mode=mode, allow_pickle=False)  # type: ignore[no-any-return]


@dataclass
class Dictionary:
    """Gives every distinct id a provisional number while files stream by (shared by all files)."""

    categories: pl.Categories = field(default_factory=pl.Categories.random)
    anchor: pl.Series = field(init=False, repr=False)  # polars forgets categories that no series holds

    def __post_init__(self) -> None:
        self.anchor = pl.Series([None], dtype=pl.Categorical(self.categories))

    @property
    def seen_ids(self) -> pl.Series:
        """The ids met so far, by provisional number."""
        return self.categories.to_series().cast(pl.String)

    def ranks(self, table_ids: pl.Series | None) -> tuple[pl.Series, Ints]:
        """Return the ids in their final order and the final number of each provisional one (-1: not in the table).

        The order is that of `table_ids` where there is a table, else by number where all ids are whole numbers, else
        by letter: never that in which threads met them.
        """
        seen_ids = self.seen_ids
        ids = _sort_ids(seen_ids.drop_nulls()) if table_ids is None else table_ids
        if not len(ids):
            return ids, np.full(len(seen_ids), -1, np.int64)
        first = ids.is_first_distinct()  # an id that its table holds twice is a problem of that table
        numbers = pl.Series(np.arange(len(ids)), dtype=pl.Int64).filter(first)
        ranks = seen_ids.replace_strict(ids.filter(first), numbers, default=None, return_dtype=pl.Int64)
        return ids, ranks.fill_null(-1).to_numpy()


def _sort_ids(ids: pl.Series) -> pl.Series:
    are_integers = bool(ids.str.contains(r"^(0|[1-9]\d{0,17})$").all())
    return ids.gather(ids.cast(pl.Int64).arg_sort()) if are_integers else ids.sort()


def stream(raw: RawFile, roles: Roles, ids: Mapping[str, Dictionary], folder: Path) -> StreamedFile:
    """Read the file into arrays, noting every row that breaks a rule.

    The usual forms of numbers are tried first, all that are allowed only where a row holds another: it is much faster.

    Args:
        raw: The file, ready to scan.
        roles: Which column plays which role.
        ids: The dictionary of each role that holds ids or categories, shared by all files.
        folder: Where the arrays are written.

    Raises:
        PolarsError: On a file that cannot be parsed.
    """
    if roles.treatment is None:
        streamed = _stream(raw, roles, ids, folder, usual=True)
        if not streamed.bad_rows.kinds:
            return streamed
    return _stream(raw, roles, ids, folder, usual=False)


def _stream(raw: RawFile, roles: Roles, ids: Mapping[str, Dictionary], folder: Path, usual: bool) -> StreamedFile:
    folder.mkdir(parents=True, exist_ok=True)
    frame = raw.scan(list(dict.fromkeys(roles.columns.values())))
    frame = frame.select(_role_expressions(roles, frame.collect_schema(), ids, usual))
    bad_rows, offset = BadRows(raw), 0
    writers = {role: ArrayWriter(folder / f"{role}.npy", dtype_of(role)) for role in roles.columns}
    try:
        for batch in frame.collect_batches(chunk_size=ROWS, maintain_order=True, engine="streaming"):
            arrays = {role: batch[role].to_numpy() for role in roles.columns}
            _note_bad_rows(arrays, roles, bad_rows, offset)
            for role, values in arrays.items():
                writers[role].append(values == 1 if role == "randomised" else values)
            offset += len(batch)
    finally:
        for writer in writers.values():
            writer.__exit__()
    return StreamedFile(folder, offset, bad_rows, tuple(writers))


def _role_expressions(roles: Roles, schema: pl.Schema, ids: Mapping[str, Dictionary], usual: bool) -> list[pl.Expr]:
    expressions = []
    for role, name in roles.columns.items():
        column = pl.col(name)
        if role in ids:
            words = column.cast(pl.String)
            words = pl.when(words != "").then(words)
            expression = words.cast(pl.Categorical(ids[role].categories)).to_physical().cast(pl.Int64).fill_null(-1)
        elif usual and schema[name] == pl.String and role == "outcome":
            expression = column.str.strip_chars().cast(pl.Float64, strict=False)
        elif usual and schema[name] == pl.String and role == "time" and roles.time_unit != "iso":
            seconds = column.str.strip_chars().cast(pl.Int64, strict=False) // UNITS[roles.time_unit]
            expression = seconds.fill_null(ABSENT)
        elif role == "time":
            expression = _seconds(column, schema[name], roles.time_unit).fill_null(ABSENT)
        elif role in ("position", "treatment"):
            expression = _integer(column, schema[name], flag=role == "treatment").fill_null(ABSENT)
        else:
            expression = _number(column, schema[name], flag=role in ("randomised", "outcome"))
        expressions.append(expression.alias(role))
    return expressions


def _number(column: pl.Expr, dtype: pl.DataType, flag: bool) -> pl.Expr:
    """Parse numbers, null where there is none; true and false are 1 and 0 in a flag."""
    if dtype != pl.String:
        return column.cast(pl.Float64, strict=False)
    words = column.str.strip_chars()
    parsed = words.cast(pl.Float64, strict=False)
    if not flag:
        return parsed
    lower = words.str.to_lowercase()
    return pl.when(lower == "true").then(1.0).when(lower == "false").then(0.0).otherwise(parsed)


def _integer(column: pl.Expr, dtype: pl.DataType, flag: bool = False) -> pl.Expr:
    number = _number(column, dtype, flag)
    rounded = pl.when((number == number.round()) & (number.abs() < 2.0**53)).then(number).cast(pl.Int64, strict=False)
    if dtype == pl.String:  # nanoseconds do not fit a float
        return pl.coalesce(column.str.strip_chars().cast(pl.Int64, strict=False), rounded)
    return column if dtype == pl.Int64 else rounded


def _seconds(column: pl.Expr, dtype: pl.DataType, unit: TimeUnit) -> pl.Expr:
    if dtype.is_temporal():
        return column.cast(pl.Datetime("us")).dt.epoch("s")
    if unit != "iso":
        number = _number(column, dtype, flag=False)
        integer = _integer(column, dtype)
        seconds = (
            pl.when(number.is_finite() & (number.abs() < 2.0**53)).then(number.floor()).cast(pl.Int64, strict=False)
        )
        return pl.coalesce(integer, seconds) // UNITS[unit]
    words = column.cast(pl.String).str.strip_chars().str.replace("T", " ").str.strip_suffix("Z")
    parsed = [words.str.to_datetime(form, strict=False, time_unit="us") for form in ISO]
    parsed.append(words.str.to_date("%Y-%m-%d", strict=False).cast(pl.Datetime("us")))
    return pl.coalesce(parsed).dt.epoch("s")


def _note_bad_rows(arrays: dict[str, npt.NDArray[Any]], roles: Roles, bad_rows: BadRows, offset: int) -> None:
    """Note every row of a batch that breaks a rule of its column."""

    blank = arrays["item"] < 0
    for role in {"user", "outcome"} & set(arrays):
        blank = blank & ~(arrays[role] >= 0)
    bad_rows.add("a blank row; remove it", None, blank, offset)

    def note(what: str, role: str, bad: Bools) -> None:
        bad_rows.add(what, roles.columns[role], bad & ~blank, offset)

    for role in ("user", "item"):
        if role in arrays:
            note("no id", role, arrays[role] < 0)
    exposed = arrays["treatment"] > 0 if "treatment" in arrays else np.ones(len(arrays["item"]), bool)
    if "outcome" in arrays:
        value, (low, high) = arrays["outcome"], roles.scale
        finite = np.isfinite(value)
        note("{value} is not a finite number", "outcome", ~finite & (exposed | np.isinf(value)))
        note(
            f"{{value}} is outside the scale {low:g}..{high:g}", "outcome", finite & ~((value >= low) & (value <= high))
        )
        if roles.binary:
            fraction = finite & ~np.isin(value, (0.0, 1.0)) & (value >= low) & (value <= high)
            note("{value} is no click: 0 or 1; set dataset.kind=watch_ratio, or dataset.threshold", "outcome", fraction)
    time = "a place in order" if roles.time_unit == "place" else f"a time in {roles.time_unit}"
    for role, what in (("time", time), ("position", "a whole number")):
        if role in arrays:
            note(f"{{value}} is not {what}", role, arrays[role] == ABSENT)
    if "treatment" in arrays:
        note("{value} is not an exposure: 0 = not exposed, 1.. = arms", "treatment", arrays["treatment"] < 0)
    if "propensity" in arrays:
        chance = arrays["propensity"].astype(np.float32)
        note("propensity {value} is outside (0, 1]", "propensity", ~((chance > 0) & (chance <= 1)))
    for role in roles.row_roles:
        if role in roles.categories:
            note("no category; fill it or drop the row", role, arrays[role] < 0)
        else:
            note("{value} is not a finite number; fill it or drop the row", role, ~np.isfinite(arrays[role]))
    if "randomised" in arrays:
        note("the flag {value} is neither 0 nor 1", "randomised", ~np.isin(arrays["randomised"], (0, 1)))


def chunks(length: int, size: int = 1 << 20) -> Iterator[slice]:
    """Yield slices that cover `length` rows."""
    return (slice(start, min(start + size, length)) for start in range(0, length, size))


def renumber(streamed: StreamedFile, role: str, ranks: Ints, column: str) -> None:
    """Replace provisional ids by final ones in place, noting ids that their table lacks.

    Args:
        streamed: The file; its array of the role is changed.
        role: The role of the ids.
        ranks: The final number of each provisional one, -1 where the table lacks it.
        column: Their column in the file.
    """
    codes = streamed.array(role, "r+")
    padded = np.append(ranks, -1)
    for where in chunks(len(codes)):
        provisional = codes[where].copy()
        codes[where] = padded[provisional]
        streamed.bad_rows.add(
            f"{{value}} is not in the table of {role}s", column, (codes[where] < 0) & (provisional >= 0), where.start
        )


def last_of_repeats(codes: Ints, time: Ints | None = None) -> Bools | None:
    """Return which rows are the last of their code, None where no code repeats.

    Args:
        codes: int64[N].
        time: int64[N]; the last is the latest, of equal times the last row. None: the last row.

    >>> last_of_repeats(np.array([7, 8, 7]), np.array([20, 15, 10])).tolist()
    [True, True, False]
    """
    ordered = np.sort(codes)
    if not (ordered[1:] == ordered[:-1]).any():
        return None
    order = np.argsort(codes, kind="stable") if time is None else np.lexsort((time, codes))
    last = np.ones(len(codes), bool)
    last[order[:-1]] = codes[order][1:] != codes[order][:-1]
    return last
