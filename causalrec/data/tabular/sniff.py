"""A look at a table nobody described: its encoding, separator and header, and what each column holds."""

from __future__ import annotations

import csv
import re
import tempfile
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

import polars as pl

from causalrec.data.tabular.numbers import NumberFormat, is_missing
from causalrec.data.tabular.plain_copy import BOMS, encoding_problems, prepare_file
from causalrec.data.tabular.rawfile import JSON, PARQUET, RawFile
from causalrec.data.tabular.role_values import number_expression
from causalrec.data.tabular.times import TimeFormat
from causalrec.errors import RequestError
from causalrec.types import Doubles

ROWS = 1_000_000  # looked at
LINES = 200  # of which the separator is guessed
SEPARATORS = ("::", "\t", ";", ",", "|", " ")
FORMATS = (
    NumberFormat(),
    NumberFormat(thousands=","),
    NumberFormat(decimal=","),
    NumberFormat(decimal=",", thousands="."),
)
FORMS = (
    *(f"{date}{clock}" for date in ("%d/%m/%Y", "%m/%d/%Y", "%Y/%m/%d", "%d-%m-%Y", "%d.%m.%Y", "%m/%d/%y")
      for clock in ("", " %H:%M", " %H:%M:%S")),
    "%b %d, %Y", "%B %d, %Y", "%d %b %Y", "%d %B %Y", "%m %d, %Y", "%d-%b-%Y", "%Y%m%d", "%a %b %d %H:%M:%S %z %Y",
)  # fmt: skip
HTML = r"&(amp|lt|gt|quot|nbsp|#\d+);|<(p|br|b|i|a|div|span|ul|li|em|strong)\b[^<>]*>"
SameAs = Literal["number", "time", "list", "html", "text", "words"]
WORDS_OF_ELEMENT = 4  # from which what a mark parts are clauses, not elements of a list
LONGEST = 26  # characters of a cell that stands for others
MOST_LEVELS = 200  # of words that are called a category


@dataclass(frozen=True, kw_only=True)
class ColumnLook:
    """What a column holds.

    Attributes:
        name: Its name.
        holds: Numbers, times in text, lists, HTML, sentences or words.
        distinct: How many different cells there are.
        missing: How many cells are missing.
        low: The least number.
        high: The greatest number.
        is_whole: Whether all numbers are whole.
        is_half: Whether all numbers are whole or halves.
        separator: Of the elements of a list, None where it is bracketed.
        form: Of times in text, None for ISO.
        sample: A cell or two, for people.
    """

    name: str
    holds: SameAs
    distinct: int
    missing: int
    low: float = float("nan")
    high: float = float("nan")
    is_whole: bool = False
    is_half: bool = False
    separator: str | None = None
    form: str | None = None
    sample: str = ""


@dataclass(frozen=True, kw_only=True)
class TableLook:
    """What a table holds.

    Attributes:
        raw: How it is read.
        rows: Rows that were looked at.
        is_complete: Whether these are all.
        columns: Its columns, those that only number the rows left out.
        frame: The cells, as read.
        header: Whether the first line names the columns.
    """

    raw: RawFile
    rows: int
    is_complete: bool
    columns: tuple[ColumnLook, ...]
    frame: pl.DataFrame
    header: bool

    def column(self, name: str) -> ColumnLook:
        """Return the look at one column (StopIteration where there is none of that name)."""
        return next(column for column in self.columns if column.name == name)


def look_at(path: Path) -> TableLook:
    """Read the first rows of a table as people have them; raise RequestError where it is none."""
    with tempfile.TemporaryDirectory() as scratch:
        raw = RawFile(path=path)
        if raw.suffix not in JSON | PARQUET:
            raw = _sniff_text(raw, Path(scratch))
        ready, _, problems = prepare_file(raw, Path(scratch))
        if problems:
            raise RequestError(str(problems[0]))
        names = _header(ready)
        try:
            frame = ready.scan(names).head(ROWS + 1).collect()
        except pl.exceptions.PolarsError as error:
            raise RequestError(
                f"{path}: its lines are no rows of one table; name a CSV, JSON or Parquet file"
            ) from error
    if not len(frame):
        raise RequestError(f"{path}: has no rows")
    is_complete, frame = len(frame) <= ROWS, frame.head(ROWS)
    frame = frame.select([name for name in names if not _numbers_rows(frame[name])] or names)
    numbers = _number_format(frame)
    columns = tuple(_look_at_column(frame[name], numbers) for name in frame.columns)
    raw = replace(raw, numbers=numbers)
    return TableLook(
        raw=raw, rows=len(frame), is_complete=is_complete, columns=columns, frame=frame, header=raw.names is None
    )


def _header(raw: RawFile) -> list[str]:
    """Return the names of the columns; raise RequestError where there are none, or one is there twice."""
    names = raw.header()
    if not names:
        raise RequestError(f"{raw.path}: no names of columns could be read; is it a table?")
    for name in names:
        if (count := names.count(name)) > 1:
            raise RequestError(f"{raw.path}: {count} columns are named {name!r}; give each its own name in the file")
    return names


def _sniff_text(raw: RawFile, scratch: Path) -> RawFile:
    """Return how a delimited text is read: its encoding, separator, quotes and names."""
    raw = replace(raw, encoding=_encoding(raw), separator="\n")  # one column: the lines
    ready, _, problems = prepare_file(replace(raw, separator=","), scratch)
    if problems:
        raise RequestError(str(problems[0]))
    with ready.where.open(encoding="utf-8-sig", newline="") as text:
        lines = [line.rstrip("\r\n") for _, line in zip(range(LINES), text, strict=False) if line.strip()]
    if not lines:
        raise RequestError(f"{raw.path}: is empty")
    separator, escape = _separator(lines), "\\" if _has_escaped_quotes(ready.where) else None
    quote = '"' if escape or all(_fields(line, separator, '"') is not None for line in lines) else None
    rows = [_fields(line, separator, quote) or [] for line in lines]
    names = None if _is_header(rows) else _names_for(rows)
    return replace(raw, separator=separator, quote=quote, escape=escape, names=names)


def _encoding(raw: RawFile) -> str:
    with raw.path.open("rb") as stream:
        head = stream.read(4)
    for mark, encoding in BOMS.items():
        if head.startswith(mark):
            return encoding
    if raw.path.suffix.lower() != ".gz" and any(True for _ in encoding_problems(raw)):
        return "latin-1" if any(True for _ in encoding_problems(replace(raw, encoding="cp1252"))) else "cp1252"
    return "utf-8"


def _has_escaped_quotes(path: Path) -> bool:
    """Whether a backslash stands before quotes that do not end their field."""
    with path.open("rb") as stream:
        return any(re.search(rb'\\"(?![;,\t|\r\n])', line) for line in stream if b'\\"' in line)


def _separator(lines: Sequence[str]) -> str:
    """Return the separator that cuts the most lines into one number of fields, of several the one of most fields."""

    def score(separator: str) -> tuple[float, int]:
        widths = Counter(len(_fields(line, separator, '"') or line.split(separator)) for line in lines)
        width, count = widths.most_common(1)[0]
        return (round(count / len(lines), 2) if width > 1 else 0.0, width if separator != " " else 0)

    return max(SEPARATORS, key=lambda separator: (score(separator), -SEPARATORS.index(separator)))


def _fields(line: str, separator: str, quote: str | None) -> list[str] | None:
    """Cut a line into fields; None where a quote stands where none belongs."""
    if quote is None or quote not in line or len(separator) > 1:
        return None if quote and quote in line else line.split(separator)
    try:
        return next(csv.reader([line], delimiter=separator, quotechar=quote, strict=True))
    except (csv.Error, StopIteration):
        return None


def _is_header(rows: Sequence[Sequence[str]]) -> bool:
    """Whether the first row holds names: words, each once, above a column that holds other things."""
    first, others = rows[0], rows[1:]
    names = [field.strip() for field in first]
    if not others or any(_is_number(name) for name in names if name):
        return not others
    numeric = [all(_is_number(row[k]) or not row[k] for row in others if k < len(row)) for k in range(len(names))]
    is_unique = len(set(names)) == len(names)
    return any(numeric) or (is_unique and all(re.fullmatch(r"[\w .:/()-]{0,40}", name) for name in names))


def _is_number(text: str) -> bool:
    return re.fullmatch(r"\s*[-+]?[$€£]?\d[\d,.']*([eE][-+]?\d+)?\s*", text) is not None


def _names_for(rows: Sequence[Sequence[str]]) -> list[str]:
    """Name the columns of a table without a header: user, item, rating, time, where they look like it."""
    width = max(Counter(len(row) for row in rows).items(), key=lambda pair: pair[1])[0]
    rated = width >= 3 and all(_is_number(row[2]) for row in rows if len(row) == width)
    usual = ["user", "item", *(["rating"] if rated else []), *(["time"] if rated and width == 4 else [])]
    return [usual[k] if k < len(usual) else f"column{k + 1}" for k in range(width)]


def _numbers_rows(series: pl.Series) -> bool:
    """Whether a column only numbers the rows, as tables from R and pandas do."""
    name = series.name.strip().lower()
    if name not in ("rownames", "unnamed: 0", "index", "row", "x"):
        return name == ""
    numbers = series.cast(pl.Int64, strict=False)
    return numbers.null_count() == 0 and bool((numbers.diff().drop_nulls() == 1).all())


def _number_format(frame: pl.DataFrame) -> NumberFormat:
    """Return the format of numbers under which the most cells are numbers, plain where it makes no difference."""
    words = [name for name, dtype in frame.schema.items() if dtype == pl.String]
    head = frame.select(words).head(10_000)

    def count(numbers: NumberFormat) -> int:
        parsed = head.select(numbers.parse(pl.col(name).str.strip_chars()).is_not_null().sum() for name in words)
        return sum(parsed.row(0)) if words else 0

    return max(FORMATS, key=lambda numbers: (count(numbers), -FORMATS.index(numbers)))


def _look_at_column(series: pl.Series, numbers: NumberFormat) -> ColumnLook:
    name, column = series.name, pl.col(series.name)
    plain = series.to_frame().select(
        value=number_expression(column, series.dtype, numbers, flag=True)
        if not series.dtype.is_nested() and not series.dtype.is_temporal()
        else pl.lit(None, pl.Float64),
        missing=is_missing(column, series.dtype),
    )
    present = series.filter(~plain["missing"])
    values: Doubles = plain["value"].filter(~plain["missing"]).drop_nulls().to_numpy()
    firsts = (" ".join(str(value).split()) for value in present.head(1000).unique(maintain_order=True).head(3))
    sample = ", ".join(value if len(value) <= LONGEST else f"{value[: LONGEST - 2]}.." for value in firsts)
    shape = {"name": name, "distinct": _distinct(present), "missing": int(plain["missing"].sum()), "sample": sample}
    if len(values) and len(values) >= 0.99 * len(present):
        ends, halves = {"low": float(values.min()), "high": float(values.max())}, values * 2
        is_whole, is_half = bool((values == values.round()).all()), bool((halves == halves.round()).all())
        return ColumnLook(holds="number", is_whole=is_whole, is_half=is_half, **shape, **ends)  # type: ignore[arg-type]
    return _look_at_words(present, shape)


def _distinct(series: pl.Series) -> int:
    return int(series.cast(pl.String, strict=False).n_unique()) if not series.dtype.is_nested() else len(series)


def _look_at_words(present: pl.Series, shape: dict[str, object]) -> ColumnLook:
    """Tell times, lists, HTML, sentences and words apart."""
    if present.dtype.is_temporal():
        return ColumnLook(holds="time", **shape)  # type: ignore[arg-type]
    if present.dtype.is_nested():
        return ColumnLook(holds="list", **shape)  # type: ignore[arg-type]
    words = present.head(5_000).cast(pl.String).str.strip_chars()
    if not len(words):
        return ColumnLook(holds="words", **shape)  # type: ignore[arg-type]
    for form in (None, *FORMS):
        seconds = TimeFormat(unit="iso" if form is None else "s", form=form).seconds(pl.col(words.name), pl.String())
        if words.to_frame().select(seconds.is_not_null().all()).item():
            return ColumnLook(holds="time", form=form, **shape)  # type: ignore[arg-type]
    if _share(words.str.starts_with("[") & words.str.ends_with("]")) > 0.9:
        return ColumnLook(holds="list", **shape)  # type: ignore[arg-type]
    if _share(words.str.contains(HTML)) > 0.05:
        return ColumnLook(holds="html", **shape)  # type: ignore[arg-type]
    spaces = words.str.count_matches(" ").sum()
    for mark in ("|", ";"):
        elements = len(words) + words.str.count_matches(mark, literal=True).sum()
        if _share(words.str.contains(mark, literal=True)) > 0.2 and spaces < WORDS_OF_ELEMENT * elements:
            return ColumnLook(holds="list", separator=mark, **shape)  # type: ignore[arg-type]
    spaces = spaces / len(words)
    is_text = spaces >= 1 and int(str(shape["distinct"])) > MOST_LEVELS
    return ColumnLook(holds="text" if is_text else "words", **shape)  # type: ignore[arg-type]


def _share(mask: pl.Series) -> float:
    return int(mask.sum()) / len(mask)
