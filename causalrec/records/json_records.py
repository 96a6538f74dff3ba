"""Records as JSON text, written and read."""

from __future__ import annotations

import dataclasses
import json
import math
from collections.abc import Hashable, Mapping
from functools import cache
from pathlib import Path
from typing import TypeVar, cast

import numpy as np
from pydantic import TypeAdapter, ValidationError

from causalrec.errors import DataError

Json = dict[str, object]
T = TypeVar("T")


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
    """Read a record's JSON object; raise DataError where it is cut off or something else."""
    try:
        values = json.loads(path.read_text(encoding="utf-8"))
    except (json.JSONDecodeError, UnicodeDecodeError) as error:
        raise DataError(f"{path}: not a whole record ({error}); remove it and run the job again") from error
    if not isinstance(values, dict):
        raise DataError(f"{path}: not a whole record (no JSON object); remove it and run the job again")
    return values


def require_schema(path: Path, values: Json, schema: int) -> None:
    """Raise DataError where a record was written by a version of another schema."""
    written = values.get("schema")
    if written == schema and not isinstance(written, bool):
        return
    command = values.get("command")
    again = f": {command}" if isinstance(command, str) and command else ""
    stated = "no schema" if written is None else f"schema {written}"
    raise DataError(
        f"{path}: written by another version of causalrec ({stated}, this one reads {schema}); run the job again{again}"
    )


def from_plain(path: Path, record: type[T], values: Json) -> T:
    """Build a record of nested dataclasses from its JSON object; raise DataError that names the field that is wrong."""
    if (lacking := _lacking(record, values, "")) is not None:
        raise DataError(f"{path}: no `{lacking}` in it; remove it and run the job again")
    try:
        return cast(T, _adapter(cast(Hashable, record)).validate_python(values))
    except ValidationError as error:
        first = error.errors()[0]
        field = ".".join(map(str, first["loc"]))
        if first["type"] == "missing":
            raise DataError(f"{path}: no `{field}` in it; remove it and run the job again") from error
        reason = f"{field}={first['input']!r:.80}: {first['msg'][0].lower()}{first['msg'][1:]}"
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


def _lacking(section: type, values: Mapping[str, object], prefix: str) -> str | None:
    """Return a field that a record or a section of it lacks; for their defaults nothing else would miss one."""
    for name, inner in fields_of(section):
        if name not in values:
            return f"{prefix}{name}"
        below = values[name]
        if inner is not None and isinstance(below, dict) and (lack := _lacking(inner, below, f"{prefix}{name}.")):
            return lack
    return None
