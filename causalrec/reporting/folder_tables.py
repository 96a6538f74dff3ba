"""The tables of a folder, from the records below it that can be read."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from causalrec.records.run_folder import BrokenRecord, load_whole_folders, no_finished_run, runs_of
from causalrec.reporting.cost_table import cost_tables
from causalrec.reporting.reranked_table import reranked_tables
from causalrec.reporting.score_table import ScoreTable
from causalrec.reporting.table import tables


def folder_tables(
    folder: Path, columns: tuple[str, ...], rows: tuple[str, ...], show_submodels: bool, show_cost: bool = False
) -> tuple[list[ScoreTable], list[BrokenRecord]]:
    """Return the tables of the finished runs below a folder, and the records that are in none: they cannot be read.

    Raises RequestError where no record lies there, DataError where none of a finished run does.

    Args:
        folder: any folder above records.
        columns: `metric@slice` each; none for those that the records have.
        rows: their names, in order; none for all.
        show_submodels: special cases of rows stand in the tables, and do not only mark them.
        show_cost: tables of what the rows cost come after those of their scores.
    """
    folders, broken = load_whole_folders(folder, ["replicates"])
    if any(run.record.submodels for run in runs_of(folders)):
        folders, broken = load_whole_folders(folder, ["replicates", "jackknife"])
    with np.errstate(over="ignore", invalid="ignore"):  # of numbers that only damage makes so large
        score_tables = tables(runs_of(folders), columns, rows=rows, show_submodels=show_submodels)
    if not score_tables:
        raise no_finished_run(folder, folders, broken)
    lists = [] if columns else reranked_tables(runs_of(folders), rows, show_submodels=show_submodels)
    costs = cost_tables(runs_of(folders), rows, show_submodels=show_submodels) if show_cost else []
    return [*score_tables, *lists, *costs], broken
