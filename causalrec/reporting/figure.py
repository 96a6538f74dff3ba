"""Pictures of one run, from its record alone."""

from __future__ import annotations

from collections.abc import Sequence
from io import BytesIO
from typing import TYPE_CHECKING

import numpy as np

from causalrec.graph.overlap import SMD_LIMIT
from causalrec.records.names import IMAGE_NAMES
from causalrec.records.overlap_sections import BalanceSection
from causalrec.records.run_record import RunRecord
from causalrec.reporting.colours import BLUE, GREY, RED
from causalrec.reporting.escapes import figure_text
from causalrec.reporting.numbers import format_number
from causalrec.reporting.reliability_figure import reliability_figure
from causalrec.reporting.table import SUBSET_SUFFIXES
from causalrec.reporting.tradeoff_figure import tradeoff_figure
from causalrec.reporting.values_figure import values_figure

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

BASELINE_LOOKS = (("s", GREY), ("^", "#444444"), ("v", "#999999"), ("P", GREY), ("X", "#444444"), ("*", "#999999"))
QUANTILES = 6  # as `graph.overlap.Overlap.quantiles` holds


def pictures(record: RunRecord, colour: str = BLUE) -> dict[str, bytes]:
    """Return PNG images of a record by name, those of `IMAGE_NAMES` that it has numbers for.

    `colour`: of the run, as `row_colours` has it where the run is one of several.
    """
    with np.errstate(over="ignore", invalid="ignore"):  # of numbers that only damage makes so large
        kinds = (
            overlap_figure,
            calibration_figure,
            reliability_figure,
            ranking_figure,
            values_figure,
            tradeoff_figure,
        )
        figures = [draw(record, colour) for draw in kinds]
        return {name: _png(figure) for name, figure in zip(IMAGE_NAMES, figures, strict=True) if figure is not None}


def _png(figure: Figure) -> bytes:
    out = BytesIO()
    figure.savefig(out, format="png", dpi=100)
    return out.getvalue()


def overlap_figure(record: RunRecord, colour: str = BLUE) -> Figure | None:
    """Draw what the weights rest on: propensities of the logged rows, estimates of the mean outcome, balance.

    None where the record lacks the propensities.
    """
    from matplotlib.figure import Figure

    overlap = record.overlap
    quantiles = [q for q in overlap.quantiles if q]
    if len(quantiles) != QUANTILES or len(quantiles) != len(overlap.quantiles):
        return None
    columns = () if overlap.balance is None else overlap.balance.worst
    worst = [(name, a, b) for name, a, b in columns if a is not None and b is not None]
    count = 3 if worst else 2
    figure = Figure(figsize=(3.6 * count, 2.6))
    edges = {"left": 0.02, "right": 0.98, "bottom": 0.13, "top": 0.78, "wspace": 0.08}
    panels = figure.subplots(1, count, gridspec_kw=edges)
    _propensities(panels[0], quantiles, overlap.clip, colour)
    means = [(name, value) for name, value in overlap.mean_outcome.items() if value is not None]
    panels[1].plot([value for _, value in means], range(len(means)), "o", color=colour)
    _name_rows(panels[1], [name for name, _ in means], figure_text(record.task.summary))
    if worst:
        assert overlap.balance is not None
        _balance(panels[2], overlap.balance, worst, colour)
    rows, by_arm = overlap.effective_rows or 0.0, overlap.clipped_by_arm
    clipped = f"{overlap.clipped or 0.0:.1%}"
    if by_arm:
        most = max(by_arm, key=lambda arm: by_arm[arm])
        clipped = f"of {most} {by_arm[most]:.1%}"
    figure.suptitle(
        f"{figure_text(record.name)}: {format_number(rows, 0)} effective rows, {clipped} clipped", fontsize=9
    )
    return figure


def _propensities(panel: Axes, quantiles: list[float], clip: float, colour: str) -> None:
    least, low, tenth, median, ninetieth, most = quantiles
    panel.plot([least, most], [0, 0], ":", color=GREY, lw=1, label="all")
    panel.plot([low, most], [0, 0], "-", color=colour, lw=1.5, label="from 1 %")
    panel.plot([tenth, ninetieth], [0, 0], "-", color=colour, lw=7, solid_capstyle="butt", label="10 to 90 %")
    panel.plot([median], [0], "|", color="black", ms=12, label="median")
    if clip > 0:
        panel.axvline(clip, ymax=0.6, color=RED, ls="--", lw=1, label="clip")
    panel.set(xscale="log", yticks=[], ylim=(-0.5, 1.5))
    panel.set_title("propensity of the logged rows", fontsize=8)
    panel.tick_params(labelsize=7)
    panel.legend(frameon=False, fontsize=7, loc="upper left", ncols=3, labelspacing=0.9)


def _balance(panel: Axes, balance: BalanceSection, worst: Sequence[tuple[str, float, float]], colour: str) -> None:
    """Draw columns before and after weighting, the limit shaded; the largest of either, over all columns, in words."""
    panel.axvspan(-SMD_LIMIT, SMD_LIMIT, color="#e9efe9", lw=0, zorder=-1)
    heights = range(len(worst))
    for height, (_, before, after) in enumerate(worst):
        panel.plot([before, after], [height, height], "-", color=GREY, lw=1, zorder=0)
    panel.plot([b for _, b, _ in worst], heights, "o", mfc="white", color=RED, label=_largest("before", balance))
    panel.plot([a for _, _, a in worst], heights, "o", color=colour, label=_largest("after", balance))
    panel.axvline(0, color=GREY, lw=1, ls="--", zorder=0)
    panel.legend(frameon=False, fontsize=7, loc="upper right")
    _name_rows(panel, [name for name, _, _ in worst], "balance: columns furthest off, in SD")


def _largest(when: str, balance: BalanceSection) -> str:
    largest = balance.before if when == "before" else balance.after
    return f"{when} weighting" if largest is None else f"{when} weighting, at most {format_number(largest, 2)}"


def _name_rows(panel: Axes, names: list[str], title: str) -> None:
    """Name the rows of a panel inside it: no layout has to be worked out, which takes longer than drawing."""
    panel.set(yticks=[], ylim=(len(names) - 0.4, -0.9))
    panel.set_title(title, fontsize=8)
    panel.tick_params(labelsize=7)
    for height, name in enumerate(names):
        panel.text(
            0.02, height - 0.15, figure_text(name), transform=panel.get_yaxis_transform(), fontsize=7, va="bottom"
        )


def calibration_figure(record: RunRecord, colour: str = BLUE) -> Figure | None:
    """Draw the mean outcome of each bin against its mean prediction, larger where it has more rows; None without."""
    from matplotlib.figure import Figure

    bins = [(b.predicted, b.true, b.n) for b in record.calibration if b.predicted is not None and b.true is not None]
    if sum(n for _, _, n in bins) == 0:
        return None
    x, y, rows = zip(*bins, strict=True)
    error = sum(n * abs(p - t) for p, t, n in zip(x, y, rows, strict=True)) / sum(rows)
    low, high = min(0.0, *x, *y), max(1.0, *x, *y)
    figure = Figure(figsize=(4.2, 4.2))
    panel = figure.subplots(gridspec_kw={"left": 0.14, "right": 0.96, "bottom": 0.13, "top": 0.92})
    panel.axline((low, low), (high, high), color=GREY, lw=1, ls="--", zorder=0)
    panel.plot(x, y, "-", color=colour, lw=1)
    panel.scatter(x, y, s=[10 + 60 * n / max(rows) for n in rows], color=colour)
    panel.set(xlabel="mean prediction of the bin", ylabel="mean outcome of the bin", xlim=(low, high), ylim=(low, high))
    panel.set_title(f"{figure_text(record.name)}: expected calibration error {format_number(error, 3)}", fontsize=9)
    return figure


def ranking_figure(record: RunRecord, colour: str = BLUE) -> Figure | None:
    """Draw the ranking metrics (AUC, and those with a cut-off) with their intervals, the model beside the baselines."""
    from matplotlib.figure import Figure

    defined = [s for s in record.all_scores if s.value is not None and not s.slice.endswith(SUBSET_SUFFIXES)]
    ranked = [s for s in defined if "@" in s.metric or s.metric == "auc"]
    models = list(dict.fromkeys(s.model for s in ranked))
    rows = list(dict.fromkeys((s.metric, s.slice) for s in ranked))
    if not rows:
        return None
    height = 1.2 + 0.12 * len(rows) * (len(models) + 2)
    figure = Figure(figsize=(6.4, height))
    names = [figure_text(f"{metric}, {where}") for metric, where in rows]
    edges = {"left": (0.2 + 0.06 * max(map(len, names))) / 6.4, "right": 0.98}  # inches a letter takes
    panel = figure.subplots(gridspec_kw={**edges, "bottom": 0.7 / height, "top": 1 - 0.3 / height})
    for k, model in enumerate(models):
        mine = [s for s in ranked if s.model == model]
        heights = [rows.index((s.metric, s.slice)) + (k + 1) / (len(models) + 1) - 0.5 for s in mine]
        mark, shade = BASELINE_LOOKS[(k - 1) % len(BASELINE_LOOKS)] if k else ("D", colour)
        for level, score in zip(heights, mine, strict=True):
            if score.low is not None and score.high is not None:
                panel.plot([score.low, score.high], [level, level], "-", color=shade, lw=1)
        panel.plot(
            [s.value for s in mine if s.value is not None], heights, mark, ms=4, color=shade, label=figure_text(model)
        )
    panel.set(yticks=range(len(names)), ylim=(len(names) - 0.4, -0.6))
    panel.set_yticklabels(names)
    panel.tick_params(labelsize=7)
    panel.set_title(f"{figure_text(record.name)}: ranking", fontsize=8)
    figure.legend(frameon=False, fontsize=7, loc="lower center", ncols=5)
    return figure
