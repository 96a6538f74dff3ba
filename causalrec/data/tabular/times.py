"""Times of a raw table as seconds: numbers of a unit, ISO text with or without an offset, or text of a given form."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

import polars as pl

from causalrec.data.tabular.numbers import NumberFormat

UNITS: Mapping[str, int] = {"s": 1, "ms": 10**3, "us": 10**6, "ns": 10**9, "place": 1}
ISO = ("%Y-%m-%d %H:%M:%S%.f", "%Y-%m-%d %H:%M")
TimeUnit = Literal["s", "ms", "us", "ns", "iso", "place"]


@dataclass(frozen=True, kw_only=True)
class TimeFormat:
    """How a file writes its times.

    Attributes:
        unit: Of numbers, `iso` for text (2024-01-31 12:00:00, with or without +02:00), `place` for places in order.
        form: Of text that is not ISO, in the codes of `strptime` (%d/%m/%Y %H:%M); None where the unit says it.
    """

    unit: TimeUnit = "s"
    form: str | None = None

    @property
    def is_text(self) -> bool:
        """Whether times are dates in words rather than numbers."""
        return self.form is not None or self.unit == "iso"

    @property
    def description(self) -> str:
        """What a time is, for messages."""
        if self.form is not None:
            return f"a time of the form {self.form}"
        return "a place in order" if self.unit == "place" else f"a time in {self.unit}"

    def seconds(self, column: pl.Expr, dtype: pl.DataType) -> pl.Expr:
        """Return whole seconds (of dates: since 1970, UTC), null where a cell is no such time."""
        if dtype.is_temporal():
            return column.cast(pl.Datetime("us")).dt.epoch("s")
        if not self.is_text:
            return _whole_numbers(column, dtype) // UNITS[self.unit]
        words = column.cast(pl.String).str.strip_chars()
        forms = [self.form] if self.form is not None else [*ISO, *(f"{form}%z" for form in ISO), "%Y-%m-%d"]
        if self.form is None:
            words = (
                words.str.replace("T", " ").str.replace(r"(Z| ?UTC)$", "").str.replace(r" ([-+]\d\d:?\d\d)$", "${1}")
            )
        return pl.coalesce([_parse(words, form).dt.epoch("s") for form in forms])


def _parse(words: pl.Expr, form: str) -> pl.Expr:
    has_clock = re.search(r"%[HIMSTRXcsQ]", form) is not None
    return (
        words.str.to_datetime(form, strict=False, time_unit="us")
        if has_clock
        else words.str.to_date(form, strict=False)
    )


def _whole_numbers(column: pl.Expr, dtype: pl.DataType) -> pl.Expr:
    """Round numbers down; nanoseconds do not fit a float, so integers are read as such."""
    words = column.str.strip_chars() if dtype == pl.String else column
    number = NumberFormat().parse(words) if dtype == pl.String else column.cast(pl.Float64, strict=False)
    rounded = pl.when(number.is_finite() & (number.abs() < 2.0**53)).then(number.floor()).cast(pl.Int64, strict=False)
    return pl.coalesce(words.cast(pl.Int64, strict=False), rounded) if dtype in (pl.String, pl.Int64) else rounded


def time_hint(value: object, column: str | None) -> str:
    """Say which setting reads a date where a number was meant; empty where none does.

    >>> time_hint("2024-01-31", "at"), time_hint("31/01/2024", "at"), time_hint("soon", "at")
    ('; set dataset.time_unit: iso', "; set dataset.time_format, as '%d/%m/%Y %H:%M'", '')
    """
    text = str(value).strip()
    if re.match(r"\d{4}-\d\d-\d\d", text):
        return "; set dataset.time_unit: iso"
    looks_like_date = re.search(r"\d+[-/. ]\d+[-/., ]+\d{2,4}|[A-Za-z]{3,9}\.? \d|\d [A-Za-z]{3,9}", text)
    return "; set dataset.time_format, as '%d/%m/%Y %H:%M'" if looks_like_date else ""
