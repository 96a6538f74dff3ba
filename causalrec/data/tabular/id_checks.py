"""Ids that look like two types in one column: what usually becomes two users where there is one, or one of two."""

from __future__ import annotations

import numpy as np
import polars as pl

from causalrec.data.tabular.ingest import StreamedFile
from causalrec.data.tabular.rawfile import JSON, RawFile


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
    odd = {
        "the id {value} reads like a missing value": blank,
        "the id {value} is a whole number written with decimals": decimal,
    }
    if integers.any() and words.any():
        few = integers if integers.sum() <= words.sum() else words
        odd[
            "mixed ids: {value} is a "
            + ("whole number, most are not" if few is integers else "word, most are whole numbers")
        ] = few
    for what, mask in odd.items():
        if mask.any():
            codes = streamed.array(role)
            streamed.bad_rows.add(what, column, np.append(mask, False)[codes], severity="warning")


def warn_of_json_types(streamed: StreamedFile, raw: RawFile, column: str) -> None:
    """Warn where JSON holds an id as a number in one line and as a string in another: both become one id."""
    if raw.suffix not in JSON:
        return
    lines = pl.scan_lines(raw.pattern, name="line").filter(pl.col("line").str.strip_chars() != "").with_row_index("row")
    number = pl.col("line").str.contains(rf'"{column}"\s*:\s*-?\d')
    string = pl.col("line").str.contains(rf'"{column}"\s*:\s*"')
    counts = lines.select(number.sum().alias("number"), string.sum().alias("string")).collect().row(0)
    if min(counts):
        few = number if counts[0] <= counts[1] else string
        mask = np.zeros(streamed.rows, bool)
        mask[lines.filter(few).select("row").collect()["row"].to_numpy()] = True
        streamed.bad_rows.add("mixed ids: {value} is of another JSON type than most", column, mask, severity="warning")
