"""Cells of a table of users or items as the kinds of the graph's nodes: numbers, words, texts, lists."""

from __future__ import annotations

import ast
import html
import json
import re
from collections.abc import Callable, Mapping

import numpy as np
import polars as pl

from causalrec.data.card import ColumnKind
from causalrec.data.tabular.bad_rows import BadRows
from causalrec.data.tabular.numbers import NumberFormat, is_missing, number_hint
from causalrec.data.tabular.role_values import is_constant, number_expression
from causalrec.data.tabular.roles import FillValue, indicator_name
from causalrec.types import Bools, Doubles, Ints

KIND = r"^(numeric|category|text(\(html\))?|multi_hot(\(.{1,3}\))?)$"
TAG = re.compile(r"<(script|style)\b.*?</\1\s*>|<!--.*?-->|</?[a-zA-Z][^<>]*>", re.DOTALL | re.IGNORECASE)


def kind_of(text: str) -> tuple[ColumnKind, str]:
    """Split a column's kind from what stands in brackets: the separator of a list, the markup of a text.

    >>> kind_of("multi_hot(;)"), kind_of("multi_hot"), kind_of("text(html)")
    (('multi_hot', ';'), ('multi_hot', '|'), ('text', 'html'))
    """
    name, _, inside = text.partition("(")
    kinds: dict[str, ColumnKind] = {"numeric": "numeric", "category": "category", "text": "text"}
    return kinds.get(name, "multi_hot"), inside[:-1] or "|"


def parse_column(
    series: pl.Series, declared: str, bad_rows: BadRows, rows: Ints, numbers: NumberFormat, fill: FillValue | None
) -> list[pl.Series]:
    """Return a column typed, and the column that says where a number was missing, where that is asked for.

    Args:
        series: The cells as read.
        declared: Its kind.
        bad_rows: Where bad cells are noted.
        rows: The row of the table that each cell stands in, int64[N].
        numbers: How numbers are written.
        fill: What stands for a missing cell, None where it must not be missing.
    """
    kind, inside = kind_of(declared)
    if kind == "numeric":
        return _parse_numbers(series, bad_rows, rows, numbers, fill)
    if kind == "multi_hot":
        return [_each_distinct(series, lambda word: parse_list(word, inside), pl.List(pl.String))]
    is_list = isinstance(series.dtype, pl.List)
    words = (series.cast(pl.List(pl.String)).list.join(", ") if is_list else series.cast(pl.String)).fill_null("")
    if fill is not None:
        missing = is_missing(pl.col(series.name), pl.String())
        words = words.to_frame().select(pl.when(~missing).then(series.name).otherwise(pl.lit(str(fill)))).to_series()
        words = words.alias(series.name)
    if kind == "text":
        words = _each_distinct(words, lambda word: plain_text(word, inside == "html"), pl.String())
    empty = (words.str.strip_chars() == "").to_numpy()
    what = "empty text" if kind == "text" else "no category; read as ''"
    bad_rows.add_rows(what, series.name, rows[empty], "warning") if empty.any() else None
    return [words]


def _parse_numbers(
    series: pl.Series, bad_rows: BadRows, rows: Ints, numbers: NumberFormat, fill: FillValue | None
) -> list[pl.Series]:
    column = pl.col(series.name)
    frame = series.to_frame().select(
        value=number_expression(column, series.dtype, numbers, flag=True), missing=is_missing(column, series.dtype)
    )
    values, missing = frame["value"].to_numpy().copy(), frame["missing"].to_numpy() & (fill is not None)
    if missing.any():
        values[missing] = _fill_value(values, missing, fill)
    if (bad := ~np.isfinite(values)).any():
        bad_rows.add_rows("{value} is not a finite number", series.name, rows[bad], hint=number_hint)
    flags = [pl.Series(indicator_name(series.name), missing.astype(np.float64))] if fill == "indicator" else []
    return [pl.Series(series.name, values), *flags]


def _fill_value(values: Doubles, missing: Bools, fill: FillValue | None) -> float:
    if is_constant(fill):
        return float(fill or 0)
    present = values[~missing & np.isfinite(values)]
    return float(np.median(present) if fill == "median" else np.mean(present)) if len(present) else 0.0


def _each_distinct(series: pl.Series, change: Callable[[str], object], dtype: pl.DataType) -> pl.Series:
    """Change each distinct cell once; lists (of Parquet) are taken as they are."""
    if isinstance(series.dtype, pl.List):
        return series.cast(pl.List(pl.String)).fill_null([])
    words = series.cast(pl.String).fill_null("").str.strip_chars()
    distinct = words.unique()
    numbers = words.replace_strict(distinct, pl.Series(range(len(distinct)), dtype=pl.Int64))
    return pl.Series(series.name, [change(word) for word in distinct], dtype=dtype).gather(numbers).alias(series.name)


def plain_text(word: str, is_html: bool) -> str:
    """Return a text with the elements of a list joined, and without tags where it is HTML.

    >>> plain_text("<p>Tom &amp; Jerry<br>live</p>", True), plain_text('["A film.", "A long one."]', False)
    ('Tom & Jerry live', 'A film. A long one.')
    """
    elements = _parse_brackets(word)
    text = " ".join(map(str, filter(None, elements))) if isinstance(elements, list | tuple) else word
    return " ".join(html.unescape(TAG.sub(" ", text)).split()) if is_html else text


def parse_list(word: str, separator: str) -> list[str]:
    """Return the elements of one cell.

    >>> parse_list('["Children, Family", "Drama"]', "|"), parse_list("['a', 'b']", "|"), parse_list("a| b", "|")
    (['Children, Family', 'Drama'], ['a', 'b'], ['a', 'b'])
    >>> parse_list('[{"id": 18, "name": "Drama"}]', "|")
    ['Drama']
    """
    elements = _parse_brackets(word)
    if elements is None:
        is_bracketed = word.startswith("[") and word.endswith("]")
        elements = word[1:-1].split(",") if is_bracketed else word.split(separator)
    values = elements if isinstance(elements, list | tuple) else [elements]
    return [text for value in values if value is not None and (text := _name_of(value))]


def _name_of(element: object) -> str:
    """Return an element's text; of an object, its name."""
    return str(element.get("name", element) if isinstance(element, Mapping) else element).strip()


def _parse_brackets(word: str) -> object:
    """Read a list as JSON or Python writes it, None where the cell is none."""
    if not (word.startswith("[") and word.endswith("]")):
        return None
    try:
        elements: object = json.loads(word)
        return elements
    except RecursionError:
        return None
    except ValueError:
        pass
    try:
        return ast.literal_eval(word)  # literals alone: nothing is called
    except (ValueError, SyntaxError, RecursionError, MemoryError):
        return None
