"""Tables of lists that were ordered anew: a line a weight, from the plain lists on."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from causalrec.records.names import difference_name, score_column
from causalrec.records.run_folder import RunFolder
from causalrec.reporting.footnotes import legend
from causalrec.reporting.reranked_lists import Reranking, rerankings
from causalrec.reporting.score_table import Cell, ScoreTable
from causalrec.reporting.table import score_cells
from causalrec.reporting.table_rows import groups_of_tables, rows_of, titles_of, without_submodels

NOTE = "@gain: less the plain lists (weight 0) of the same row, users paired, by leaving groups of them out."
VALUE, GAIN = "value", "gain"  # columns of each metric


def reranked_tables(
    folders: Iterable[RunFolder], rows: Sequence[str] = (), *, show_submodels: bool = False
) -> list[ScoreTable]:
    """Return a table for each re-ranker of each table of scores; none where no lists were ordered anew.

    Args:
        folders: the runs, and those of their special cases.
        rows: names of rows, in order; all where none are named.
        show_submodels: special cases stand in the tables too.
    """
    runs = list(folders)
    groups = groups_of_tables(runs if show_submodels else without_submodels(runs))
    tables = [
        _table(title, rows_of(group), reranking, rows)
        for title, group in zip(titles_of(groups), groups, strict=True)
        for reranking in _merge(each for run in group for each in rerankings(run.record))
    ]
    return [table for table in tables if table.rows]


def _merge(every: Iterable[Reranking]) -> list[Reranking]:
    """Return each re-ranker once, with the weights of all runs."""
    merged: dict[tuple[str, str], dict[float, str]] = {}
    for each in every:
        merged.setdefault((each.plain, each.reranker), {}).update(each.slices)
    return [Reranking(*names, dict(sorted(slices.items()))) for names, slices in merged.items()]


def _table(
    title: str, rows: Mapping[str, Sequence[RunFolder]], reranking: Reranking, chosen: Sequence[str]
) -> ScoreTable:
    """Return the table of a re-ranker: of each row a line a weight, of each metric its value and its gain."""
    runs = [run for group in rows.values() for run in group]
    scores = [score for run in runs for score in run.record.scores if score.slice in reranking.slices.values()]
    metrics = list(dict.fromkeys(score.metric for score in scores))
    lines: dict[str, dict[str, Cell]] = {}
    for row in chosen or rows:
        for weight, slice_name in reranking.slices.items():
            if cells := _line(rows.get(row, ()), reranking.plain, slice_name, metrics):
                lines[f"{row}, weight {weight:g}"] = cells
    columns = tuple(score_column(metric, label) for metric in metrics for label in (VALUE, GAIN))
    name = f"{title}: {reranking.plain} ordered anew by {reranking.reranker}"
    return ScoreTable(name, columns, lines, (), (NOTE, *legend(runs, columns)))


def _line(runs: Sequence[RunFolder], plain: str, slice_name: str, metrics: Sequence[str]) -> dict[str, Cell]:
    """Return the cells of a row at a weight."""
    slices = {VALUE: slice_name, GAIN: difference_name(slice_name, plain)}
    wanted = {score_column(m, where): score_column(m, label) for m in metrics for label, where in slices.items()}
    cells = score_cells([(run, run.record.scores) for run in runs], None, tuple(wanted)) if runs else {}
    return {wanted[column]: cell for column, cell in cells.items()}
