"""Every problem of a table at once, each with its file and line: what `causalrec data check` prints."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from causalrec.errors import DataError

MAX_LISTED_ROWS = 20  # rows listed of one kind of problem; the others are counted
Severity = Literal["error", "warning"]


@dataclass(frozen=True)
class Problem:
    """A thing that is wrong in a raw file.

    Attributes:
        severity: An `error` stops the data set from loading, a `warning` does not.
        file: The file's path, or the data set's name.
        line: From 1, the header included (in Parquet: the row); None of the file as a whole.
        column: The column's name in the file; None of the row as a whole.
        message: What is wrong, and what to do.

    >>> print(Problem("error", "r.csv", 3, "rating", "9 is outside 1..5"))
    r.csv: line 3: rating: 9 is outside 1..5
    """

    severity: Severity
    file: str
    line: int | None
    column: str | None
    message: str

    def __str__(self) -> str:
        location = [self.file, *([f"line {self.line}"] if self.line else []), *([self.column] if self.column else [])]
        return f"{': '.join(location)}: {self.message}"


def list_problems(
    kind: str,
    severity: Severity,
    path: Path,
    column: str | None,
    line_messages: Sequence[tuple[int | None, str]],
    count: int,
) -> list[Problem]:
    """Write the problems of one kind, at most `MAX_LISTED_ROWS` of them, then how many more there are.

    Args:
        kind: What is wrong, without a row's own value.
        severity: Of each.
        path: The raw file.
        column: The column; None of the row as a whole.
        line_messages: (line, message) of the rows at hand.
        count: Rows of this kind in all.
    """
    shown = [Problem(severity, str(path), line, column, message) for line, message in line_messages[:MAX_LISTED_ROWS]]
    if count > len(shown):
        more = f"{count - len(shown):,} more rows: {kind} ({count:,} in all)"
        shown.append(Problem(severity, str(path), None, column, more))
    return shown


def raise_errors(problems: Sequence[Problem], name: str) -> None:
    """Raise DataError with the first error among the problems; return where there is none."""
    errors = [problem for problem in problems if problem.severity == "error"]
    if len(errors) == 1:
        raise DataError(str(errors[0]))
    if errors:
        raise DataError(f"{errors[0]} (the first of {len(errors)}; `causalrec data check {name}` lists them all)")
