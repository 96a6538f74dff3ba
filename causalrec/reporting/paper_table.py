"""A study's table: published beside obtained, cell by cell, with verdicts and real differences."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass

from causalrec.errors import nearest
from causalrec.records.run_folder import RunFolder
from causalrec.reporting.compare import Comparison, compared
from causalrec.reporting.published_numbers import Published
from causalrec.reporting.study import Study
from causalrec.reporting.table import Table, caveats
from causalrec.reporting.verdict import Obtained, Verdict, judge

Key = tuple[str, str]


@dataclass(frozen=True)
class PaperCell:
    """One cell: what the paper printed, what we obtained, and whether that reproduces it (None: nothing printed)."""

    row: str
    column: str
    published: Published | None
    obtained: Obtained | None
    verdict: Verdict | None
    comparison: Comparison | None


@dataclass(frozen=True)
class PaperTable:
    """Cells by row and column: baselines first, then what is run, then what is published only."""

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
                "verdict": asdict(cell.verdict) if cell.verdict else None,
                "comparison": asdict(cell.comparison) if cell.comparison else None,
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
    def counts(self) -> dict[str, int]:
        """How often each verdict fell."""
        words = [cell.verdict.word for cell in self.cells.values() if cell.verdict]
        return {word: words.count(word) for word in dict.fromkeys(words)}


def paper_table(
    study: Study, found: Mapping[Key, Obtained], baselines: Sequence[str], folders: Sequence[RunFolder], smoke: bool
) -> PaperTable:
    """Put published and obtained numbers side by side and judge each cell that has both."""
    printed = {(one.row, one.column): one for one in study.published}
    run_rows = study.rows_of_table([row for row, _ in found])
    rows = tuple(dict.fromkeys([*baselines, *run_rows, *(row for row, _ in printed)]))
    columns = tuple(dict.fromkeys([*(c for c in study.columns), *(column for _, column in printed)]))
    differences = {} if study.compare is None else _differences(study, folders)
    cells = {}
    for row in rows:
        for column in columns:
            key = (row, column)
            told, obtained = printed.get(key), found.get(key)
            if told or obtained:
                verdict = _verdict(study, told, obtained, found, smoke)
                cells[key] = PaperCell(row, column, told, obtained, verdict, differences.get(key))
    notes = (*caveats(folders), *_footnotes(study, bool(differences)))
    return PaperTable(study, tuple(baselines), rows, columns, cells, notes)


def _verdict(
    study: Study, told: Published | None, obtained: Obtained | None, found: Mapping[Key, Obtained], smoke: bool
) -> Verdict | None:
    if told is None:
        return None
    absent = study.absent
    reason = absent.get(told.row) or absent.get(told.column)
    if reason is not None:
        return Verdict("cannot be", reason=reason)
    if smoke:
        return Verdict("smoke: not judged")
    if obtained is None:
        rows = study.rows_of_table([row for row, _ in found])
        lost = rows and told.row not in rows
        return Verdict("not run", reason=f"no such row; {nearest(told.row, rows)}" if lost else "no finished run")
    return judge(told, obtained, study.tolerance.factor)


def obtained_of(shown: Sequence[Table]) -> tuple[dict[Key, Obtained], tuple[str, ...]]:
    """Return the cells of tables by row and column, and the names of the baselines among the rows.

    With several data sets a baseline is named with its own: each of them has one of that name.
    """
    several = len({table.dataset for table in shown}) > 1

    def named(table: Table, row: str) -> str:
        return f"{row}, {table.dataset.partition(' ')[0]}" if several and row in table.baselines else row

    cells = {
        (named(table, row), column): Obtained(cell.mean, cell.sd, cell.low, cell.high, cell.seeds)
        for table in shown
        for row, of in table.rows.items()
        for column, cell in of.items()
    }
    return cells, tuple(dict.fromkeys(named(table, name) for table in shown for name in table.baselines))


def _differences(study: Study, folders: Sequence[RunFolder]) -> dict[Key, Comparison]:
    assert study.compare is not None
    columns = study.compare.columns
    return {(one.row, column): one for column in columns for one in compared(folders, study.compare.to, column)}


def _footnotes(study: Study, has_differences: bool) -> list[str]:
    notes = [*study.notes]
    if study.source:
        notes.append(f"Published: {study.source.paper}, {study.source.table}.")
    if study.published:
        notes.append(
            f"Reproduced: |obtained - published| <= {study.tolerance.factor:g} sd sqrt(1/n_p + 1/n_o) + half a printed "
            "digit; sd the larger of both, n the runs (one where the paper does not say)."
        )
    if study.compare and has_differences:
        notes.append(
            f"Difference to {study.compare.to}: paired by seed, clustered by user and item (20 groups each, Cameron, "
            "Gelbach & Miller 2011), seed variance added; p by Holm over the rows of a column; real at 5 %."
        )
    elif study.compare:
        notes.append("No comparison: the records hold no leave-groups-out values.")
    for reason in dict.fromkeys(study.absent.values()):
        names = ", ".join(name for name, why in study.absent.items() if why == reason)
        notes.append(f"{names}: cannot be reproduced here: {reason}.")
    return notes + [f"{one.row}, {one.column}: {one.note}." for one in study.published if one.note]
