"""A run's average effect beside what its refuters made of it."""

from __future__ import annotations

from typing import Any

from matplotlib.figure import Figure

COLOURS = {"passes": "tab:green", "fails": "tab:red", "not testable": "tab:gray"}


def refute_figure(refutation: dict[str, Any]) -> Figure:
    """Draw each estimate with its interval, the run's own on top as a band, a panel per arm; units of the outcome."""
    arms = len(refutation["value"])
    figure = Figure(figsize=(7, 1.2 + 2.2 * arms), layout="constrained")
    for a, axes in enumerate(figure.subplots(arms, 1, squeeze=False)[:, 0]):
        shown = [v for v in refutation["verdicts"] if v["arm"] == a + 1 and v["value_is_effect"]]
        axes.axvspan(refutation["low"][a], refutation["high"][a], color="tab:blue", alpha=0.2)
        axes.axvline(refutation["value"][a], color="tab:blue", label="the run")
        axes.axvline(0, color="black", linewidth=0.8)
        for height, verdict in enumerate(reversed(shown)):
            if verdict["value"] is not None:
                colour = COLOURS[verdict["verdict"]]
                axes.plot([verdict["low"], verdict["high"]], [height, height], color=colour)
                axes.plot(verdict["value"], height, "o", color=colour)
        axes.set_yticks(range(len(shown)), [f"{v['refuter']}: {v['verdict']}" for v in reversed(shown)])
        axes.set_xlabel(f"average effect of arm {a + 1}")
        axes.legend(loc="best", fontsize="small")
    if refutation.get("caveat"):
        figure.supxlabel(refutation["caveat"], fontsize="x-small")
    return figure
