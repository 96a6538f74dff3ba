"""Bad rows gathered while a file streams by: few are kept, all are counted, and lines are looked up at the end."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from causalrec.data.table_problems import MAX_LISTED_ROWS, Problem, Severity, list_problems
from causalrec.data.tabular.rawfile import RawFile
from causalrec.types import Bools


@dataclass
class _Kind:
    severity: Severity
    count: int = 0
    rows: list[int] = field(default_factory=list)


@dataclass
class BadRows:
    """The bad rows of one raw file.

    Attributes:
        raw: The file.
        kinds: The rows by (what is wrong, column); `{value}` in the former is what the file holds.
    """

    raw: RawFile
    kinds: dict[tuple[str, str | None], _Kind] = field(default_factory=dict)

    def add(self, what: str, column: str | None, bad: Bools, offset: int = 0, severity: Severity = "error") -> None:
        """Note the rows where `bad` holds.

        Args:
            what: What is wrong with them; `{value}` in it becomes what the file holds.
            column: The column; None of the row as a whole.
            bad: bool[M].
            offset: The row of the file that row 0 of `bad` is.
            severity: Of the problem.
        """
        count = int(np.count_nonzero(bad))
        if not count:
            return
        kind = self.kinds.setdefault((what, column), _Kind(severity))
        kind.count += count
        if len(kind.rows) < MAX_LISTED_ROWS:
            kind.rows += [int(row) + offset for row in np.flatnonzero(bad)[: MAX_LISTED_ROWS - len(kind.rows)]]

    def problems(self) -> list[Problem]:
        """Look up the lines and values of the rows that are listed, and return every problem."""
        rows = sorted({row for kind in self.kinds.values() for row in kind.rows})
        if not rows:
            return []
        located = self.raw.locate(rows)
        result = []
        for (what, column), kind in self.kinds.items():
            line_messages: list[tuple[int | None, str]] = []
            for row in kind.rows:
                line, values = located.get(row, (None, {}))
                value = values.get(column or "")
                line_messages.append((line, what.replace("{value}", "nothing" if value in (None, "") else repr(value))))
            result += list_problems(
                what.replace("{value}", "a value"), kind.severity, self.raw.path, column, line_messages, kind.count
            )
        return result
