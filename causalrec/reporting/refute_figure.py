"""A run's average effect beside what its refuters made of it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from matplotlib.figure import Figure

from causalrec.reporting.colours import BLUE, GREY, RED
from causalrec.reporting.escapes import figure_text

if TYPE_CHECKING:
    from matplotlib.axes import Axes

LONGEST_CAVEAT = 500  # letters
LOOKS = {"passes": ("#2a8a3e", "o"), "fails": (RED, "X"), "not testable": (GREY, "s")}  # colour and mark of a verdict


def refute_figure(refutation: dict[str, Any]) -> Figure:
    """Draw each estimate with its interval, the run's own as a band, a panel per arm; units of the outcome."""
    arms = len(refutation["value"])
    shown = [[v for v in refutation["verdicts"] if v["arm"] == a + 1 and v["value_is_effect"]] for a in range(arms)]
    heights = [max(1, len(verdicts)) for verdicts in shown]
    figure = Figure(figsize=(7, 1.1 + 0.6 * arms + 0.3 * sum(heights)), layout="constrained")
    panels = figure.subplots(arms, 1, squeeze=False, height_ratios=heights)[:, 0]
    for a, panel in enumerate(panels):
        _draw_arm(panel, refutation, a, shown[a])
    figure.legend(*panels[0].get_legend_handles_labels(), fontsize=8, frameon=False, loc="outside right upper")
    figure.suptitle(f"{figure_text(refutation['run'])}: the average effect, and what refuters make of it", fontsize=11)
    if refutation.get("caveat"):
        figure.supxlabel(figure_text(refutation["caveat"], LONGEST_CAVEAT), fontsize=8, wrap=True)
    return figure


def _draw_arm(panel: Axes, refutation: dict[str, Any], arm: int, verdicts: list[dict[str, Any]]) -> None:
    panel.axvspan(refutation["low"][arm], refutation["high"][arm], color=BLUE, alpha=0.15, lw=0, label="its interval")
    panel.axvline(refutation["value"][arm], color=BLUE, lw=1.4, label="the run")
    panel.axvline(0, color="black", lw=0.8, ls=":")
    for height, verdict in enumerate(verdicts):
        colour, mark = LOOKS[verdict["verdict"]]
        if verdict["low"] is not None and verdict["high"] is not None:
            panel.plot([verdict["low"], verdict["high"]], [height, height], color=colour, lw=1.4)
        if verdict["value"] is not None:
            panel.plot(verdict["value"], height, mark, color=colour, ms=5)
    panel.set_yticks(
        range(len(verdicts)), [figure_text(f"{v['refuter']}: {v['verdict']}") for v in verdicts], fontsize=9
    )
    panel.set_ylim(max(1, len(verdicts)) - 0.5, -0.5)
    panel.tick_params(axis="x", labelsize=8)
    panel.set_xlabel(f"average effect of arm {arm + 1}, unit of the outcome", fontsize=9)
    panel.spines[["top", "right"]].set_visible(False)
