"""Raw tables as users have them: delimited text, JSON lines or Parquet."""

from __future__ import annotations

import csv
import glob
import json
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import polars as pl

from causalrec.data.tabular.numbers import NumberFormat

UNIT_SEPARATOR = "\x1f"  # stands in a plain copy for a separator of several characters
SEPARATORS = {".tsv": "\t"}
JSON = {".jsonl", ".ndjson", ".json"}
PARQUET = {".parquet", ".pq"}


@dataclass(frozen=True, kw_only=True)
class RawFile:
    """One raw table.

    Attributes:
        path: The file; its ending tells the format.
        separator: What stands between two fields; None: by the ending (`.tsv` tab, else comma).
        encoding: Of the text.
        quote: What encloses a field; None: quotes are ordinary characters.
        escape: What stands before a quote that is one of the field, None where quotes are doubled for that.
        names: Names of the columns, where the file has no header.
        numbers: How it writes numbers.
        readable: A plain UTF-8 copy, where `path` is none.
    """

    path: Path
    separator: str | None = None
    encoding: str = "utf-8"
    quote: str | None = '"'
    escape: str | None = None
    names: Sequence[str] | None = None
    numbers: NumberFormat = field(default_factory=NumberFormat)
    readable: Path | None = None

    @property
    def suffix(self) -> str:
        """The ending that tells the format (`.gz` left out)."""
        return Path(self.path.name.lower().removesuffix(".gz")).suffix

    @property
    def where(self) -> Path:
        """The plain file to read."""
        return self.readable or self.path

    @property
    def pattern(self) -> str:
        """The plain file's path where a pattern is read: brackets and stars in it stand for themselves."""
        return glob.escape(str(self.where))

    @property
    def declared_separator(self) -> str:
        """What stands between two fields of the file."""
        return self.separator or SEPARATORS.get(self.suffix, ",")

    @property
    def delimiter(self) -> str:
        """The one character between two fields of what is read: the file, or its plain copy."""
        return self.declared_separator if len(self.declared_separator) == 1 else UNIT_SEPARATOR

    def scan(self, columns: Sequence[str]) -> pl.LazyFrame:
        """Return the columns lazily, as strings (Parquet: as it types them)."""
        if self.suffix in PARQUET:
            return pl.scan_parquet(self.where, glob=False).select(columns)  # brackets in a name are no pattern
        if self.suffix in JSON:
            return pl.scan_ndjson(self.pattern, schema=dict.fromkeys(columns, pl.String))
        frame = pl.scan_csv(
            self.where,
            separator=self.delimiter,
            quote_char=self.quote,
            infer_schema=False,
            glob=False,
            has_header=self.names is None,
            new_columns=list(self.names) if self.names else None,
        )
        return frame.select(columns)

    def header(self, wanted: Sequence[str] = ()) -> list[str]:
        """Return the column names (JSON: the keys of the first 1,000 lines, and on to a line that has `wanted`)."""
        if self.suffix in PARQUET:
            return pl.scan_parquet(self.where, glob=False).collect_schema().names()
        if self.suffix in JSON:
            names: dict[str, None] = {}
            for number, (_, row) in enumerate(self._objects()):
                names |= dict.fromkeys(row if isinstance(row, dict) else ())
                if number >= 1000 and all(name in names for name in wanted):
                    break
            return list(names)
        return list(self.names or next((row for _, row in self._records()), []))

    def rows(self) -> Iterator[tuple[int, Any]]:
        """Yield (line, list or dict) of every row after the header, an error in place of an unreadable one."""
        if self.suffix in JSON:
            yield from self._objects()
            return
        records = self._records()
        if self.names is None:
            next(records, None)
        yield from records

    def locate(self, rows: Sequence[int]) -> dict[int, tuple[int, dict[str, Any]]]:
        """Return line and values of these rows (0 = the first), by one slow pass up to the last of them."""
        if self.suffix in PARQUET:
            frame = pl.scan_parquet(self.where, glob=False)
            return {row: (row + 1, frame.slice(row, 1).collect().row(0, named=True)) for row in rows}
        wanted, located_rows, names = set(rows), {}, self.header()
        for number, (line, row) in enumerate(self.rows() if wanted else ()):
            if number in wanted:
                located_rows[number] = (line, row if isinstance(row, dict) else dict(zip(names, row, strict=False)))
                if len(located_rows) == len(wanted):
                    break
        return located_rows

    def _records(self) -> Iterator[tuple[int, Any]]:
        csv.field_size_limit(sys.maxsize)
        quoting: Literal[0, 3] = csv.QUOTE_MINIMAL if self.quote else csv.QUOTE_NONE
        with self.where.open(encoding="utf-8-sig", newline="") as text:
            reader = csv.reader(text, delimiter=self.delimiter, quotechar=self.quote, quoting=quoting, strict=True)
            line = 1
            try:
                for row in reader:
                    yield line, row
                    line = reader.line_num + 1
            except csv.Error as error:
                yield line, error

    def _objects(self) -> Iterator[tuple[int, Any]]:
        with self.where.open("rb") as lines:
            for number, line in enumerate(lines, start=1):
                if not line.strip():
                    continue
                try:
                    yield number, json.loads(line)
                except ValueError as error:
                    yield number, error
                except RecursionError:
                    yield number, ValueError("is nested too deep")
