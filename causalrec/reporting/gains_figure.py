"""The gains of a study over its reference row as a forest plot: published beside ours."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from causalrec.data.files import replace_atomically
from causalrec.reporting.colours import GREY, row_colours
from causalrec.reporting.compare import half_width
from causalrec.reporting.escapes import figure_text
from causalrec.reporting.paper_table import PaperCell, PaperTable

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

LEGEND = {"o": "ours, 95 % interval", "D": "published, with what is allowed"}  # by mark


def draw_gains(table: PaperTable, path: Path) -> bool:
    """Write the figure of a study; return whether there was a gain to draw."""
    from matplotlib import rc_context

    figure = gains_figure(table)
    if figure is None:
        return False
    with replace_atomically(path) as temporary, rc_context({"svg.fonttype": "none", "svg.hashsalt": "causalrec"}):
        figure.savefig(temporary, format=path.suffix[1:], metadata={"Date": None} if path.suffix == ".svg" else None)
    return True


def gains_figure(table: PaperTable) -> Figure | None:
    """Draw ours with its interval and the published gain with what is allowed around it, a panel a compared column.

    None where there is no gain to draw.
    """
    from matplotlib.figure import Figure

    compare = table.study.compare
    panels = {column: _cells(table, column) for column in (compare.columns if compare else ())}
    panels = {column: cells for column, cells in panels.items() if cells}
    if compare is None or not panels:
        return None
    rows = [row for row in table.rows if any(cell.row == row for cells in panels.values() for cell in cells)]
    figure = Figure(figsize=(1.4 + 3.2 * len(panels), 1.1 + 0.28 * len(rows)), layout="constrained")
    axes = figure.subplots(1, len(panels), squeeze=False, sharey=True)[0]
    trained = {row for (row, _), cell in table.cells.items() if cell.obtained and row not in table.baselines}
    colours = row_colours(trained)
    for panel, (column, cells) in zip(axes, panels.items(), strict=True):
        _draw(panel, {cell.row: cell for cell in cells}, rows, colours)
        panel.set_title(f"{figure_text(column)}:\ngain over {figure_text(compare.to)}", fontsize=9)
    draw_legend(figure)
    return figure


def draw_legend(figure: Figure) -> None:
    """Say below the panels what the marks are."""
    from matplotlib.lines import Line2D

    fills = {"o": GREY, "D": "white"}
    handles = [
        Line2D([], [], color=GREY, marker=mark, mfc=fills[mark], ms=3.5, label=label) for mark, label in LEGEND.items()
    ]
    figure.legend(handles=handles, fontsize=8, frameon=False, loc="outside lower center", ncols=2)


def _cells(table: PaperTable, column: str) -> list[PaperCell]:
    """Return the rows of a column whose gain was measured, in the table's order."""
    cells = [cell for row in table.rows if (cell := table.cells.get((row, column))) and cell.comparison]
    return [cell for cell in cells if cell.row not in table.baselines]


def _draw(panel: Axes, cells: Mapping[str, PaperCell], rows: Sequence[str], colours: Mapping[str, str]) -> None:
    for height, row in enumerate(rows):
        if row not in cells:
            continue
        comparison, gain = cells[row].comparison, cells[row].gain
        assert comparison is not None
        draw_point(panel, comparison.difference, half_width(comparison), height - 0.16, "o", colours[row])
        if gain is not None and gain.published is not None and gain.tolerance is not None:
            draw_point(panel, gain.published, gain.tolerance, height + 0.16, "D", GREY)
    panel.axvline(0, color=GREY, lw=1, ls="--", zorder=0)
    panel.set_yticks(range(len(rows)), [figure_text(row) for row in rows], fontsize=8)
    panel.set_ylim(len(rows) - 0.5, -0.5)
    panel.tick_params(axis="x", labelsize=8)
    panel.spines[["top", "right"]].set_visible(False)


def draw_point(panel: Axes, value: float, half: float, height: float, mark: str, colour: str) -> None:
    """Draw a gain with its interval.

    Args:
        panel: that it is drawn in.
        value: of the gain.
        half: of its interval.
        height: of its row.
        mark: as in `LEGEND`.
        colour: of mark and interval.
    """
    fill = colour if mark == "o" else "white"
    panel.errorbar([value], [height], xerr=[half], fmt=mark, ms=3.5, lw=1.2, capsize=2, color=colour, mfc=fill)
