"""Bad rows gathered while files stream by: few are kept, all are counted, and lines are looked up at the end."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from causalrec.data.table_problems import MAX_LISTED_ROWS, Problem, Severity, list_problems
from causalrec.data.tabular.rawfile import RawFile
from causalrec.types import Bools, Ints

Hint = Callable[[object, str | None], str]  # (value, column) -> what mends it, ready to end a message


@dataclass
class _Kind:
    severity: Severity
    hint: Hint | None
    count: int = 0
    rows: list[int] = field(default_factory=list)


@dataclass
class BadRows:
    """The bad rows of one table.

    Attributes:
        raw: Its file, the first where it lies in several.
        kinds: The rows by (what is wrong, column); `{value}` in the former is what the file holds, any other name in
            braces one of `facts`.
        starts: The row of the table that each file begins with.
        files: The files.
        facts: What is known of the table only once it was read, by name.
    """

    raw: RawFile
    kinds: dict[tuple[str, str | None], _Kind] = field(default_factory=dict)
    starts: list[int] = field(default_factory=lambda: [0])
    files: list[RawFile] = field(init=False)
    facts: dict[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.files = [self.raw]

    def begin_file(self, raw: RawFile, row: int) -> None:
        """Note that rows from `row` on are those of a further file."""
        self.files.append(raw)
        self.starts.append(row)

    def add(
        self,
        what: str,
        column: str | None,
        bad: Bools,
        offset: int = 0,
        severity: Severity = "error",
        hint: Hint | None = None,
    ) -> None:
        """Note the rows where `bad` holds.

        Args:
            what: What is wrong with them; `{value}` in it becomes what the file holds.
            column: The column; None of the row as a whole.
            bad: bool[M].
            offset: The row of the table that row 0 of `bad` is.
            severity: Of the problem.
            hint: Says what mends a value.
        """
        if bad.any():
            self.add_rows(what, column, np.flatnonzero(bad) + offset, severity, hint)

    def add_rows(
        self, what: str, column: str | None, rows: Ints, severity: Severity = "error", hint: Hint | None = None
    ) -> None:
        """Note rows of the table by their numbers.

        Args:
            what: What is wrong with them; `{value}` in it becomes what the file holds.
            column: The column; None of the row as a whole.
            rows: int64[M].
            severity: Of the problem.
            hint: Says what mends a value.
        """
        kind = self.kinds.setdefault((what, column), _Kind(severity, hint))
        kind.count += len(rows)
        kind.rows += [int(row) for row in rows[: MAX_LISTED_ROWS - len(kind.rows)]]

    @property
    def has_errors(self) -> bool:
        """Whether a row breaks a rule that stops the load."""
        return any(kind.severity == "error" for kind in self.kinds.values())

    def problems(self) -> list[Problem]:
        """Look up the lines and values of the rows that are listed, and return every problem."""
        located = self.locate(sorted({row for kind in self.kinds.values() for row in kind.rows}))
        result = []
        for (what, column), kind in self.kinds.items():
            words = what
            for name, fact in self.facts.items():
                words = words.replace(f"{{{name}}}", fact)
            by_file: dict[int, list[tuple[int | None, str]]] = {}
            for row in kind.rows:
                line, values = located.get(row, (None, {}))
                message = _message(words, values.get(column or ""), column, kind.hint)
                by_file.setdefault(self._file_of(row), []).append((line, message))
            short, left = words.replace("{value}", "a value"), kind.count - len(kind.rows)
            for file, line_messages in by_file.items():
                count = len(line_messages) + left
                left = 0  # of further rows it is not known which file they stand in
                path = self.files[file].path
                result += list_problems(short, kind.severity, path, column, line_messages, count)
        return result

    def _file_of(self, row: int) -> int:
        return bisect_right(self.starts, row) - 1

    def locate(self, rows: list[int]) -> Mapping[int, tuple[int, dict[str, Any]]]:
        """Return line and values of these rows of the table, by row."""
        located: dict[int, tuple[int, dict[str, Any]]] = {}
        for number, (raw, start) in enumerate(zip(self.files, self.starts, strict=True)):
            inside = [row - start for row in rows if self._file_of(row) == number]
            located |= {row + start: where for row, where in raw.locate(inside).items()} if inside else {}
        return located


def _message(words: str, value: object, column: str | None, hint: Hint | None) -> str:
    text = "nothing" if value in (None, "") else repr(value)
    return words.replace("{value}", text) + (hint(value, column) if hint is not None else "")
