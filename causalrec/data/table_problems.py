"""Every problem of a table at once, each with its file and line: what `causalrec data check` prints."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from causalrec.errors import DataError

MAX_LISTED_ROWS = 20  # rows listed of one kind of problem; the others are counted
LINES_NAMED = 3  # of further rows, where a fault is told in one line
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
        kind: What is wrong, without the row's own value: alike for rows of one fault; empty where it has one row.
        count: How many rows it stands for.

    >>> print(Problem("error", "r.csv", 3, "rating", "9 is outside 1..5"))
    r.csv: line 3: rating: 9 is outside 1..5
    """

    severity: Severity
    file: str
    line: int | None
    column: str | None
    message: str
    kind: str = ""
    count: int = 1

    def __str__(self) -> str:
        location = [self.file, *([f"line {self.line}"] if self.line else []), *([self.column] if self.column else [])]
        return f"{': '.join(location)}: {self.message}"


def problem_of(error: Exception, name: str, severity: Severity = "error") -> Problem:
    """Return what an error says as a problem of the data set of that name, which it may name itself."""
    return Problem(severity, name, None, None, str(error).removeprefix(f"{name}: "))


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
    file, listed = str(path), line_messages[:MAX_LISTED_ROWS]
    shown = [Problem(severity, file, line, column, message, kind) for line, message in listed]
    if (left := count - len(shown)) > 0:
        more = f"{left:,} more rows: {kind} ({count:,} in all)"
        shown.append(Problem(severity, file, None, column, more, kind, left))
    return shown


def count_rows(problems: Sequence[Problem], severity: Severity) -> int:
    """Return how many faults of that severity there are, each row counted."""
    return sum(problem.count for problem in problems if problem.severity == severity)


def summarise(problems: Sequence[Problem]) -> list[tuple[Severity, str]]:
    """Write each fault once with its first row, and how many more rows have it; warnings first, errors last in sight.

    >>> rows = [(k, f"'{k}' is outside 1..5") for k in range(6, 11)]
    >>> for severity, line in summarise(list_problems("outside", "error", Path("r.csv"), "stars", rows, 70)):
    ...     print(line)
    r.csv: line 6: stars: '6' is outside 1..5 (and 69 more rows: lines 7, 8, 9, ..)
    """
    groups: dict[tuple[object, ...], list[Problem]] = {}
    for problem in sorted(problems, key=lambda problem: problem.severity, reverse=True):
        fault = problem.kind or problem.message
        groups.setdefault((problem.severity, problem.file, problem.column, fault), []).append(problem)
    return [(alike[0].severity, f"{alike[0]}{_other_rows(alike)}") for alike in groups.values()]


def _other_rows(alike: Sequence[Problem]) -> str:
    others = sum(problem.count for problem in alike[1:])
    if not others:
        return ""
    lines = [str(problem.line) for problem in alike[1 : 1 + LINES_NAMED] if problem.line]
    plural, more = "s" if others > 1 else "", ", .." if others > len(lines) else ""
    lines_text = f": line{plural} {', '.join(lines)}{more}" if lines else ""
    return f" (and {others:,} more row{plural}{lines_text})"


def raise_errors(problems: Sequence[Problem], name: str) -> None:
    """Raise DataError with the first error among the problems; return where there is none."""
    errors = [problem for problem in problems if problem.severity == "error"]
    count = count_rows(errors, "error")
    if count == 1:
        raise DataError(str(errors[0]))
    if errors:
        raise DataError(f"{errors[0]} (the first of {count:,}; `causalrec data check {name}` names every fault)")
