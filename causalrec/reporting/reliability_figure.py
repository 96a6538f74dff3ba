"""Curves of predictions before and after the maps of calibrated slices, from a record alone."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from causalrec.records.run_record import RunRecord
from causalrec.records.sections import CalibrationBin
from causalrec.reporting.colours import BASE, BLUE, GREY
from causalrec.reporting.escapes import figure_text
from causalrec.reporting.numbers import format_number

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

Curve = tuple[str, Sequence[CalibrationBin]]


def before_and_after(record: RunRecord) -> tuple[list[Curve], list[Curve]]:
    """Return the curves of predictions as they are and under a map, by slice: those of bins that are known."""
    curves: tuple[list[Curve], list[Curve]] = ([], [])
    for curve in record.reliability:
        bins = [b for b in curve.bins if b.predicted is not None and b.true is not None and b.n]
        if bins:
            curves[curve.mapped].append((curve.slice, bins))
    return curves


def reliability_figure(record: RunRecord, colour: str = BLUE) -> Figure | None:
    """Draw mean outcome against mean prediction by bin, as predicted (left) and under each map (right); None without.

    Left are the test and other logged rows, right the test alone. A curve's name has its expected calibration error,
    over the bins that are drawn.
    """
    from matplotlib.figure import Figure

    panels = before_and_after(record)
    if not panels[1]:
        return None
    values = [v for curves in panels for _, bins in curves for b in bins for v in (b.predicted or 0.0, b.true or 0.0)]
    low, high = min(0.0, *values), max(1.0, *values)
    figure = Figure(figsize=(8.0, 4.2))
    edges = {"left": 0.07, "right": 0.98, "bottom": 0.13, "top": 0.86, "wspace": 0.16}
    colours = [colour, *(shade for shade in BASE if shade != colour)]
    for axes, curves, title in zip(
        figure.subplots(1, 2, gridspec_kw=edges), panels, ("as predicted", "under a map"), strict=True
    ):
        axes.axline((low, low), (high, high), color=GREY, lw=1, ls="--", zorder=0)
        for k, (name, bins) in enumerate(curves):
            _draw(axes, name, bins, colours[k % len(colours)])
        axes.set(xlabel="mean prediction of the bin", xlim=(low, high), ylim=(low, high))
        axes.set_title(title, fontsize=9)
        axes.tick_params(labelsize=7)
        axes.legend(frameon=False, fontsize=6, loc="upper left")
    figure.axes[0].set_ylabel("mean outcome of the bin")
    figure.suptitle(f"{figure_text(record.name)}: reliability before and after maps", fontsize=9)
    return figure


def _draw(axes: Axes, name: str, bins: Sequence[CalibrationBin], colour: str) -> None:
    points = [(b.predicted or 0.0, b.true or 0.0) for b in bins]
    error = sum(b.n * abs(p - t) for b, (p, t) in zip(bins, points, strict=True)) / max(sum(b.n for b in bins), 1)
    label = f"{figure_text(name)}: {format_number(error, 3)}"
    axes.plot(*zip(*points, strict=True), "o-", ms=3, lw=1, color=colour, label=label)
