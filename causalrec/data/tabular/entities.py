"""Tables of users or items, read whole: one row per id, columns typed as the graph's nodes."""

from __future__ import annotations

import ast
import json
from collections.abc import Mapping

import numpy as np
import polars as pl

from causalrec.data.card import ColumnKind
from causalrec.data.table_problems import Problem
from causalrec.data.tabular.bad_rows import BadRows
from causalrec.data.tabular.line_checks import line_problems
from causalrec.data.tabular.rawfile import RawFile, header_problems, row_problems

KIND = r"^(numeric|category|text|multi_hot(\(.\))?)$"


def kind_of(text: str) -> tuple[ColumnKind, str]:
    """Split a column's kind from the separator of its values.

    >>> kind_of("multi_hot(;)"), kind_of("multi_hot"), kind_of("text")
    (('multi_hot', ';'), ('multi_hot', '|'), ('text', '|'))
    """
    name, _, separator = text.partition("(")
    kinds: dict[str, ColumnKind] = {"numeric": "numeric", "category": "category", "text": "text"}
    return kinds.get(name, "multi_hot"), separator[:1] or "|"


def read_entities(
    raw: RawFile, id_column: str, columns: Mapping[str, str], entity: str
) -> tuple[pl.DataFrame | None, list[Problem]]:
    """Return the table with its ids as strings, and every problem; None where it cannot be read.

    Args:
        raw: The file, ready to scan.
        id_column: The column of ids.
        columns: Kind of each column that is read, by name.
        entity: Name of the ids in the table returned: user or item.
    """
    wrong = header_problems(raw, [id_column, *columns]) or line_problems(raw)
    if wrong:
        return None, wrong
    try:
        table = raw.scan([id_column, *columns]).collect()
    except pl.exceptions.PolarsError as error:
        return None, row_problems(raw, error)
    bad_rows = BadRows(raw)
    ids = table[id_column].cast(pl.String)
    missing = (ids.is_null() | (ids == "")).to_numpy()
    bad_rows.add("no id", id_column, missing)
    bad_rows.add(
        "the id {value} stands in an earlier row already", id_column, (~ids.is_first_distinct()).to_numpy() & ~missing
    )
    typed = [ids.alias(entity)] + [_parse_column(table[name], kind, bad_rows) for name, kind in columns.items()]
    return pl.DataFrame(typed), bad_rows.problems()


def _parse_column(series: pl.Series, declared: str, bad_rows: BadRows) -> pl.Series:
    kind, separator = kind_of(declared)
    if kind == "numeric":
        plain = series.str.strip_chars() if series.dtype == pl.String else series
        values = plain.cast(pl.Float64, strict=False)
        bad_rows.add("{value} is not a finite number; fill it", series.name, ~np.isfinite(values.to_numpy()))
        return values
    if kind == "multi_hot":
        return _split_lists(series, separator)
    words = series.cast(pl.String).fill_null("")
    empty = (words.str.strip_chars() == "").to_numpy()
    bad_rows.add("empty text" if kind == "text" else "no category; read as ''", series.name, empty, severity="warning")
    return words


def _split_lists(series: pl.Series, separator: str) -> pl.Series:
    """Split words at the separator; lists (of Parquet, of JSON, as Python writes them) are taken as they are."""
    if isinstance(series.dtype, pl.List):
        return series.cast(pl.List(pl.String)).fill_null([])
    words = series.cast(pl.String).fill_null("").str.strip_chars()
    distinct = words.unique()
    lists = [_parse_list(word, separator) for word in distinct]
    numbers = words.replace_strict(distinct, pl.Series(range(len(distinct)), dtype=pl.Int64))
    return pl.Series(series.name, lists, dtype=pl.List(pl.String)).gather(numbers)


def _parse_list(word: str, separator: str) -> list[str]:
    """Return the elements of one cell.

    >>> _parse_list('["Children, Family", "Drama"]', "|"), _parse_list("['a', 'b']", "|"), _parse_list("a| b", "|")
    (['Children, Family', 'Drama'], ['a', 'b'], ['a', 'b'])
    """
    elements: object = word.split(separator)
    if word.startswith("[") and word.endswith("]"):
        try:
            elements = json.loads(word)
        except ValueError:
            elements = _parse_python_list(word)
    values = elements if isinstance(elements, list | tuple) else [elements]
    return [text for value in values if value is not None and (text := str(value).strip())]


def _parse_python_list(word: str) -> object:
    try:
        return ast.literal_eval(word)  # literals alone: nothing is called
    except (ValueError, SyntaxError, RecursionError, MemoryError):
        return word[1:-1].split(",")
