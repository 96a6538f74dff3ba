"""What a page is made from: the records below a folder, complete or broken, behind the rows of their tables."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from causalrec.records.run_folder import (
    AnyFolder,
    BrokenRecord,
    RunFolder,
    estimations_of,
    load_whole_folders,
    runs_of,
)
from causalrec.reporting.colours import row_colours
from causalrec.reporting.estimation import pool_estimates
from causalrec.reporting.score_table import Cell, ScoreTable
from causalrec.reporting.table import tables
from causalrec.reporting.table_rows import groups_of_tables, rows_of, without_submodels


@dataclass(frozen=True)
class PageTable:
    """A table, and the records behind each of its rows that is not a baseline.

    Attributes:
        table: the table.
        rows: the records of each row.
        colours: of the rows of all tables of the page, by name.
    """

    table: ScoreTable
    rows: dict[str, list[RunFolder]]
    colours: Mapping[str, str]

    @property
    def runs(self) -> list[RunFolder]:
        """Every record of the table."""
        return [run for group in self.rows.values() for run in group]

    def style(self, row: str) -> str | None:
        """Return the CSS that gives a row its colour; None for a baseline."""
        return f"--row:{self.colours[row]}" if row in self.colours else None


@dataclass(frozen=True)
class PageData:
    """All that lies below a folder.

    Attributes:
        folder: the folder.
        tables: one for each data set, split and estimand.
        estimates: the cells of estimation jobs, None where there are none.
        folders: every record that could be read.
        broken: those that could not.
    """

    folder: Path
    tables: list[PageTable]
    estimates: ScoreTable | None
    folders: list[AnyFolder]
    broken: list[BrokenRecord]

    @property
    def runs(self) -> list[RunFolder]:
        """The records of runs."""
        return runs_of(self.folders)

    @property
    def failed_jobs(self) -> list[AnyFolder]:
        """The jobs that failed."""
        return [record_folder for record_folder in self.folders if not record_folder.record.done]


def load_page_data(folder: Path, columns: tuple[str, ...] = ()) -> PageData:
    """Read every record below a folder; a broken one is listed, not raised.

    Raises RequestError where there is no record at all, and on a column that no record has.
    """
    folders, broken = load_whole_folders(folder)
    return PageData(folder.resolve(), _tables(runs_of(folders), columns), _estimates(folders), folders, broken)


def _tables(runs: Sequence[RunFolder], columns: tuple[str, ...]) -> list[PageTable]:
    shown = without_submodels(runs)
    colours = row_colours(run.record.name for run in shown)
    pairs = zip(tables(runs, columns), groups_of_tables(shown), strict=True)
    return [PageTable(table, rows_of(group), colours) for table, group in pairs]


def _estimates(folders: Sequence[AnyFolder]) -> ScoreTable | None:
    cells: dict[str, dict[str, Cell]] = {}
    for (row, column), estimate in pool_estimates(job.record for job in estimations_of(folders)).items():
        cells.setdefault(row, {})[column] = Cell(
            estimate.mean, estimate.low, estimate.high, estimate.sd, estimate.n, estimate.n
        )
    columns = tuple(dict.fromkeys(column for of in cells.values() for column in of))
    notes = ("± standard deviation over draws; [low, high] of the mean over draws.",)
    return ScoreTable("Estimates against a known truth", columns, cells, (), notes) if cells else None
