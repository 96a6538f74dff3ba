"""A run's average effect beside what its refuters made of it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from matplotlib.figure import Figure

from causalrec.estimators.effect.detectable import SAMPLES
from causalrec.reporting.colours import BLUE, GREY, RED
from causalrec.reporting.escapes import figure_text
from causalrec.reporting.refutation_table import Report, interval_words

if TYPE_CHECKING:
    from matplotlib.axes import Axes

LONGEST_CAVEAT = 500  # letters
LOOKS = {  # colour and mark of a verdict
    "passes": ("#2a8a3e", "o"),
    "fails": (RED, "X"),
    "not testable": (GREY, "s"),
    "nothing to explain": (GREY, "D"),
    "measured": ("#b8860b", "D"),
}
MOST_SCENARIOS = 3  # of a verdict: those of the strongest column
STEP = 0.28  # between them, of a row's height


def refute_figure(refutation: Report) -> Figure:
    """Draw each estimate with its interval, the run's own as a band, a panel per arm; units of the outcome."""
    arms = len(refutation["value"])
    shown = [_select(refutation["verdicts"], arm) for arm in range(1, arms + 1)]
    heights = [max(1, len(verdicts)) for verdicts in shown]
    figure = Figure(figsize=(8, 1.1 + 0.6 * arms + 0.36 * sum(heights)), layout="constrained")
    panels = figure.subplots(arms, 1, squeeze=False, height_ratios=heights)[:, 0]
    for a, panel in enumerate(panels):
        _draw_arm(panel, refutation, a, shown[a])
    figure.legend(*panels[0].get_legend_handles_labels(), fontsize=8, frameon=False, loc="outside right upper")
    figure.suptitle(f"{figure_text(refutation['run'])}: the average effect, and what refuters make of it", fontsize=11)
    if refutation.get("caveat"):
        figure.supxlabel(figure_text(refutation["caveat"], LONGEST_CAVEAT), fontsize=8, wrap=True)
    return figure


def _select(verdicts: list[Report], arm: int) -> list[Report]:
    """Return what is drawn of an arm: effects, and what was found of hidden causes, with what these would leave."""
    return [v for v in verdicts if v["arm"] == arm and (v["value_is_effect"] or v.get("finding"))]


def _draw_arm(panel: Axes, refutation: Report, arm: int, verdicts: list[Report]) -> None:
    low, high = refutation["low"][arm], refutation["high"][arm]
    if None not in (low, high):
        panel.axvspan(low, high, color=BLUE, alpha=0.15, lw=0, label=f"its {interval_words(refutation)}")
    panel.axvline(refutation["value"][arm], color=BLUE, lw=1.4, label="the run")
    panel.axvline(0, color="black", lw=0.8, ls=":")
    for height, verdict in enumerate(verdicts):
        _draw_intervals(panel, height, verdict)
    panel.set_yticks(range(len(verdicts)), [_label(v) for v in verdicts], fontsize=9)
    panel.set_ylim(max(1, len(verdicts)) - 0.5, -0.5)
    panel.tick_params(axis="x", labelsize=8)
    least = refutation.get("detectable", [None] * (arm + 1))[arm]
    null = "" if least is None else f"; {least:.3g} would have shown {SAMPLES}"
    panel.set_xlabel(f"average effect of arm {arm + 1}, unit of the outcome{null}", fontsize=9)
    panel.spines[["top", "right"]].set_visible(False)


def _draw_intervals(panel: Axes, height: int, verdict: Report) -> None:
    """Draw a verdict's value with its interval, or those of its first scenarios, each beside its hidden cause."""
    colour, mark = LOOKS[verdict["verdict"]]
    intervals = [verdict] if verdict["value_is_effect"] else verdict["scenarios"][:MOST_SCENARIOS]
    for k, interval in enumerate(intervals):
        at, ends = height + STEP * (k - (len(intervals) - 1) / 2), (interval["low"], interval["high"])
        if None not in ends:
            panel.plot(ends, [at, at], color=colour, lw=1.4)
            cause = figure_text(interval.get("hidden_cause", ""))
            panel.annotate(cause, (ends[1], at), (4, 0), textcoords="offset points", va="center", fontsize=6)
        if interval["value"] is not None:
            panel.plot(interval["value"], at, mark, color=colour, ms=5 if len(intervals) == 1 else 3)


def _label(verdict: Report) -> str:
    """Return what stands beside a verdict; a finding, which is longer than a label, on a line of its own."""
    name, finding = figure_text(verdict["refuter"]), figure_text(verdict.get("finding", ""))
    return f"{name}:\n{finding}" if finding else f"{name}: {verdict['verdict']}"
