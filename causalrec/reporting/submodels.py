"""Rows that lose to a special case of themselves: a fault of the fit, marked in every table."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from causalrec.records.names import LOSS_MARK, column_of
from causalrec.records.run_folder import RunFolder, finished_runs
from causalrec.reporting.compare import Comparison, compare_runs, half_width
from causalrec.reporting.numbers import format_interval, format_number

MARK = LOSS_MARK
CellKey = tuple[str, str]  # row and column


@dataclass(frozen=True)
class Loss:
    """A row that is worse than one of its special cases, by the interval of their paired difference.

    Attributes:
        submodel: name of the special case.
        comparison: row minus special case.
    """

    submodel: str
    comparison: Comparison

    def __str__(self) -> str:
        difference, half = self.comparison.difference, half_width(self.comparison)
        ends = format_interval(difference - half, difference + half, 4, sign=True)
        return f"{self.comparison.column} {format_number(difference, 4, sign=True)} {ends}".rstrip()


def losses(
    rows: Mapping[str, Sequence[RunFolder]], runs: Sequence[RunFolder], columns: Sequence[str]
) -> dict[CellKey, list[Loss]]:
    """Return by row and column the special cases to which a row loses.

    Args:
        rows: the finished runs of each row of a table, by its name.
        runs: all runs, those of special cases among them.
        columns: `metric@slice`, of which those are looked at whose records say which end is better.
    """
    run_of = {run.record.key: run for run in finished_runs(list(runs))}
    by_cell: dict[CellKey, list[Loss]] = {}
    for row, members in rows.items():
        better = {column_of(score): score.higher_is_better for run in members for score in run.record.scores}
        for name in _case_names(members):
            keys = [run.record.submodels.get(name, "") for run in members]
            cases = [run_of[key] for key in keys if key in run_of]
            for column in (column for column in columns if better.get(column) is not None and cases):
                comparison = compare_runs(members, cases, column, names=(row, name))
                if comparison is not None and _loses(comparison, higher_is_better=bool(better[column])):
                    by_cell.setdefault((row, column), []).append(Loss(name, comparison))
    return by_cell


def missing_cases(rows: Mapping[str, Sequence[RunFolder]], runs: Sequence[RunFolder]) -> list[str]:
    """Return a footnote for each row with special cases that no run finished: unmarked, it was not compared."""
    done = {run.record.key for run in finished_runs(list(runs))}
    notes = []
    for row, members in rows.items():
        wanted = [(name, run.record.submodels[name]) for run in members for name in run.record.submodels]
        if lost := list(dict.fromkeys(name for name, key in wanted if key not in done)):
            notes.append(f"{row}: not compared with every run of its special cases {', '.join(lost)}: not finished.")
    return notes


def _case_names(members: Sequence[RunFolder]) -> list[str]:
    return list(dict.fromkeys(name for run in members for name in run.record.submodels))


def _loses(comparison: Comparison, *, higher_is_better: bool) -> bool:
    """Whether the interval of row minus special case lies on the worse side of 0."""
    gain = comparison.difference if higher_is_better else -comparison.difference
    return gain + half_width(comparison) < 0


def loss_notes(by_place: Mapping[CellKey, Sequence[Loss]]) -> list[str]:
    """Return a footnote for each row and special case: in which columns it is behind, and by how much."""
    lines: dict[tuple[str, str], list[str]] = {}
    for (row, _), row_losses in by_place.items():
        for loss in row_losses:
            lines.setdefault((row, loss.submodel), []).append(str(loss))
    return [f"{MARK} {row} loses to its special case {name}: {'; '.join(of)}." for (row, name), of in lines.items()]
