"""A table of scores as text: on a terminal of any width, as markdown, as CSV, as LaTeX."""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Iterator

from causalrec.records.names import parse_column
from causalrec.reporting.escapes import spreadsheet_cell
from causalrec.reporting.latex import escape
from causalrec.reporting.score_table import ScoreTable, cell_lines, format_cell, format_seeds, notes_of
from causalrec.reporting.text_table import TableCell, TextTable, split_column

SAME_SEEDS = {"0": "No number is defined.", "1": "One seed a row, so no spread over seeds is known."}
CSV_HEADER = ("table", "row", "baseline", "metric", "slice", "mean", "low", "high", "sd", "seeds", "n", "loses_to")


def text_table(table: ScoreTable, *, intervals: bool = True) -> TextTable:
    """Return what a terminal shows of a table; where every row has as many seeds, a note says so, and no column.

    A single row without baselines is shown slice by slice, a line each, where these share metrics.
    """
    if len(table.rows) == 1 and not table.baselines and _share_metrics(table):
        return _text_by_slice(table, intervals=intervals)
    seeds = {name: format_seeds(name, table) for name in table.rows if name not in table.baselines}
    differ = len(set(seeds.values())) > 1
    rows: list[tuple[TableCell, ...]] = []
    for name, cells in table.rows.items():
        texts = [cell_lines(cells.get(c), table.decimals(c), intervals=intervals) for c in table.columns]
        rows.append((name, *texts, *([seeds.get(name, "")] if differ else [])))
    same = () if differ else tuple(SAME_SEEDS.get(count, f"{count} seeds a row.") for count in set(seeds.values()))
    return TextTable(
        title=table.dataset,
        header=("row", *map(split_column, table.columns), *(["seeds"] if differ else [])),
        rows=tuple(rows),
        rule_after=frozenset({len(table.baselines) - 1}),
        notes=(*notes_of(table, intervals), *same),
    )


def _share_metrics(table: ScoreTable) -> bool:
    metrics = [parse_column(column)[0] for column in table.columns]
    return len(set(metrics)) < len(metrics)


def _text_by_slice(table: ScoreTable, *, intervals: bool) -> TextTable:
    """Return the only row of a table with its slices below each other and its metrics beside each other."""
    ((name, cells),) = table.rows.items()
    columns = {parse_column(column): column for column in table.columns}
    metrics, slices = (tuple(dict.fromkeys(pair[k] for pair in columns)) for k in (0, 1))

    def lines(metric: str, where: str) -> TableCell:
        column = columns.get((metric, where))
        return "" if column is None else cell_lines(cells.get(column), table.decimals(column), intervals=intervals)

    seeds = format_seeds(name, table)
    return TextTable(
        title=f"{name}, {table.dataset}",
        header=("slice", *metrics),
        rows=tuple((where, *(lines(metric, where) for metric in metrics)) for where in slices),
        notes=(*notes_of(table, intervals), SAME_SEEDS.get(seeds, f"{seeds} seeds.")),
    )


def csv_text(tables: list[ScoreTable]) -> str:
    """Write tables as CSV, a line for each number, unrounded; a name that begins as a formula gets a `'` before it."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(CSV_HEADER)
    for table in tables:
        writer.writerows(_csv_rows(table))
    return out.getvalue()


def _csv_rows(table: ScoreTable) -> Iterator[tuple[object, ...]]:
    for row, cells in table.rows.items():
        for column, cell in cells.items():
            ends = (None if math.isnan(end) else end for end in (cell.low, cell.high))
            numbers = (cell.mean, *ends, cell.sd, cell.seeds, cell.n)
            words = (table.dataset, row, row in table.baselines, *parse_column(column))
            yield tuple(map(spreadsheet_cell, (*words, *numbers, " ".join(cell.loses_to))))


def latex(table: ScoreTable, *, intervals: bool = True) -> str:
    """Write a table as a LaTeX `table` environment; it needs booktabs, and amssymb for the mark of special cases."""
    heads = " & ".join(escape(column) for column in table.columns)
    lines = [
        r"% \usepackage{booktabs,amssymb}",
        r"\begin{table}",
        r"\centering",
        rf"\caption{{{escape(table.dataset)}}}",
    ]
    lines += [rf"\begin{{tabular}}{{l{'r' * len(table.columns)}}}", r"\toprule", rf"row & {heads} \\", r"\midrule"]
    for name, cells in table.rows.items():
        texts = [format_cell(cells.get(c), " ", table.decimals(c), intervals=intervals) for c in table.columns]
        lines.append(" & ".join(map(escape, [name, *texts])) + r" \\")
        lines += [r"\midrule"] if table.baselines and name == table.baselines[-1] else []
    lines += [r"\bottomrule", r"\end{tabular}"]
    lines += [rf"\par\footnotesize {escape(note)}" for note in notes_of(table, intervals)]
    return "\n".join([*lines, r"\end{table}"]) + "\n"
