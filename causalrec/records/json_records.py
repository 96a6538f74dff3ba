"""Records as JSON text, written and read."""

from __future__ import annotations

import dataclasses
import json
import math
import reprlib
from collections import Counter
from collections.abc import Hashable, Mapping
from functools import cache
from pathlib import Path
from typing import TypeVar, cast

import numpy as np
from pydantic import TypeAdapter, ValidationError
from pydantic_core import from_json, to_json

from causalrec.data.regular_files import read_bytes
from causalrec.errors import DataError
from causalrec.plain_text import one_line, paste_safe_command, shorten

Json = dict[str, object]
T = TypeVar("T")
LARGEST_RECORD = 1 << 28  # bytes: a hundred times the largest of a long study
LONGEST_FIELD = 200  # letters of a name in a message
COLON = b"\\u003"  # what its escape begins with


def to_plain(value: object) -> object:
    """Return what JSON can hold: numbers of numpy as Python's, what is not finite as None, the rest as text."""
    if isinstance(value, np.generic):
        value = value.item()
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if value is None or isinstance(value, str | int | bool):
        return value
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        value = vars(value)
    if isinstance(value, Mapping):
        return {str(k): to_plain(v) for k, v in value.items()}
    return [to_plain(v) for v in value] if isinstance(value, list | tuple) else str(value)


def plain_object(values: Mapping[str, object]) -> Json:
    """Return what JSON can hold of a mapping."""
    return {name: to_plain(value) for name, value in values.items()}


def json_text(value: object) -> str:
    """Write a value as an indented JSON document."""
    return json.dumps(to_plain(value), indent=1, allow_nan=False) + "\n"


def read_json(path: Path) -> Json:
    """Read a record's JSON object; raise DataError where it is cut off or something else.

    FileNotFoundError and NotADirectoryError where there is no file.
    """
    try:
        return parse_json(read_bytes(path, LARGEST_RECORD))
    except (FileNotFoundError, NotADirectoryError):
        raise
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else error
        raise DataError(f"{path}: not a whole record ({reason}); remove it and run the job again") from error


def parse_json(document: bytes) -> Json:
    """Return the object that a JSON document holds; raise ValueError, in one line, at any other.

    Refused are numbers that are not finite or of thousands of digits, names that stand twice, half a pair of
    surrogates, and nesting that is deeper than any record's.
    """
    values = from_json(document, allow_inf_nan=False)
    if not isinstance(values, dict):
        raise ValueError("no JSON object")
    compact = to_json(values)
    if b"Infinity" in compact:  # 1e999 is read as infinite
        _refuse_infinite(values)
    if document.count(b":") != compact.count(b":") or COLON in document:  # a name that stands twice has one more
        json.loads(document, object_pairs_hook=_unique_names)
    return values


def _refuse_infinite(value: object) -> None:
    if isinstance(value, float) and not math.isfinite(value):
        raise ValueError("a number in it is too large")
    if isinstance(value, dict | list):
        for inner in value.values() if isinstance(value, dict) else value:
            _refuse_infinite(inner)


def _unique_names(pairs: list[tuple[str, object]]) -> Json:
    values = dict(pairs)
    if len(values) < len(pairs):
        name, _ = Counter(name for name, _ in pairs).most_common(1)[0]
        raise ValueError(f"{reprlib.repr(name)} stands twice in an object")
    return values


def require_schema(path: Path, values: Json, schema: int) -> None:
    """Raise DataError where a record was written by a version of another schema."""
    written = values.get("schema")
    if written == schema and not isinstance(written, bool):
        return
    command = paste_safe_command(values.get("command"))
    again = f": {command}" if command else ""
    stated = "no schema" if written is None else f"schema {written!r:.20}"
    raise DataError(
        f"{path}: written by another version of causalrec ({stated}, this one reads {schema}); run the job again{again}"
    )


def from_plain(path: Path, record: type[T], values: Json) -> T:
    """Build a record of nested dataclasses from its JSON object; raise DataError that names the field that is wrong."""
    if (lacking := _lacking(record, values, "")) is not None:
        raise DataError(f"{path}: no `{lacking}` in it; remove it and run the job again")
    return validate_section(path, record, values)


def validate_section(path: Path, section: type[T], values: Json, prefix: str = "") -> T:
    """Build a dataclass from its JSON object; raise DataError that names file and field where one is wrong.

    Args:
        path: of the record.
        section: the dataclass, whose fields may have defaults.
        values: what the file holds of it.
        prefix: of the names of its fields, where it lies within another section.
    """
    try:
        return cast(T, _adapter(cast(Hashable, section)).validate_python(values))
    except ValidationError as error:
        first = error.errors(include_url=False, include_context=False)[0]
        field = shorten(one_line(prefix + ".".join(map(str, first["loc"]))), LONGEST_FIELD)
        if first["type"] == "missing":
            raise DataError(f"{path}: no `{field}` in it; remove it and run the job again") from error
        reason = f"{field}={reprlib.repr(first['input'])}: {first['msg'][0].lower()}{first['msg'][1:]}"
        raise DataError(f"{path}: not as a record should be ({reason}); remove it and run the job again") from error


@cache
def _adapter(record: Hashable) -> TypeAdapter[object]:
    return TypeAdapter(cast(type[object], record))


@cache
def fields_of(section: type) -> tuple[tuple[str, type | None], ...]:
    """Return the names of a section's fields, with the section each of them is, if any."""
    factories = [(field.name, field.default_factory) for field in dataclasses.fields(section)]
    return tuple(
        (name, by if isinstance(by, type) and dataclasses.is_dataclass(by) else None) for name, by in factories
    )


@cache
def _later_fields(section: type) -> frozenset[str]:
    """Return the names of the fields that records written before them lack, whose defaults say so."""
    return frozenset(field.name for field in dataclasses.fields(section) if "added" in field.metadata)


def _lacking(section: type, values: Mapping[str, object], prefix: str) -> str | None:
    """Return a field that a record or a section of it lacks; for their defaults nothing else would miss one."""
    later = _later_fields(section)
    for name, inner in fields_of(section):
        if name not in values:
            if name in later:
                continue
            return f"{prefix}{name}"
        below = values[name]
        if inner is not None and isinstance(below, dict) and (lack := _lacking(inner, below, f"{prefix}{name}.")):
            return lack
    return None
