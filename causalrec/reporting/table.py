"""Tables, from records alone: rows x columns, user-bootstrap intervals of seed averages, seed spread, and n."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from rich.console import Console
from rich.table import Table as RichTable
from rich.text import Text

from causalrec.errors import RequestError, did_you_mean
from causalrec.estimators.bootstrap import percentile_interval
from causalrec.records.names import column_of, parse_column
from causalrec.records.run_folder import RunFolder
from causalrec.records.run_record import RunRecord
from causalrec.records.sections import ScoreRecord
from causalrec.reporting.submodels import MARK, Loss, loss_notes, losses, missing_cases
from causalrec.reporting.table_rows import groups_of_tables, is_resampled, rows_of, titles_of, without_submodels
from causalrec.reporting.warnings import warning_notes
from causalrec.types import Doubles

DEFAULT = ("auc", "ndcg@5", "mse", "skill", "bias")
SUBSET_SUFFIXES = ("_head", "_torso", "_tail", "_cold")  # of a slice, shown where a column asks for them


@dataclass(frozen=True)
class Cell:
    """One number of a table.

    Attributes:
        mean: over seeds.
        low: lower end of the user bootstrap's interval of that mean; nan where there is none.
        high: upper end.
        sd: standard deviation over seeds; None for one.
        seeds: how many there are.
        n: rows (or users) a score rests on.
        loses_to: special cases of the row's model that are better, by name.
    """

    mean: float
    low: float
    high: float
    sd: float | None
    seeds: int
    n: int
    loses_to: tuple[str, ...] = ()


@dataclass(frozen=True)
class ScoreTable:
    """Scores of runs by row and column.

    Attributes:
        dataset: name of the data set, threshold of its outcome, and what else tells the tables of a folder apart; the
            title.
        columns: names of the columns, `metric@slice`.
        rows: row -> column -> cell, baselines first; an undefined score has no cell.
        baselines: names of the rows that are baselines.
        footnotes: what the numbers rest on, a line each.
    """

    dataset: str
    columns: tuple[str, ...]
    rows: dict[str, dict[str, Cell]]
    baselines: tuple[str, ...]
    footnotes: tuple[str, ...]

    def __str__(self) -> str:
        return markdown(self)

    def as_json(self) -> dict[str, object]:
        """Return the table as plain values."""
        cells = {row: {column: vars(cell) for column, cell in of.items()} for row, of in self.rows.items()}
        return {**vars(self), "rows": cells}


def tables(
    folders: Iterable[RunFolder], columns: tuple[str, ...] = (), *, show_submodels: bool = False
) -> list[ScoreTable]:
    """Make one table per data set, split and estimand (a table never mixes two estimands).

    Args:
        folders: the runs, and those of their special cases.
        columns: `metric@slice`; the usual ones where none are named.
        show_submodels: special cases stand in the tables too, and do not only mark the rows that lose to them.
    """
    runs = list(folders)
    groups = groups_of_tables(runs if show_submodels else without_submodels(runs))
    _require(columns, [run for group in groups for run in group])
    return [_table(title, group, columns, runs) for title, group in zip(titles_of(groups), groups, strict=True)]


def _require(columns: tuple[str, ...], folders: Sequence[RunFolder]) -> None:
    present = {column_of(score) for run in folders for score in run.record.all_scores}
    for column in columns if folders else ():
        if column not in present:
            raise RequestError(f"column {column}: no record has it; {did_you_mean(column, present)}")


def _table(title: str, folders: list[RunFolder], wanted: tuple[str, ...], runs: Sequence[RunFolder]) -> ScoreTable:
    groups = rows_of(folders)
    trivial = tuple(dict.fromkeys(score.model for run in folders for score in run.record.baselines))
    available = list(dict.fromkeys(column_of(score) for run in folders for score in run.record.all_scores))
    columns = _columns(available, wanted)
    rows = {
        name + mark: _cells([(run, run.record.baselines) for run in group], name, columns)
        for mark, group in _group_by_training_rows(folders).items()
        for name in trivial
    }
    baselines = tuple(rows)
    rows |= {name: _cells([(run, run.record.scores) for run in group], None, columns) for name, group in groups.items()}
    lost = losses(groups, runs, columns)
    marked = _mark(rows, lost)
    return ScoreTable(
        title, columns, marked, baselines, (*loss_notes(lost), *missing_cases(groups, runs), *_footnotes(groups))
    )


def _mark(
    rows: Mapping[str, Mapping[str, Cell]], lost: Mapping[tuple[str, str], Sequence[Loss]]
) -> dict[str, dict[str, Cell]]:
    """Return the rows, each cell with the special cases to which its row loses there."""
    return {
        row: {
            column: replace(cell, loses_to=tuple(loss.submodel for loss in lost.get((row, column), ())))
            for column, cell in cells.items()
        }
        for row, cells in rows.items()
    }


def _group_by_training_rows(folders: Sequence[RunFolder]) -> dict[str, list[RunFolder]]:
    """Return one record of each training split, by what its baselines' names end with: the rows, where they differ."""
    once = {(run.record.audit.hashes.get("train"), run.record.selection.folds > 1): run for run in reversed(folders)}
    sizes: dict[int, list[RunFolder]] = {}
    for run in reversed(once.values()):
        sizes.setdefault(0 if is_resampled(run.record) else run.record.fitted_rows, []).append(run)
    return {f"-{size}" if len(sizes) > 1 else "": group for size, group in sorted(sizes.items())}


def _columns(available: list[str], wanted: tuple[str, ...]) -> tuple[str, ...]:
    of_a_slice = tuple(c for c in available if not c.endswith(SUBSET_SUFFIXES))
    usual = tuple(c for c in of_a_slice if parse_column(c)[0] in DEFAULT or c == "snips_mean@logged")
    return tuple(c for c in wanted if c in available) if wanted else usual or of_a_slice


def _cells(
    group: Sequence[tuple[RunFolder, Sequence[ScoreRecord]]], model: str | None, columns: tuple[str, ...]
) -> dict[str, Cell]:
    by_column: dict[str, list[tuple[ScoreRecord, Doubles | None]]] = {}
    for run, scores in group:
        for score in scores:
            if model is None or score.model == model:
                by_column.setdefault(column_of(score), []).append((score, run.replicates.get(score.key)))
    level = group[0][0].record.level
    return {
        column: _cell(held, values, level)
        for column in columns
        if (held := by_column.get(column)) and (values := _values(held)) is not None
    }


def _values(scores: Sequence[tuple[ScoreRecord, Doubles | None]]) -> list[float] | None:
    """Return the values of scores, None where one is undefined."""
    values = [score.value for score, _ in scores if score.value is not None]
    return values if len(values) == len(scores) else None


def _cell(scores: Sequence[tuple[ScoreRecord, Doubles | None]], values: list[float], level: float) -> Cell:
    first = scores[0][0]
    low, high = (float("nan") if end is None else end for end in (first.low, first.high))  # it has none
    if len(scores) > 1:
        held = [replicates for _, replicates in scores if replicates is not None]
        complete = len(held) == len(scores)  # without every seed's replicates there is no interval of their average
        low, high = float("nan"), float("nan")
        if complete:
            low, high = percentile_interval(np.mean(held, axis=0), level, absolute=first.absolute)
    sd = float(np.std(values, ddof=1)) if len(values) > 1 else None
    return Cell(float(np.mean(values)), low, high, sd, len(values), first.n)


def caveats(folders: Iterable[RunFolder]) -> list[str]:
    """Return what the data sets of records want read with any result on them, once each, as footnotes."""
    sections = (run.record.data for run in folders)
    return list(dict.fromkeys(f"{data.name}: {data.caveat}." for data in sections if data.caveat))


def _footnotes(groups: dict[str, list[RunFolder]]) -> Iterable[str]:
    folders = [run for group in groups.values() for run in group]
    first = folders[0].record
    yield from caveats(folders)
    resampled = "these users resampled, these items" if first.audit.users else "these rows resampled"
    interval = f"{first.level:.0%} interval of the seed average, {resampled}"
    yield f"[low, high]: {interval}; ± standard deviation over seeds."
    yield from first.task.footnotes
    for name, group in groups.items():
        for note in _row_footnotes(group[0].record):
            yield f"{name}: {note}"
    yield from _notes_of_fitted_rows(groups)
    yield from warning_notes(groups)
    audit = first.audit
    if audit.split:
        yield f"Split: {audit.split}."
    yield f"Test: {audit.test}; {audit.duplicates} pairs of it are also logged ({audit.duplicate_rule})."


def _notes_of_fitted_rows(groups: Mapping[str, Sequence[RunFolder]]) -> Iterable[str]:
    """Yield which rows are fitted on validation rows too, where some are, chosen by folds, and some are not."""
    names: dict[bool, list[str]] = {}
    for name, runs in groups.items():
        names.setdefault(runs[0].record.selection.folds > 1, []).append(name)
    if len(names) == 2:
        by_folds, held = (groups[names[folds][0]][0].record.fitted_rows for folds in (True, False))
        yield (
            f"{', '.join(names[True])}: chosen by folds and fitted on {by_folds} rows, training and validation; "
            f"{', '.join(names[False])}: on {held} training rows. Baselines stand once for each."
        )


def _row_footnotes(record: RunRecord) -> Iterable[str]:
    """Yield what is to be said of one row alone."""
    adjustment = record.adjustment
    for assumption in adjustment.training.assumed:
        yield f"assumed, not identified: {assumption}."
    reads, needed = list(adjustment.propensity_reads), list(adjustment.training.columns)
    if reads != needed and adjustment.training.strategy == "backdoor":
        yield f"propensity={record.choice('propensity')} reads {reads}, the adjustment set is {needed}."
    if adjustment.evaluation.strategy == "none":
        yield "the test is logged, not randomised: scores describe logged exposure only."


def print_table(table: ScoreTable, console: Console) -> None:
    """Print a table to a terminal."""
    rich_table = RichTable(
        title=table.dataset, caption=Text("\n".join(dict.fromkeys(table.footnotes))), caption_justify="left"
    )
    rich_table.add_column("row", no_wrap=True)
    for column in table.columns:
        rich_table.add_column(column, justify="right", no_wrap=True)
    rich_table.add_column("seeds", justify="right")
    for name, cells in table.rows.items():
        texts = (format_cell(cells.get(column), "\n") for column in table.columns)
        rich_table.add_row(name, *texts, format_seeds(name, table), end_section=name in table.baselines[-1:])
    console.print(rich_table)


def format_seeds(name: str, table: ScoreTable) -> str:
    """Return how many seeds a row averages; baselines have none to draw."""
    cells = table.rows[name].values()
    return "" if name in table.baselines else str(max((cell.seeds for cell in cells), default=0))


def format_cell(cell: Cell | None, gap: str = " ") -> str:
    """Write one cell: mean ± standard deviation, a mark where a special case is better, then the interval if any.

    >>> format_cell(Cell(0.5, 0.4, 0.6, 0.01, 2, 100))
    '0.500 ± 0.010 [0.400, 0.600]'
    """
    if cell is None:
        return "-"
    sd = "" if cell.sd is None else f" ± {cell.sd:.3f}"
    ends = f"{gap}[{cell.low:.3f}, {cell.high:.3f}]" if math.isfinite(cell.low) else ""
    return f"{cell.mean:.3f}{sd}{f' {MARK}' if cell.loses_to else ''}{ends}"


def markdown(table: ScoreTable) -> str:
    """Write a table as GitHub markdown, with its footnotes."""
    head = ["row", *table.columns, "seeds"]
    lines = [f"**{table.dataset}**", "", "| " + " | ".join(head) + " |", "|" + "---|" * len(head)]
    for name, cells in table.rows.items():
        texts = [format_cell(cells.get(column), "<br>") for column in table.columns]
        lines.append("| " + " | ".join([name, *texts, format_seeds(name, table)]) + " |")
    return "\n".join([*lines, "", *(f"- {note}" for note in dict.fromkeys(table.footnotes))])
