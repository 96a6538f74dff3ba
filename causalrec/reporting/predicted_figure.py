"""Predicted against true mean outcome of the rows of a study, from records alone."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import cycle
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from causalrec.data.files import replace_atomically
from causalrec.records.run_folder import RunFolder, finished_runs
from causalrec.records.run_record import RunRecord
from causalrec.reporting.colours import GREY, row_colours
from causalrec.reporting.escapes import figure_text
from causalrec.types import Doubles

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

MARGIN = 0.04  # of what the axes show, around the data
PANEL_INCHES = 3.5
LineStyle = str | tuple[int, tuple[int, int]]
GRID = 60  # points of a mean curve
LINES: tuple[LineStyle, ...] = ("-", "--", "-.", (0, (1, 1)))  # a curve on another is seen through its gaps


def draw_predicted_against_true(folders: Iterable[RunFolder], path: Path) -> None:
    """Write the figure; the file's ending (`.png`, `.svg`) chooses the format."""
    figure = predicted_figure([run.record for run in finished_runs(list(folders))])
    with replace_atomically(path) as temporary:
        figure.savefig(temporary, format=path.suffix.lstrip("."), dpi=200)


def predicted_figure(records: Sequence[RunRecord]) -> Figure:
    """Draw predicted against true mean outcome of finished runs, ten bins a run: a panel an encoder, a colour a row.

    A row's line is the mean of its seeds, its band their range; points are the bins of each seed.
    """
    from matplotlib.figure import Figure

    done, colours = [record for record in records if record.calibration], row_colours(record.name for record in records)
    panels: dict[str, dict[str, list[Doubles]]] = {}
    for record in sorted(done, key=lambda record: (record.name, record.seed)):
        panels.setdefault(str(record.choice("encoder")), {}).setdefault(record.name, []).append(_bins(record))
    figure = Figure(figsize=(PANEL_INCHES * len(panels) + 0.4, PANEL_INCHES + 0.5), layout="constrained")
    axes = figure.subplots(1, len(panels), squeeze=False, sharex=True, sharey=True)[0]
    for panel, encoder in zip(axes, sorted(panels), strict=True):
        for (name, curves), line in zip(panels[encoder].items(), cycle(LINES), strict=False):
            _draw_row(panel, name, curves, (colours[name], line))
        panel.axline((0, 0), slope=1, color=GREY, lw=0.9, ls="--", zorder=0)
        panel.legend(frameon=False, fontsize=8, loc="upper left")
        _name(panel, encoder)
    low, high = _limits([curve for of in panels.values() for curves in of.values() for curve in curves])
    axes[0].set(xlim=(low, high), ylim=(low, high))
    truth = "true rate" if _knows_truth(done) else "observed outcome"
    axes[0].set_ylabel(f"mean {truth} of the bin", fontsize=9)
    return figure


def _name(panel: Axes, encoder: str) -> None:
    panel.set_title(f"encoder: {figure_text(encoder)}", fontsize=10)
    panel.set_xlabel("predicted mean outcome of the bin", fontsize=9)
    panel.set_aspect("equal")
    panel.tick_params(labelsize=8)
    panel.spines[["top", "right"]].set_visible(False)


def _bins(record: RunRecord) -> Doubles:
    """Return predicted and true means [2,bins], those that are known."""
    points = [(b.predicted, b.true) for b in record.calibration if b.predicted is not None and b.true is not None]
    return np.array(points, np.float64).T.reshape(2, -1)


def _draw_row(panel: Axes, name: str, curves: Sequence[Doubles], look: tuple[str, LineStyle]) -> None:
    """Draw the points of every seed, and where all seeds have predictions the mean and the range of their curves."""
    colour, line = look
    for curve in curves:
        panel.plot(*curve, "o", ms=3, color=colour, alpha=0.6, mec="none")
    low, high = max(curve[0].min() for curve in curves), min(curve[0].max() for curve in curves)
    x = np.union1d(curves[0][0], (low, high)) if len(curves) == 1 else np.linspace(low, high, GRID)
    true = [np.interp(x, *curve) for curve in curves]
    panel.fill_between(x, np.min(true, axis=0), np.max(true, axis=0), color=colour, alpha=0.22, lw=0)
    label = figure_text(name if len(curves) == 1 else f"{name}, {len(curves)} seeds")
    panel.plot(x, np.mean(true, axis=0), ls=line, lw=1.6, color=colour, label=label)


def _limits(curves: Sequence[Doubles]) -> tuple[float, float]:
    values = np.concatenate([curve.ravel() for curve in curves])
    low, high = float(values.min()), float(values.max())
    room = MARGIN * (high - low) or 0.5
    return low - room, high + room


def _knows_truth(done: list[RunRecord]) -> bool:
    return all(record.adjustment.evaluation.strategy == "known truth" for record in done)
