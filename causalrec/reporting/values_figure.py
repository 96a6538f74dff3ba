"""A picture of a run that has no baselines beside it: every score with its interval, slice by slice."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from causalrec.records.run_record import RunRecord
from causalrec.records.sections import ScoreRecord
from causalrec.reporting.colours import BLUE, GREY
from causalrec.reporting.escapes import figure_text

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

MOST_ROWS = 60  # that can still be read
NOTE_WIDTH = 0.35  # of the panel, for words beside an interval


def values_figure(record: RunRecord, colour: str = BLUE) -> Figure | None:
    """Draw the scores that have intervals, those of a slice together; None where baselines stand beside the model.

    What stands beside an interval in a table stands beside it here. Differences between slices (`A-B`) are drawn in a
    panel of their own, about 0.

    Args:
        record: of the run.
        colour: of the run.
    """
    from matplotlib.figure import Figure

    scores = [] if record.baselines else [s for s in record.scores if s.low is not None and s.high is not None]
    slices = {score.slice for score in scores}
    gains = [s for s in scores if "-" in s.slice and set(s.slice.split("-", 1)) <= slices]
    values = [score for score in scores if score not in gains]
    panels = [(title, rows) for title, rows in (("value", values), ("difference", gains)) if rows]
    if not panels or max(len(rows) for _, rows in panels) > MOST_ROWS:
        return None
    height = 0.9 + 0.17 * max(len(rows) for _, rows in panels)
    figure = Figure(figsize=(4.6 * len(panels), height), layout="constrained")
    axes = figure.subplots(1, len(panels), squeeze=False)[0]
    for panel, (title, rows) in zip(axes, panels, strict=True):
        _draw(panel, rows, colour)
        panel.set_title(f"{figure_text(record.name)}: {title}", fontsize=8)
        if title == "difference":
            panel.axvline(0, color=GREY, lw=0.8)
    return figure


def _draw(panel: Axes, scores: Sequence[ScoreRecord], colour: str) -> None:
    """Draw an interval a line, with a gap between slices."""
    heights, labels, level = [], [], 0.0
    for k, score in enumerate(scores):
        level += 1.6 if k and score.slice != scores[k - 1].slice else 1.0
        heights.append(level)
        labels.append(figure_text(f"{score.metric}, {score.slice}"))
        assert score.low is not None and score.high is not None
        shade = GREY if score.note else colour
        panel.plot([score.low, score.high], [level, level], "-", color=shade, lw=1.2)
        panel.plot(np.array([score.value], float), [level], "o", color=shade, ms=3.5)
        if score.note:
            panel.annotate(
                figure_text(score.note),
                (score.high, level),
                (3, 0),
                textcoords="offset points",
                fontsize=6,
                va="center",
            )
    panel.set(yticks=heights, ylim=(level + 1, 0))
    panel.set_yticklabels(labels)
    panel.tick_params(labelsize=6)
    if any(score.note for score in scores):  # their words stand on the right
        low, high = panel.get_xlim()
        panel.set_xlim(low, high + NOTE_WIDTH * (high - low))
