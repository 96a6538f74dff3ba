"""What the sources of a run's data are good for, as a table and as a figure."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING

from pydantic import TypeAdapter

from causalrec.evaluation.refuter.sources import SourceGain, SourceVerdict
from causalrec.records.json_records import Json
from causalrec.reporting.colours import BLUE, GREY
from causalrec.reporting.escapes import figure_text
from causalrec.reporting.numbers import format_interval, format_number
from causalrec.reporting.text_table import TextTable

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

GAIN = "gain: over the same model without the source, above 0 where better; 95 % intervals over seeds and test rows"
SHARE = "share: of the gain as it is that survives, by Fieller's interval"
HEADER = ("source", "model", "gain", "share surviving", "verdict")


def source_table(run: str, verdicts: Sequence[SourceVerdict], caveat: str | None = None) -> TextTable:
    """Return the gains of each source, of the run and by share destroyed.

    Args:
        run: its name.
        verdicts: of each source.
        caveat: what must be read with any result on the data.
    """
    columns = ", ".join(dict.fromkeys(verdict.column for verdict in verdicts))
    rules = dict.fromkeys(f"{v.source}: {v.finding or v.verdict}: {v.rule}" for v in verdicts)
    limits = dict.fromkeys(f"limitation: {v.limitation}" for v in verdicts)
    return TextTable(
        title=f"{run}: {columns}, {max(v.seeds for v in verdicts)} seeds of each model",
        header=HEADER,
        rows=tuple(_row(verdict, gain) for verdict in verdicts for gain in verdict.gains),
        left=frozenset({0, 1, 2, 3, 4}),
        notes=(GAIN, SHARE, *rules, *limits, *([caveat] if caveat else [])),
    )


def _row(verdict: SourceVerdict, gain: SourceGain) -> tuple[str, ...]:
    is_last = gain is verdict.gains[-1]
    survives = " or ".join(f"[{low:.2f}, {high:.2f}]" for low, high in gain.share_intervals)
    return (
        "" if gain.destroyed else verdict.source,
        gain.model,
        f"{format_number(gain.gain, 4, sign=True)} {format_interval(gain.low, gain.high, 4, sign=True)}",
        "" if gain.share is None else f"{format_number(gain.share, 2)} {survives}",
        (verdict.finding or verdict.verdict) if is_last else "",
    )


def source_figure(run: str, verdicts: Sequence[SourceVerdict], caveat: str | None = None) -> Figure:
    """Draw the gain by the share destroyed with its interval, a panel a source.

    Args:
        run: its name.
        verdicts: of each source.
        caveat: what must be read with any result on the data.
    """
    from matplotlib.figure import Figure

    figure = Figure(figsize=(1.2 + 3.4 * len(verdicts), 3.4), layout="constrained")
    for panel, verdict in zip(figure.subplots(1, len(verdicts), squeeze=False)[0], verdicts, strict=True):
        _draw(panel, verdict)
    figure.suptitle(f"{figure_text(run)}: what its sources are good for", fontsize=11)
    if caveat:
        figure.supxlabel(figure_text(caveat, 500), fontsize=8, wrap=True)
    return figure


def _draw(panel: Axes, verdict: SourceVerdict) -> None:
    destroyed = [gain.destroyed for gain in verdict.gains]
    values = [gain.gain for gain in verdict.gains]
    reach = [[g.gain - g.low for g in verdict.gains], [g.high - g.gain for g in verdict.gains]]
    panel.axhline(0, color=GREY, lw=1, ls="--")
    panel.errorbar(destroyed, values, yerr=reach, fmt="o-", color=BLUE, ms=4, lw=1.2, capsize=2)
    panel.set_title(f"{verdict.source}: {verdict.finding or verdict.verdict}", fontsize=9)
    panel.set_xlabel("share destroyed", fontsize=9)
    panel.set_ylabel(f"gain in {figure_text(verdict.column)}\nover the model without it", fontsize=9)
    panel.tick_params(labelsize=8)
    panel.spines[["top", "right"]].set_visible(False)


def source_json(verdict: SourceVerdict) -> Json:
    """Return a verdict as JSON holds it: an end that is infinite is the word `inf` or `-inf`."""
    plain = asdict(verdict)
    for gain in plain["gains"]:
        gain["share_intervals"] = [
            [end if math.isfinite(end) else str(end) for end in ends] for ends in gain["share_intervals"]
        ]
    return plain


def source_of_json(plain: object) -> SourceVerdict:
    """Return the verdict that JSON holds."""
    return TypeAdapter(SourceVerdict).validate_python(plain)
