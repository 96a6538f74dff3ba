"""A study's table: published beside obtained, cell by cell, with verdicts and real differences."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass

from causalrec.records.run_folder import RunFolder, finished_runs
from causalrec.reporting.compare import Comparison, compare_rows
from causalrec.reporting.footnotes import caveats
from causalrec.reporting.judge import Judge, Key
from causalrec.reporting.published_numbers import Published
from causalrec.reporting.score_table import ScoreTable
from causalrec.reporting.study import Study
from causalrec.reporting.submodels import Loss, loss_notes, losses
from causalrec.reporting.table_rows import rows_of
from causalrec.reporting.verdict import GainVerdict, Obtained, ValueVerdict
from causalrec.reporting.warnings import warning_notes


@dataclass(frozen=True)
class PaperCell:
    """One cell: what the paper printed, what we obtained, and whether that reproduces it.

    Attributes:
        row: name of its row.
        column: name of its column, `metric@slice` in studies of trained models.
        published: number the paper printed; None where it printed none.
        obtained: our number; None where no run has it.
        value: whether ours lies below, within or above the printed number; None where none is printed.
        gain: whether the printed gain over the reference row is there; None where none is printed.
        comparison: difference to the study's row of comparison; None where it was not tested.
        loses_to: special cases of the row's model that are better, by name.
    """

    row: str
    column: str
    published: Published | None
    obtained: Obtained | None
    value: ValueVerdict | None
    gain: GainVerdict | None
    comparison: Comparison | None
    loses_to: tuple[str, ...] = ()


@dataclass(frozen=True)
class PaperTable:
    """Published and obtained numbers of a study, by row and column.

    Attributes:
        study: the study.
        baselines: names of the rows that are baselines.
        rows: names of all rows: baselines first, then what is run, then what is published only.
        columns: names of all columns: those of the study, then those that are published only.
        cells: cells by (row, column); a pair with neither number has none.
        footnotes: lines to read with the table.
    """

    study: Study
    baselines: tuple[str, ...]
    rows: tuple[str, ...]
    columns: tuple[str, ...]
    cells: Mapping[Key, PaperCell]
    footnotes: tuple[str, ...]

    def as_json(self) -> dict[str, object]:
        """Return the table as plain values."""
        cells = [
            {
                "row": cell.row,
                "column": cell.column,
                "published": cell.published.model_dump(exclude={"row", "column"}) if cell.published else None,
                "obtained": asdict(cell.obtained) if cell.obtained else None,
                "value": asdict(cell.value) if cell.value else None,
                "gain": asdict(cell.gain) if cell.gain else None,
                "comparison": asdict(cell.comparison) if cell.comparison else None,
                "loses_to": cell.loses_to,
            }
            for cell in self.cells.values()
        ]
        source = self.study.source.model_dump() if self.study.source else None
        return {
            "title": self.study.title,
            "source": source,
            "baselines": self.baselines,
            "rows": self.rows,
            "columns": self.columns,
            "cells": cells,
            "counts": self.counts,
            "footnotes": self.footnotes,
        }

    @property
    def run_columns(self) -> tuple[str, ...]:
        """The columns in which something was obtained, in order (all where nothing was)."""
        run = tuple(c for c in self.columns if any(k[1] == c and cell.obtained for k, cell in self.cells.items()))
        return run or self.columns

    @property
    def counts(self) -> dict[str, dict[str, int]]:
        """How often each verdict fell, of gains and of values; the first are what a study is about."""
        gains = [cell.gain.word for cell in self.cells.values() if cell.gain]
        values = [cell.value.word for cell in self.cells.values() if cell.value]
        return {"gains": dict(Counter(gains)), "values": dict(Counter(values))}


def paper_table(
    study: Study,
    obtained_cells: Mapping[Key, Obtained],
    baselines: Sequence[str],
    folders: Sequence[RunFolder],
    smoke: bool,
    submodels: Sequence[RunFolder] = (),
) -> PaperTable:
    """Put published and obtained numbers side by side and judge each cell that has both.

    Args:
        study: study with its published numbers.
        obtained_cells: our numbers by (row, column).
        baselines: names of the rows that are baselines.
        folders: records of its runs, for differences and caveats; empty for an estimation.
        smoke: whether the runs were made with `--smoke`, which judges nothing.
        submodels: records of the special cases of its rows.
    """
    printed = study.printed
    run_rows = study.rows_of_table([row for row, _ in obtained_cells])
    rows = tuple(dict.fromkeys([*baselines, *run_rows, *(row for row, _ in printed)]))
    columns = tuple(dict.fromkeys([*(c for c in study.columns), *(column for _, column in printed)]))
    differences = {} if study.compare is None else _differences(study, folders)
    judge = Judge(study=study, obtained=obtained_cells, differences=differences, smoke=smoke)
    rows_run, all_runs = rows_of(finished_runs(folders)), [*folders, *submodels]
    lost = losses(rows_run, all_runs, columns)
    cells = {}
    for row in rows:
        for column in columns:
            key = (row, column)
            published, obtained = printed.get(key), obtained_cells.get(key)
            if published or obtained:
                shown = differences.get(key) if study.compare and column in study.compare.columns else None
                cells[key] = PaperCell(
                    row,
                    column,
                    published,
                    obtained,
                    judge.value(key),
                    judge.gain(key),
                    shown,
                    _names(lost.get(key, ())),
                )
    notes = (
        *caveats(folders),
        *loss_notes(lost),
        *_footnotes(study, bool(differences)),
        *warning_notes(rows_of(finished_runs(folders))),
    )
    return PaperTable(study, tuple(baselines), rows, columns, cells, notes)


def _names(row_losses: Sequence[Loss]) -> tuple[str, ...]:
    return tuple(loss.submodel for loss in row_losses)


def collect_obtained(shown: Sequence[ScoreTable]) -> tuple[dict[Key, Obtained], tuple[str, ...]]:
    """Return the cells of tables by row and column, and the names of the baselines among the rows.

    With several data sets a baseline is named with its own: each of them has one of that name.
    """
    several = len({table.dataset for table in shown}) > 1

    def row_name(table: ScoreTable, row: str) -> str:
        return f"{row}, {re.split('[ ,]', table.dataset)[0]}" if several and row in table.baselines else row

    cells = {
        (row_name(table, row), column): Obtained(cell.mean, cell.sd, cell.low, cell.high, cell.seeds)
        for table in shown
        for row, of in table.rows.items()
        for column, cell in of.items()
    }
    return cells, tuple(dict.fromkeys(row_name(table, name) for table in shown for name in table.baselines))


def _differences(study: Study, folders: Sequence[RunFolder]) -> dict[Key, Comparison]:
    assert study.compare is not None
    printed = [column for row, column in study.printed if row == study.compare.to and column not in study.absent]
    columns = dict.fromkeys([*study.compare.columns, *printed])
    return {
        (comparison.row, column): comparison
        for column in columns
        for comparison in compare_rows(folders, study.compare.to, column)
    }


def _rules(study: Study) -> Iterator[str]:
    factor = study.tolerance.factor
    yield (
        f"Value within: |obtained - published| <= {factor:g} sd sqrt(1/n_p + 1/n_o) + half a printed digit; sd the "
        "larger of both, n the runs (one where the paper does not say)."
    )
    if study.compare is None:
        return
    same_test = study.source is not None and study.source.same_test
    over = "over seeds alone, as the test rows are the paper's" if same_test else "over test rows and seeds"
    yield (
        f"Gain over {study.compare.to} reproduced: within {factor:g} sqrt(s_row^2/n_p + s_ref^2/n_p + se^2) of the "
        f"published gain, and not of 0; undecided: of both. s the published standard deviations, se that of our paired "
        f"difference {over}."
    )


def _footnotes(study: Study, has_differences: bool) -> list[str]:
    notes = [*study.notes]
    if study.source:
        notes.append(f"Published: {study.source.paper}, {study.source.table}.")
    if study.published:
        notes += _rules(study)
    if study.compare and has_differences:
        notes.append(
            f"Difference to {study.compare.to}: paired by seed, clustered by user and item (20 groups each, Cameron, "
            "Gelbach & Miller 2011; of full rankings and sampled lists by user alone, items held fixed), seed variance "
            "added; of scores without such groups by the runs alone, whose data are drawn anew; p by Holm over the "
            "rows of a column; real at 5 %."
        )
    elif study.compare:
        notes.append("No comparison: the records hold no leave-groups-out values.")
    for reason in dict.fromkeys(study.absent.values()):
        names = ", ".join(name for name, why in study.absent.items() if why == reason)
        notes.append(f"{names}: cannot be reproduced here: {reason}.")
    return notes + [f"{cell.row}, {cell.column}: {cell.note}." for cell in study.published if cell.note]
