"""A table of scores: its rows and cells, and how they are written in markdown."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

from causalrec.records.names import LOSS_MARK
from causalrec.reporting.escapes import markdown_note, markdown_text
from causalrec.reporting.numbers import format_interval, format_number

MOST_DECIMALS = 6
LARGE = 100.0  # a mean that is written to one decimal


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
        note: what stands beside the interval, in a few words; of several seeds the first's.
    """

    mean: float
    low: float
    high: float
    sd: float | None
    seeds: int
    n: int
    loses_to: tuple[str, ...] = ()
    note: str = ""


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

    def choose_rows(self, names: Sequence[str]) -> ScoreTable:
        """Return the table with these of its rows, in this order; with all where none is named."""
        if not names:
            return self
        rows = {name: self.rows[name] for name in names if name in self.rows}
        return replace(self, rows=rows, baselines=tuple(name for name in self.baselines if name in rows))

    def decimals(self, column: str) -> int:
        """Return to how many decimals a column is written: three at least, unless its numbers are large, and as many as
        show the widest interval of a row that is no baseline; where there is none, three digits of the largest mean.
        """
        cells = [of[column] for row, of in self.rows.items() if column in of and row not in self.baselines]
        largest = max((abs(cell.mean) for cell in cells), default=0.0)
        half = max((width / 2 for cell in cells if 0 < (width := cell.high - cell.low) < math.inf), default=0.0)
        if largest >= LARGE:
            return 1
        shown = half if half > 0 else largest / 100
        return min(max(3, math.ceil(-math.log10(shown))), MOST_DECIMALS) if shown > 0 else 3

    def as_json(self) -> dict[str, object]:
        """Return the table as plain values."""
        cells = {row: {column: vars(cell) for column, cell in of.items()} for row, of in self.rows.items()}
        return {**vars(self), "rows": cells}


def format_seeds(name: str, table: ScoreTable) -> str:
    """Return how many seeds a row averages; baselines have none to draw."""
    cells = table.rows[name].values()
    return "" if name in table.baselines else str(max((cell.seeds for cell in cells), default=0))


def format_cell(cell: Cell | None, gap: str = " ", decimals: int = 3, *, intervals: bool = True) -> str:
    """Write one cell: mean ± standard deviation, a mark where a special case is better, then the interval if any.

    Args:
        cell: of a table; None where it has none.
        gap: before the interval.
        decimals: of every number.
        intervals: whether they are shown.

    >>> format_cell(Cell(0.5, 0.4, 0.6, 0.01, 2, 100))
    '0.500 ± 0.010 [0.400, 0.600]'
    """
    return gap.join(cell_lines(cell, decimals, intervals=intervals))


def cell_lines(cell: Cell | None, decimals: int, *, intervals: bool) -> tuple[str, ...]:
    """Return the lines of a cell, as `format_cell` joins them."""
    if cell is None:
        return ("-",)
    sd = "" if cell.sd is None else f" ± {format_number(cell.sd, decimals)}"
    mean = f"{format_number(cell.mean, decimals)}{sd}{f' {LOSS_MARK}' if cell.loses_to else ''}"
    ends = format_interval(cell.low, cell.high, decimals) if intervals else ""
    note = f"({cell.note})" if cell.note and intervals else ""
    return (mean, *filter(None, (ends, note)))


def markdown(table: ScoreTable, *, intervals: bool = True) -> str:
    """Write a table as GitHub markdown, with its footnotes."""
    head = ["row", *map(markdown_text, table.columns), "seeds"]
    lines = [f"**{markdown_text(table.dataset)}**", "", "| " + " | ".join(head) + " |", "|" + "---|" * len(head)]
    for name, cells in table.rows.items():
        texts = [format_cell(cells.get(c), "<br>", table.decimals(c), intervals=intervals) for c in table.columns]
        lines.append("| " + " | ".join([markdown_text(name), *texts, format_seeds(name, table)]) + " |")
    return "\n".join([*lines, "", *map(markdown_note, notes_of(table, intervals))])


def notes_of(table: ScoreTable, intervals: bool) -> tuple[str, ...]:
    """Return the footnotes once each; without intervals, none on them."""
    return tuple(note for note in dict.fromkeys(table.footnotes) if intervals or not note.startswith("[low, high]"))
