"""A table of users or items beside an unknown log: which of its columns holds their ids."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import polars as pl

from causalrec.data.tabular.rawfile import JSON, PARQUET, SEPARATORS, RawFile
from causalrec.data.tabular.role_guesses import RoleGuesses
from causalrec.data.tabular.sniff import ColumnLook, TableLook, look_at
from causalrec.errors import RequestError

LEAST_SHARED = 0.2  # share of the log's ids that a column of ids must hold


@dataclass(frozen=True)
class CompanionTable:
    """A table of users or items.

    Attributes:
        look: At the table.
        id: Its column of ids.
        file: Its path from the folder of the log.
        lacking: How many ids of the log it lacks.
    """

    look: TableLook
    id: str
    file: str
    lacking: int

    @property
    def columns(self) -> list[ColumnLook]:
        """Its columns beside the ids."""
        return [column for column in self.look.columns if column.name != self.id]

    def format_lines(self, log: RawFile) -> Iterator[str]:
        """Yield the keys that say how it is read, where it is not as the log."""
        raw = self.look.raw
        if raw.suffix in JSON | PARQUET:
            return
        inherited = log.declared_separator if raw.suffix == log.suffix else SEPARATORS.get(raw.suffix, ",")
        if raw.declared_separator != inherited:
            yield f"separator: {json.dumps(raw.declared_separator)}"
        if raw.encoding != log.encoding:
            yield f"encoding: {raw.encoding}"
        if raw.names is not None:
            yield f"names: {json.dumps(list(raw.names))}"
        if raw.numbers.decimal != log.numbers.decimal:
            yield f"decimal: {json.dumps(raw.numbers.decimal)}"
        if raw.numbers.thousands not in (None, log.numbers.thousands):
            yield f"thousands: {json.dumps(raw.numbers.thousands)}"


def look_at_companion(path: Path, side: str, look: TableLook, guesses: RoleGuesses) -> CompanionTable:
    """Look at a table of users or items, and find the ids of the log in it.

    Args:
        path: Its file.
        side: user or item.
        look: At the log.
        guesses: Which column of the log holds the ids.

    Raises:
        RequestError: Where the log has no such ids, or no column of the table holds them.
    """
    if side not in guesses.columns:
        raise RequestError(f"data new: {path}: the log has no column of {side}s; name it, as {side}=COLUMN")
    if not path.is_file():
        raise RequestError(f"data new: {path}: there is no such file")
    name, table = guesses.columns[side], look_at(path)
    ids = look.frame[name].cast(pl.String).drop_nulls().unique()

    def count_shared(column: str) -> int:
        return int(ids.is_in(table.frame[column].cast(pl.String).implode()).sum())

    candidates = [c for c in table.columns if not table.frame.schema[c.name].is_nested() and c.distinct == table.rows]
    best = max(candidates, key=lambda column: count_shared(column.name), default=None)
    if best is None or count_shared(best.name) < LEAST_SHARED * len(ids):
        raise RequestError(f"data new: {path}: no column holds each {side} of {name} once; is it the table of {side}s?")
    file = os.path.relpath(path.resolve(), look.raw.path.resolve().parent)
    return CompanionTable(table, best.name, file, len(ids) - count_shared(best.name))
