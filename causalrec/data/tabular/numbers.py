"""Numbers as people write them: currency signs, thousands, a decimal comma; and the words for one that is missing."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Literal

import polars as pl

MISSING = ("", "na", "n/a", "nan", "null", "none", "\\n", "?", "-")  # in any case of letters
SIGNS = r"\p{Sc}|[A-Z]{3} "  # of a currency, or its code and a space
Thousands = Literal[",", ".", " ", "'"]


@dataclass(frozen=True, kw_only=True)
class NumberFormat:
    """How a file writes its numbers.

    Attributes:
        decimal: What stands before the fraction.
        thousands: What stands between groups of three digits, None for nothing.
    """

    decimal: Literal[".", ","] = "."
    thousands: Thousands | None = None

    @property
    def plain(self) -> bool:
        """Whether numbers are written as programs write them."""
        return self.decimal == "." and self.thousands is None

    def parse(self, words: pl.Expr) -> pl.Expr:
        """Return text without spaces around it as Float64, null where it is no number.

        >>> frame = pl.DataFrame({"price": ["$1,234.50", "-3", "1,2", "7 €"]})
        >>> frame.select(NumberFormat(thousands=",").parse(pl.col("price")))["price"].to_list()
        [1234.5, -3.0, None, 7.0]
        """
        words = words.str.replace(rf"^([-+]?)(?:{SIGNS}) ?", "${1}").str.replace(r" ?(?:\p{Sc}|\b[A-Z]{3})$", "")
        if self.thousands is not None:
            mark, fraction = self._mark, re.escape(self.decimal)
            grouped = words.str.contains(rf"^[-+]?\d{{1,3}}({mark}\d{{3}})+({fraction}\d*)?$")
            words = pl.when(grouped).then(words.str.replace_all(mark, "")).otherwise(words)
        if self.decimal == ",":
            words = pl.when(~words.str.contains(".", literal=True)).then(words.str.replace(",", ".", literal=True))
        return words.cast(pl.Float64, strict=False)

    @property
    def _mark(self) -> str:
        return "[ \u00a0\u202f]" if self.thousands == " " else re.escape(self.thousands or "")


def is_missing(column: pl.Expr, dtype: pl.DataType) -> pl.Expr:
    """Return where a cell holds nothing, a word for nothing, or NaN."""
    if dtype.is_float():
        return column.is_null() | column.is_nan()
    if dtype != pl.String:
        return column.is_null()
    return column.is_null() | column.str.strip_chars().str.to_lowercase().is_in(MISSING)


def number_hint(value: object, column: str | None) -> str:
    """Say what makes a number of a value that is none as it stands, ready to end a message; empty where nothing does.

    >>> number_hint("12,5", "price"), number_hint("1,234.5", "price"), number_hint("soon", "price")
    ("; set dataset.decimal: ','", "; set dataset.thousands: ','", '')
    >>> number_hint("NA", "age")
    '; set dataset.fill: {age: mean} (or median, indicator, drop, a number)'
    """
    text = "" if value is None else str(value).strip().lower()
    if text in MISSING:
        return f"; set dataset.fill: {{{column}: mean}} (or median, indicator, drop, a number)"
    if re.search(r"^\D*\d{1,3}(,\d{3})+(\.\d*)?\D*$", text):
        return "; set dataset.thousands: ','"
    if re.search(r"^\D*\d+,\d+\D*$", text):
        return "; set dataset.decimal: ','"
    if re.search(r"^\D*\d{1,3}(\.\d{3})+,\d*\D*$", text):
        return "; set dataset.thousands: '.' and dataset.decimal: ','"
    return ""
