"""Raw tables as users have them: delimited text, JSON lines or Parquet, gzipped or not, in any encoding."""

from __future__ import annotations

import codecs
import csv
import glob
import gzip
import hashlib
import json
import os
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import IO, Any, Literal

import polars as pl

from causalrec.data.sources import sha256_of
from causalrec.data.table_problems import MAX_LISTED_ROWS, Problem
from causalrec.errors import did_you_mean

CHUNK = 1 << 22
SEPARATORS = {".tsv": "\t"}
JSON = {".jsonl", ".ndjson", ".json"}
PARQUET = {".parquet", ".pq"}
BOMS = {codecs.BOM_UTF16_LE: "utf-16", codecs.BOM_UTF16_BE: "utf-16"}


@dataclass(frozen=True, kw_only=True)
class RawFile:
    """One raw table.

    Attributes:
        path: The file; its ending tells the format.
        separator: What stands between two fields; None: by the ending (`.tsv` tab, else comma).
        encoding: Of the text.
        quote: What encloses a field; None: quotes are ordinary characters.
        names: Names of the columns, where the file has no header.
        readable: A plain UTF-8 copy, where `path` is none.
    """

    path: Path
    separator: str | None = None
    encoding: str = "utf-8"
    quote: str | None = '"'
    names: Sequence[str] | None = None
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
    def delimiter(self) -> str:
        """The separator in force."""
        return self.separator or SEPARATORS.get(self.suffix, ",")

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

    def header(self) -> list[str]:
        """Return the column names (JSON: the keys of the first 1,000 lines)."""
        if self.suffix in PARQUET:
            return pl.scan_parquet(self.where, glob=False).collect_schema().names()
        if self.suffix in JSON:
            rows = (row for _, row in zip(range(1000), self._objects(), strict=False))
            return list(dict.fromkeys(key for _, row in rows if isinstance(row, dict) for key in row))
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


def prepare_file(raw: RawFile, scratch: Path) -> tuple[RawFile, str, list[Problem]]:
    """Return the file ready to scan, its sha256, and what is wrong with its bytes; a plain copy goes to `scratch`."""
    if not raw.path.is_file():
        return raw, "", [Problem("error", str(raw.path), None, None, "there is no such file; name it in the YAML")]
    if raw.suffix in PARQUET:
        return raw, sha256_of(raw.path), []
    try:
        plain = codecs.lookup(raw.encoding).name == "utf-8" and raw.path.suffix.lower() != ".gz"
        bad = list(encoding_problems(raw))
        if plain and not bad:
            return raw, sha256_of(raw.path), []
        handle, name = _open_temporary(scratch, raw)
        with handle as out, _open_text(raw, errors="replace") as text:
            while block := text.read(CHUNK):
                out.write(block)
    except (OSError, EOFError, LookupError, UnicodeError) as error:
        return raw, "", [Problem("error", str(raw.path), None, None, f"cannot be read ({error})")]
    return replace(raw, readable=name), sha256_of(raw.path), bad


def _open_temporary(scratch: Path, raw: RawFile) -> tuple[IO[str], Path]:
    name = scratch / f"{hashlib.sha256(os.fsencode(raw.path)).hexdigest()[:12]}.txt"
    return name.open("w", encoding="utf-8", newline=""), name


def _open_bytes(raw: RawFile) -> IO[bytes]:
    opened: Any = gzip.open if raw.path.suffix.lower() == ".gz" else open
    stream: IO[bytes] = opened(raw.path, "rb")
    return stream


@contextmanager
def _open_text(raw: RawFile, errors: str) -> Iterator[Any]:
    with _open_bytes(raw) as stream:
        yield codecs.getreader(raw.encoding)(stream, errors)


def encoding_problems(raw: RawFile) -> Iterator[Problem]:
    """Yield the first line that is not text of the declared encoding, with an encoding that would fit."""
    decoder, line = codecs.getincrementaldecoder(raw.encoding)("strict"), 1
    with _open_bytes(raw) as stream:
        first = True
        while chunk := stream.read(CHUNK):
            guess = next((name for bom, name in BOMS.items() if first and chunk.startswith(bom)), "latin-1 or cp1252")
            pending = len(decoder.getstate()[0])
            try:
                decoder.decode(chunk)
            except UnicodeDecodeError as error:
                line += chunk[: max(error.start - pending, 0)].count(b"\n")
                byte = error.object[error.start]
                message = f"not {raw.encoding} text (byte 0x{byte:02x}); set encoding={guess}, or the file is corrupt"
                yield Problem("error", str(raw.path), line, None, message)
                return
            line, first = line + chunk.count(b"\n"), False


def header_problems(raw: RawFile, columns: Sequence[str]) -> list[Problem]:
    """Say which columns the file lacks, or that it is cut by another separator than the declared one."""
    try:
        header = raw.header()
    except (pl.exceptions.PolarsError, OSError) as error:
        return [Problem("error", str(raw.path), None, None, f"cannot be read ({_first_line(error)})")]
    if isinstance(header, list) and len(header) == 1 and len(columns) > 1:
        for other in (";", "\t", "|", ","):
            if other in header[0]:
                message = f"one column {header[0]!r}: the separator looks like {other!r}; set separator={other!r}"
                return [Problem("error", str(raw.path), 1, None, message)]
    missing = [name for name in columns if name not in header]
    wrong = [
        Problem("error", str(raw.path), 1, name, f"no such column; {did_you_mean(name, header)}") for name in missing
    ]
    twice = [name for name in columns if header.count(name) > 1]
    return wrong + [Problem("error", str(raw.path), 1, name, "two columns have this name") for name in twice]


def row_problems(raw: RawFile, why: Exception) -> list[Problem]:
    """Explain why a file could not be parsed: rows with another number of fields, open quotes, broken JSON."""
    if raw.suffix in PARQUET:
        return [Problem("error", str(raw.path), None, None, f"not a readable Parquet file ({_first_line(why)})")]
    width, problems, count = len(raw.header()), [], 0
    for line, row in raw.rows():
        if isinstance(row, Exception):
            wrong = f"cannot be parsed ({_first_line(row)}); an open quote, or quote=null is meant"
            wrong = wrong if raw.suffix not in JSON else f"not a JSON object ({_first_line(row)})"
        elif isinstance(row, list) and row and len(row) != width:
            wrong = f"has {len(row)} fields, expected {width}; quote a field that holds {raw.delimiter!r}"
        elif isinstance(row, dict | list):
            continue
        else:
            wrong = "not a JSON object"
        count += 1
        if count <= MAX_LISTED_ROWS:
            problems.append(Problem("error", str(raw.path), line, None, wrong))
    if count > MAX_LISTED_ROWS:
        problems.append(
            Problem(
                "error", str(raw.path), None, None, f"{count - MAX_LISTED_ROWS:,} more such rows ({count:,} in all)"
            )
        )
    return problems or [Problem("error", str(raw.path), None, None, f"cannot be read ({_first_line(why)})")]


def _first_line(error: BaseException) -> str:
    return str(error).strip().split("\n")[0]
