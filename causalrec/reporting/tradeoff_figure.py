"""A picture of what lists lose in utility for what they gain of an aim, as a re-ranker's weight rises."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

from causalrec.records.run_record import RunRecord
from causalrec.records.sections import ScoreRecord
from causalrec.reporting.colours import BLUE
from causalrec.reporting.escapes import figure_text
from causalrec.reporting.reranked_lists import CurvePoint, tradeoff_curves
from causalrec.types import Doubles

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

LOOKS = ("o-", "s--", "^:", "D-.")  # of re-rankers, in turn


def tradeoff_figure(record: RunRecord, colour: str = BLUE) -> Figure | None:
    """Draw the utility of lists against each aim, a point a weight with both intervals, a line a re-ranker; None where
    no lists were ordered anew, or no metric is of either.

    Args:
        record: of the run.
        colour: of the run.
    """
    from matplotlib.figure import Figure

    curves = tradeoff_curves(record)
    if not curves:
        return None
    figure = Figure(figsize=(4.2 * len(curves), 3.6), layout="constrained")
    for panel, (aim, of_aim) in zip(figure.subplots(1, len(curves), squeeze=False)[0], curves.items(), strict=True):
        _draw(panel, of_aim, colour)
        first = next(iter(of_aim.values()))[0]
        better = {True: ", more is better", False: ", less is better", None: ""}[first.aim.higher_is_better]
        panel.set_xlabel(figure_text(f"{aim}{better}"), fontsize=8)
        panel.set_ylabel(figure_text(first.utility.metric), fontsize=8)
        panel.set_title(figure_text(record.name), fontsize=8)
        panel.tick_params(labelsize=7)
        panel.legend(frameon=False, fontsize=7)
    return figure


def _draw(panel: Axes, curves: Mapping[str, Sequence[CurvePoint]], colour: str) -> None:
    """Draw a line a re-ranker, with the weight beside each point."""
    for k, (name, points) in enumerate(curves.items()):
        x, y = [point.aim for point in points], [point.utility for point in points]
        panel.errorbar(
            _values(x),
            _values(y),
            yerr=_reach(y),
            xerr=_reach(x),
            fmt=LOOKS[k % len(LOOKS)],
            color=colour,
            ms=4,
            lw=1,
            elinewidth=0.6,
            label=figure_text(name),
        )
        for point in points:
            assert point.aim.value is not None and point.utility.value is not None
            at = (point.aim.value, point.utility.value)
            panel.annotate(f"{point.weight:g}", at, (3, 3), textcoords="offset points", fontsize=6)


def _values(scores: Sequence[ScoreRecord]) -> list[float]:
    return [score.value for score in scores if score.value is not None]


def _reach(scores: Sequence[ScoreRecord]) -> Doubles:
    """Return how far intervals reach below and above their values, float64[2,N]; nan without an interval."""
    ends = np.array([(score.low, score.value, score.high) for score in scores], float)
    reach: Doubles = np.maximum(np.diff(ends, axis=1).T, 0)  # of a catalogue's metric an end may lie within
    return reach
