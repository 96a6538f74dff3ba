"""How the fits went: learning curves, and calibration of what was predicted."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence

from causalrec.reporting.html.charts import Line, Point, panel
from causalrec.reporting.html.gather import Part, Record
from causalrec.reporting.html.markup import Child, Html, counted, number, paragraph, section, tag

NAMES = {"criterion": "criterion", "loss": "training loss"}


def panels(items: Iterable[Html]) -> Html:
    """Set figures beside each other."""
    return tag("div", *items, class_="panels")


def figure(row: str, told: str, *charts: Child) -> Html:
    """Set charts above their caption."""
    return tag("figure", *charts, tag("figcaption", tag("b", row), " ", told), data_row=row)


def curves(part: Part, anchor: str) -> Html:
    """Draw each row's criterion and training loss by epoch: every seed, every candidate, the chosen one strong."""
    drawn, without = [], []
    for row, group in part.rows.items():
        records = [one.record for one in group]
        charts = [chart for key in NAMES if (chart := _curve(records, key))]
        if charts:
            drawn.append(figure(row, counted(len(records), "run"), *charts))
        else:
            without.append(row)
    told = paragraph("Strong: the chosen weight decay, a dot at its best epoch. Faint, dashed: the others.")
    lack = None
    if without:
        who = "These records hold" if not drawn else f"{', '.join(without)}: these records hold"
        lack = paragraph(f"{who} no learning curve: written by an older version, or nothing was trained.")
    return section(anchor, "Learning curves", *([told, panels(drawn)] if drawn else []), lack)


def _curve(records: Sequence[Record], key: str) -> Html | None:
    faint: list[Line] = []
    strong: list[Line] = []
    for record in records:
        selection = record["selection"]
        for one in selection.get("candidates") or []:
            points = [(float(e["epoch"]), e[key]) for e in one.get("curve") or [] if e.get(key) is not None]
            chosen = one.get("weight_decay") == selection.get("chosen_weight_decay")
            best = next((p for p in points if p[0] == one.get("best_epoch")), None)
            if points:
                line = Line(points, "main", best) if chosen else Line(points, "other")
                (strong if chosen else faint).append(line)
    runs = f"{len(strong)} chosen and {len(faint)} other candidates"
    return panel(f"{NAMES[key]} by epoch", f"Of {runs}.", [*faint, *strong])


def calibration(part: Part, anchor: str) -> Html:
    """Draw each row's mean outcome against its mean prediction, by bin, with the expected calibration error."""
    drawn, without = [], []
    for row, group in part.rows.items():
        binned = [one.record.get("calibration") or [] for one in group]
        lines = [Line(sorted(_points(bins)), "main") for bins in binned if bins]
        errors = [_error(bins) for bins in binned if bins]
        told = f"ECE {number(sum(errors) / len(errors))}" if errors else ""
        chart = panel("calibration", f"Mean outcome against mean prediction; {told}.", lines, square=True)
        if chart:
            drawn.append(figure(row, told, chart))
        else:
            without.append(row)
    told = "Mean outcome of a bin (up) against its mean prediction (across), a line per run; the dashes are agreement. "
    told += "ECE: mean over runs of the bins' absolute difference, weighted by their rows."
    lack = paragraph(f"No calibration in the records of {', '.join(without)}.") if without else None
    return section(anchor, "Calibration of predictions", paragraph(told) if drawn else None, panels(drawn), lack)


def _points(bins: Sequence[Record]) -> list[Point]:
    return [(b["predicted"], b["true"]) for b in bins if b["predicted"] is not None and b["true"] is not None]


def _error(bins: Sequence[Record]) -> float:
    known = [b for b in bins if b["predicted"] is not None and b["true"] is not None]
    rows = sum(b["n"] for b in known)
    return sum(b["n"] * abs(b["predicted"] - b["true"]) for b in known) / rows if rows else math.nan
