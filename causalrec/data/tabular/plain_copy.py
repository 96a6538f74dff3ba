"""Files made readable: UTF-8 text in lines, whatever they are packed, encoded, separated or ended by."""

from __future__ import annotations

import codecs
import gzip
import hashlib
import io
import json
import os
import re
import zlib
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import IO, Any

from causalrec.data.sources import sha256_of
from causalrec.data.table_problems import Problem
from causalrec.data.tabular.encodings import lacks_mark
from causalrec.data.tabular.rawfile import JSON, PARQUET, UNIT_SEPARATOR, RawFile

CHUNK = 1 << 22
HEAD = 1 << 16
BOMS = {codecs.BOM_UTF16_LE: "utf-16", codecs.BOM_UTF16_BE: "utf-16"}
OTHER_FORMATS = {  # by their first bytes: what it is, and what to do
    b"\x1f\x8b": "a gzip file; name it {name}.gz",
    b"PAR1": "a Parquet file; name it {stem}.parquet",
    b"PK\x03\x04": "a zip archive or an Excel workbook; unpack it, or save the sheet as CSV",
    b"BZh": "a bzip2 file; unpack it",
    b"\xfd7zXZ": "an xz file; unpack it",
    b"\x28\xb5\x2f\xfd": "a Zstandard file; unpack it",
    b"SQLite format 3": "an SQLite data base; export the table as CSV",
}


def prepare_file(raw: RawFile, scratch: Path) -> tuple[RawFile, str, list[Problem]]:
    """Return the file ready to scan, its sha256, and what is wrong with its bytes; a plain copy goes to `scratch`.

    A file of which nothing can be read has no `readable` copy, and a problem.
    """
    path = str(raw.path)
    if not raw.path.is_file():
        return raw, "", [Problem("error", path, None, None, "there is no such file; name it in the YAML")]
    if raw.suffix in PARQUET:
        return raw, sha256_of(raw.path), []
    try:
        if (other := _other_format(raw)) is not None:
            return raw, "", [Problem("error", path, None, None, f"this is {other}")]
        bad = list(encoding_problems(raw))
        if bad and bad[0].line == 1:  # what else is wrong follows from it
            return raw, "", bad
        if not bad and is_plain(raw):
            return raw, sha256_of(raw.path), []
        readable = scratch / f"{hashlib.sha256(os.fsencode(raw.path)).hexdigest()[:12]}.txt"
        _write_plain(raw, readable)
    except (OSError, EOFError, LookupError, UnicodeError, ValueError, zlib.error) as error:
        return raw, "", [Problem("error", path, None, None, f"cannot be read ({error})")]
    return replace(raw, readable=readable), sha256_of(raw.path), bad


def _other_format(raw: RawFile) -> str | None:
    """Say what a file is that its name does not say, None where it is text."""
    with _open_bytes(raw) as stream:
        head = stream.read(16)
    for magic, words in OTHER_FORMATS.items():
        if head.startswith(magic):
            return words.format(name=raw.path.name, stem=raw.path.stem)
    return None


def is_plain(raw: RawFile) -> bool:
    """Whether a file that is there can be read where it lies, without a plain copy."""
    if raw.suffix in PARQUET:
        return True
    if codecs.lookup(raw.encoding).name != "utf-8" or raw.path.suffix.lower() == ".gz":
        return False
    if raw.suffix in JSON:
        with raw.path.open("rb") as stream:
            head = stream.read(HEAD)
        return not head.startswith(codecs.BOM_UTF8) and not head.lstrip().startswith(b"[")
    return len(raw.declared_separator) == 1 and raw.escape is None and not _ends_lines_in_cr(raw)


def _ends_lines_in_cr(raw: RawFile) -> bool:
    with _open_text(raw) as text:
        head = text.read(HEAD)
    return "\r" in head[:-1] and "\n" not in head


def _write_plain(raw: RawFile, target: Path) -> None:
    """Write the UTF-8 copy, its lines ended by a line feed and its separator one character."""
    with target.open("w", encoding="utf-8", newline="") as out:
        if raw.suffix in JSON:
            with _open_text(raw) as text:
                out.writelines(_json_lines(text))
            return
        ends_in_cr = _ends_lines_in_cr(raw)
        with _open_text(raw) as text:
            for line in text if ends_in_cr or not _is_cut_by_character(raw) else _blocks(text):
                plain = line.replace("\r", "\n") if ends_in_cr else line
                plain = plain if raw.escape is None else _double_quotes(plain, raw)
                out.write(plain if len(raw.declared_separator) == 1 else _mark_fields(plain, raw))


def _is_cut_by_character(raw: RawFile) -> bool:
    """Whether a block of text may end anywhere: no mark in it has two characters."""
    return raw.escape is None and len(raw.declared_separator) == 1


def _double_quotes(line: str, raw: RawFile) -> str:
    """Write escaped quotes as doubled ones, and an escaped escape as itself."""
    if raw.escape is None or raw.quote is None or raw.escape not in line:
        return line
    quote, escape = raw.quote, raw.escape
    escaped = re.compile(f"{re.escape(escape)}([{re.escape(quote + escape)}])")
    return escaped.sub(lambda match: quote * 2 if match[1] == quote else match[1], line)


def _blocks(text: IO[str]) -> Iterator[str]:
    while block := text.read(CHUNK):
        yield block


def _mark_fields(line: str, raw: RawFile) -> str:
    """Replace the separator by one character, outside quotes."""
    separator = raw.declared_separator
    if raw.quote is None or raw.quote not in line:
        return line.replace(separator, UNIT_SEPARATOR)
    quote = re.escape(raw.quote)
    fields = re.compile(
        rf"(?:^|(?<={re.escape(separator)})){quote}(?:[^{quote}]|{quote}{quote})*{quote}|{re.escape(separator)}"
    )
    return fields.sub(lambda match: UNIT_SEPARATOR if match[0] == separator else match[0], line)


def _json_lines(text: IO[str]) -> Iterator[str]:
    """Yield a JSON document a line, of an array its elements."""
    first = text.read(1)
    while first.isspace():
        first = text.read(1)
    if first != "[":
        yield first
        yield from _blocks(text)
        return
    for element in _parse_json(first + text.read()):
        yield json.dumps(element, ensure_ascii=False) + "\n"


def _parse_json(document: str) -> list[object]:
    """Return the elements of an array; raise ValueError where there are none to read."""
    try:
        elements: list[object] = json.loads(document)
    except RecursionError as error:
        raise ValueError("a value is nested too deep") from error
    return elements


def _open_bytes(raw: RawFile) -> IO[bytes]:
    opened: Any = gzip.open if raw.path.suffix.lower() == ".gz" else open
    stream: IO[bytes] = opened(raw.path, "rb")
    return stream


def _open_text(raw: RawFile) -> IO[str]:
    encoding = "utf-8-sig" if codecs.lookup(raw.encoding).name == "utf-8" else raw.encoding
    return io.TextIOWrapper(_open_bytes(raw), encoding, errors="replace", newline="")


def encoding_problems(raw: RawFile) -> Iterator[Problem]:
    """Yield the first line that is not text of the declared encoding, with an encoding that would fit."""
    decoder, line = codecs.getincrementaldecoder(raw.encoding)("strict"), 1
    with _open_bytes(raw) as stream:
        first = True
        while chunk := stream.read(CHUNK):
            if first and lacks_mark(raw.encoding, chunk):
                message = f"not {raw.encoding} text (it does not begin with its mark); set another encoding"
                yield Problem("error", str(raw.path), line, None, message)
                return
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
