"""The forest plot of several studies: a panel for each study and compared column."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from causalrec.data.files import replace_atomically
from causalrec.reporting.colours import GREY
from causalrec.reporting.compare import half_width
from causalrec.reporting.escapes import figure_text
from causalrec.reporting.gains_figure import draw_legend, draw_point
from causalrec.reporting.study_gains import StudyGains

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure


MOST_COLUMNS = 2  # of panels: the first columns that a study compares
OURS = "#1f5fa8"


def draw_overview(studies: Sequence[StudyGains], path: Path) -> None:
    """Write the figure as SVG."""
    from matplotlib import rc_context

    with replace_atomically(path) as temporary, rc_context({"svg.fonttype": "none", "svg.hashsalt": "causalrec"}):
        overview_figure(studies).savefig(temporary, format="svg", metadata={"Date": None})


def overview_figure(studies: Sequence[StudyGains]) -> Figure:
    """Draw ours with its interval, and the printed gain with what is allowed around it, study below study."""
    from matplotlib.figure import Figure

    rows = [_rows(study) for study in studies]
    width = max(len(study.columns[:MOST_COLUMNS]) for study in studies)
    heights = [len(each) + 2.5 for each in rows]
    figure = Figure(figsize=(1.8 + 3.6 * width, 0.6 + 0.22 * sum(heights)), layout="constrained")
    grid = figure.subplots(len(studies), width, squeeze=False, height_ratios=heights)
    for panels, study, names in zip(grid, studies, rows, strict=True):
        for k, panel in enumerate(panels):
            if k < len(study.columns):
                _draw(panel, study, study.columns[k], names, labels=k == 0)
            else:
                panel.set_axis_off()
    draw_legend(figure)
    return figure


def _rows(study: StudyGains) -> list[str]:
    shown = study.columns[:MOST_COLUMNS]
    return list(dict.fromkeys(cell.row for cell in study.gains if cell.comparison and cell.column in shown))


def _draw(panel: Axes, study: StudyGains, column: str, names: Sequence[str], *, labels: bool) -> None:
    for cell in study.of_column(column):
        if cell.comparison is None:
            continue
        height = names.index(cell.row)
        draw_point(panel, cell.comparison.difference, half_width(cell.comparison), height - 0.16, "o", OURS)
        if cell.gain is not None and cell.gain.published is not None and cell.gain.tolerance is not None:
            draw_point(panel, cell.gain.published, cell.gain.tolerance, height + 0.16, "D", GREY)
    panel.axvline(0, color=GREY, lw=1, ls="--", zorder=0)
    panel.set_yticks(range(len(names)), [figure_text(name) for name in names] if labels else [], fontsize=7)
    panel.set_ylim(len(names) - 0.5, -0.5)
    panel.tick_params(axis="x", labelsize=7)
    panel.spines[["top", "right"]].set_visible(False)
    title = figure_text(study.title) if labels else ""  # which may run on above the other panels
    panel.set_title(f"{title}\n{figure_text(column)}", fontsize=8, loc="left")
