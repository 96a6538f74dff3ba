"""How the fits went: learning curves, and calibration of what was predicted."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence

from causalrec.records.run_record import RunRecord
from causalrec.records.sections import CalibrationBin
from causalrec.reporting.html.charts import Line, Point, panel
from causalrec.reporting.html.markup import Child, Html, count_phrase, number, paragraph, section, tag
from causalrec.reporting.html.page_data import PageTable
from causalrec.reporting.reliability_figure import before_and_after

NAMES = {"criterion": "criterion", "loss": "training loss"}


def panels(items: Iterable[Html]) -> Html:
    """Set figures side by side."""
    return tag("div", *items, class_="panels")


def figure(row: str, caption: str, *charts: Child, style: str | None = None) -> Html:
    """Set charts above their caption.

    Args:
        row: that they show; the caption begins with it.
        caption: what they show of it.
        *charts: the charts.
        style: CSS of the figure, as its row's colour.
    """
    return tag("figure", *charts, tag("figcaption", tag("b", row), " ", caption), data_row=row, style=style)


def curves(page_table: PageTable, anchor: str) -> Html:
    """Draw each row's criterion and training loss by epoch: every seed, every candidate, the chosen one strong."""
    figures, without = [], []
    for row, group in page_table.rows.items():
        records = [run.record for run in group]
        charts = [chart for key in NAMES if (chart := _curve(records, key))]
        if charts:
            figures.append(figure(row, count_phrase(len(records), "run"), *charts, style=page_table.style(row)))
        else:
            without.append(row)
    legend = paragraph("Strong: the chosen settings, a dot at its best epoch. Faint, dashed: the others.")
    lack = None
    if without:
        who = "These records hold" if not figures else f"{', '.join(without)}: these records hold"
        lack = paragraph(f"{who} no learning curve: nothing was trained.")
    return section(anchor, "Learning curves", *([legend, panels(figures)] if figures else []), lack)


def _curve(records: Sequence[RunRecord], key: str) -> Html | None:
    faint: list[Line] = []
    strong: list[Line] = []
    for record in records:
        for candidate in record.selection.candidates:
            points = [(float(point.epoch), y) for point in candidate.curve if (y := getattr(point, key)) is not None]
            best = next((p for p in points if p[0] == candidate.best_epoch), None)
            if points and candidate.settings == record.selection.chosen:
                strong.append(Line(points, "main", best))
            elif points:
                faint.append(Line(points, "other"))
    runs = f"{len(strong)} chosen and {len(faint)} other candidates"
    return panel(f"{NAMES[key]} by epoch", f"Of {runs}.", [*faint, *strong])


def calibration(page_table: PageTable, anchor: str) -> Html:
    """Draw each row's mean outcome against its mean prediction, by bin, with the expected calibration error."""
    figures, without = [], []
    for row, group in page_table.rows.items():
        binned = [run.record.calibration for run in group]
        lines = [Line(sorted(_points(bins)), "main") for bins in binned if bins]
        errors = [_error(bins) for bins in binned if bins]
        ece_text = f"ECE {number(sum(errors) / len(errors))}" if errors else ""
        chart = panel("calibration", f"Mean outcome against mean prediction; {ece_text}.", lines, square=True)
        if chart:
            maps = _under_maps([run.record for run in group])
            figures.append(figure(row, ece_text, chart, *maps, style=page_table.style(row)))
        else:
            without.append(row)
    legend = (
        "Mean outcome of a bin (up) against its mean prediction (across), a line per run; the dashes are agreement. "
        "ECE: mean over runs of the bins' absolute difference, weighted by their rows."
    )
    lack = paragraph(f"No calibration in the records of {', '.join(without)}.") if without else None
    return section(anchor, "Calibration of predictions", paragraph(legend) if figures else None, panels(figures), lack)


def _under_maps(records: Sequence[RunRecord]) -> list[Html | None]:
    """Draw what maps make of predictions, a chart per map: faint as predicted, strong under the map, with its ECE."""
    before = [Line(sorted(_points(bins)), "other") for record in records for _, bins in before_and_after(record)[0][:1]]
    lines: dict[str, list[Line]] = {}
    errors: dict[str, list[float]] = {}
    for name, bins in (curve for record in records for curve in before_and_after(record)[1]):
        lines.setdefault(name, []).append(Line(sorted(_points(bins)), "main"))
        errors.setdefault(name, []).append(_error(bins))
    return [
        tag(
            "div",
            panel(name, f"Faint: as predicted; strong: {name}.", [*before, *strong], square=True),
            paragraph(f"{name}: ECE {number(sum(errors[name]) / len(errors[name]))}"),
        )
        for name, strong in lines.items()
    ]


def _points(bins: Sequence[CalibrationBin]) -> list[Point]:
    return [(b.predicted, b.true) for b in bins if b.predicted is not None and b.true is not None]


def _error(bins: Sequence[CalibrationBin]) -> float:
    gaps = [(b.n, abs(b.predicted - b.true)) for b in bins if b.predicted is not None and b.true is not None]
    rows = sum(n for n, _ in gaps)
    return sum(n * gap for n, gap in gaps) / rows if rows else math.nan
