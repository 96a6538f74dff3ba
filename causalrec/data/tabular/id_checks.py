"""Ids that look like two types in one column: what usually becomes two users where there is one, or one of two."""

from __future__ import annotations

import re

import numpy as np
import polars as pl

from causalrec.data.table_problems import MAX_LISTED_ROWS
from causalrec.data.tabular.ingest import StreamedFile
from causalrec.data.tabular.rawfile import JSON
from causalrec.types import Ints

FEW_IDS, FEW_SHARE = 10, 0.05  # up to which ids of another type are odd rather than how ids are here


def warn_of_odd_ids(streamed: StreamedFile, role: str, ids: pl.Series, column: str) -> None:
    """Warn of ids that look like another type than most of their column: numbers among words, 12.0 beside 12.

    Args:
        streamed: The file, ids still by provisional number.
        role: The ids' role: user or item.
        ids: The raw ids by provisional number.
        column: Their column in the file.
    """
    integers = ids.str.contains(r"^-?\d+$").to_numpy()
    blank = ids.str.to_lowercase().is_in(["nan", "none", "null", "na", "n/a"]).to_numpy()
    decimal = ids.str.contains(r"^-?\d+\.0+$").to_numpy()
    words = ~integers & ~decimal & ~blank
    spaced = (ids != ids.str.strip_chars()).to_numpy()
    odd = {
        "the id {value} has spaces around it, so it is another id than without; strip them in the file": spaced,
        "the id {value} reads like a missing value": blank,
        "the id {value} is a whole number written with decimals": decimal,
    }
    few = integers if integers.sum() <= words.sum() else words
    if 0 < few.sum() <= max(FEW_IDS, FEW_SHARE * len(ids)) and integers.any() and words.any():
        odd[
            "mixed ids: {value} is a "
            + ("whole number, most are not" if few is integers else "word, most are whole numbers")
        ] = few
    for what, mask in odd.items():
        if mask.any():
            codes = streamed.array(role)
            streamed.bad_rows.add(what, column, np.append(mask, False)[codes], severity="warning")


def warn_of_json_types(streamed: StreamedFile, column: str) -> None:
    """Warn where JSON holds an id as a number in one line and as a string in another: both become one id."""
    name = re.escape(column)
    number, string = rf'"{name}"\s*:\s*-?\d', rf'"{name}"\s*:\s*"'
    rows = {kind: _matching_rows(streamed, pattern) for kind, pattern in (("number", number), ("string", string))}
    few = min(rows.values(), key=len)
    if len(few):
        what = "mixed ids: {value} is of another JSON type than most"
        streamed.bad_rows.add_rows(what, column, few, severity="warning")


def note_nested_ids(streamed: StreamedFile, column: str) -> None:
    """Note rows in which JSON holds an object or a list where the id belongs: its text would become the id."""
    rows = _matching_rows(streamed, rf'"{re.escape(column)}"\s*:\s*[\[{{]')
    located = streamed.bad_rows.locate(rows[:MAX_LISTED_ROWS].tolist()) if len(rows) else {}
    if any(isinstance(values.get(column), dict | list) for _, values in located.values()):
        streamed.bad_rows.add_rows("the id {value} is an object or a list; write the id itself there", column, rows)


def _matching_rows(streamed: StreamedFile, pattern: str) -> Ints:
    """Return the rows of JSON lines that match; none of other formats."""
    rows = [np.zeros(0, np.int64)]
    for raw, start in zip(streamed.bad_rows.files, streamed.bad_rows.starts, strict=True):
        if raw.suffix in JSON:
            lines = pl.scan_lines(raw.pattern, name="line").filter(pl.col("line").str.strip_chars() != "")
            matching = lines.with_row_index("row").filter(pl.col("line").str.contains(pattern)).select("row")
            rows.append(matching.collect()["row"].cast(pl.Int64).to_numpy() + start)
    return np.concatenate(rows)
