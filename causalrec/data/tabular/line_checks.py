"""Lines of delimited text that a fast parser would misread in silence: fields too many or too few, stray quotes."""

from __future__ import annotations

from collections.abc import Iterator

from causalrec.data.table_problems import MAX_LISTED_ROWS, Problem
from causalrec.data.tabular.rawfile import JSON, PARQUET, RawFile


def line_problems(raw: RawFile) -> list[Problem]:
    """Say which records of a delimited file have more or fewer fields than the header, or a quote where none belongs.

    Such a line would shift columns, or join two records, without an error. Every line is looked at once; blank ones are
    left to others. At most `MAX_LISTED_ROWS` are listed, the rest is counted.
    """
    if raw.suffix in JSON or raw.suffix in PARQUET:
        return []
    problems, count = [], 0
    for line, message in _wrong_records(raw, len(raw.header())):
        count += 1
        if count <= MAX_LISTED_ROWS:
            problems.append(Problem("error", str(raw.path), line, None, message))
    if count > MAX_LISTED_ROWS:
        more = f"{count - MAX_LISTED_ROWS:,} more such lines ({count:,} in all)"
        problems.append(Problem("error", str(raw.path), None, None, more))
    return problems


def _wrong_records(raw: RawFile, width: int) -> Iterator[tuple[int, str]]:
    separator, quote = raw.delimiter.encode(), raw.quote.encode() if raw.quote else None
    with raw.where.open("rb") as lines:
        record: list[bytes] = []  # the lines of one that goes on behind a line break inside quotes
        first = 0
        for number, line in enumerate(lines, start=1):
            if quote is None or quote not in line:
                fields = line.count(separator) + 1
                if record:
                    record.append(line)
                elif fields != width and line.strip():
                    yield number, _width_message(fields, width, raw.declared_separator)
                continue
            first = first if record else number
            record.append(line)
            fields, state = _split(b"".join(record), separator, quote)
            if state == "open":
                continue
            record = []
            if state == "stray":
                mend = "set escape: '\\'" if b"\\" + quote in line else "set quote=null, or quote it"
                yield first, f"a {raw.quote} inside a field that has none around it; {mend}"
            elif fields != width:
                yield first, _width_message(fields, width, raw.declared_separator)
        if record:
            yield first, f"a {raw.quote} that is never closed; set quote=null, or close it"


def _width_message(fields: int, width: int, separator: str) -> str:
    return f"has {fields} fields, expected {width}; quote a field that holds {separator!r}"


def _split(record: bytes, separator: bytes, quote: bytes) -> tuple[int, str]:
    """Return the number of fields, and `closed`, `open` (a quoted field goes on), or `stray` (a quote out of place)."""
    text, fields, start = record.rstrip(b"\r\n"), 1, 0
    while start <= len(text):
        if text.startswith(quote, start):
            start += 1
            while True:
                end = text.find(quote, start)
                if end < 0:
                    return fields, "open"
                start = end + 1
                if not text.startswith(quote, start):
                    break
                start += 1  # a doubled quote is one of the field
            if start < len(text) and not text.startswith(separator, start):
                return fields, "stray"
        else:
            end = text.find(separator, start)
            end = len(text) if end < 0 else end
            if text.find(quote, start, end) >= 0:
                return fields, "stray"
            start = end
        if start >= len(text):
            break
        fields, start = fields + 1, start + len(separator)
    return fields, "closed"
