"""What the rows of a table cost: parameters, seconds, rows a second, memory."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence

import numpy as np

from causalrec.records.run_folder import RunFolder
from causalrec.records.run_record import RunRecord
from causalrec.reporting.score_table import Cell, ScoreTable
from causalrec.reporting.table_rows import groups_of_tables, rows_of, titles_of, without_submodels

MIB = 1 << 20
COLUMNS: Mapping[str, Callable[[RunRecord], float | None]] = {
    "parameters@model": lambda record: float(sum(record.parameters.values())) or None,
    "seconds@training": lambda record: record.cost.training_seconds or None,
    "seconds@scoring": lambda record: record.cost.scoring_seconds or None,
    "rows/s@training": lambda record: record.cost.rows_per_second,
    "MiB@process": lambda record: record.peak_bytes / MIB or None,
}
NOTES = (
    "parameters: of all roles, frozen ones too. seconds@training: in training steps of all fits of the row, or in the "
    "fit of a learner from a table; of packed fits, their share. rows/s: logged rows met in them.",
    "MiB@process: the most memory of the process so far, which other jobs of it may have used.",
)


def cost_tables(
    folders: Iterable[RunFolder], rows: Sequence[str] = (), *, show_submodels: bool = False
) -> list[ScoreTable]:
    """Return a table of costs for each table of scores: means over seeds.

    Args:
        folders: the runs, and those of their special cases.
        rows: names of rows, in order; all where none are named.
        show_submodels: special cases stand in the tables too.
    """
    runs = list(folders)
    groups = groups_of_tables(runs if show_submodels else without_submodels(runs))
    tables = [
        ScoreTable(
            f"cost: {title}", tuple(COLUMNS), {name: _cells(of) for name, of in rows_of(group).items()}, (), NOTES
        )
        for title, group in zip(titles_of(groups), groups, strict=True)
    ]
    return [chosen for table in tables if (chosen := table.choose_rows(rows)).rows]


def _cells(runs: Sequence[RunFolder]) -> dict[str, Cell]:
    cells = {}
    for column, read in COLUMNS.items():
        values = [value for run in runs if (value := read(run.record)) is not None]
        if values:
            sd = float(np.std(values, ddof=1)) if len(values) > 1 else None
            cells[column] = Cell(float(np.mean(values)), float("nan"), float("nan"), sd, len(values), 0)
    return cells
