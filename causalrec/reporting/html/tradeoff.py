"""What lists lose in utility for what they gain of an aim, as the weight of a re-ranker rises."""

from __future__ import annotations

from collections.abc import Sequence

from causalrec.records.run_record import RunRecord
from causalrec.reporting.html.charts import Line, Point, panel
from causalrec.reporting.html.diagnostics import figure, panels
from causalrec.reporting.html.markup import Html, paragraph, section
from causalrec.reporting.html.page_data import PageTable
from causalrec.reporting.reranked_lists import CurvePoint, tradeoff_curves


def tradeoff(page_table: PageTable, anchor: str) -> Html | None:
    """Draw each row's utility against each aim, re-ranker by re-ranker; None where no lists were ordered anew."""
    figures = []
    for row, group in page_table.rows.items():
        curves = _curves([run.record for run in group])
        for name, of_aims in curves.items():
            charts = [_chart(aim, of_seeds) for aim, of_seeds in of_aims.items()]
            figures.append(figure(row, name, *charts, style=page_table.style(row)))
    if not figures:
        return None
    legend = (
        "Utility of the lists (up) against what they are ordered anew for (across), a point a weight, a line a run; "
        "the dot is weight 0, the plain lists. Faint, dashed: intervals. The numbers: causalrec table."
    )
    return section(anchor, "Trade-off of lists", paragraph(legend), panels(figures))


def _curves(records: Sequence[RunRecord]) -> dict[str, dict[str, list[list[CurvePoint]]]]:
    """Return the curves of all seeds, by re-ranker, then by aim."""
    by_reranker: dict[str, dict[str, list[list[CurvePoint]]]] = {}
    for record in records:
        for aim, of_aim in tradeoff_curves(record).items():
            for name, points in of_aim.items():
                by_reranker.setdefault(name, {}).setdefault(aim, []).append(points)
    return by_reranker


def _chart(aim: str, of_seeds: Sequence[Sequence[CurvePoint]]) -> Html | None:
    lines = [line for points in of_seeds for line in _lines(points)]
    first = of_seeds[0][0]
    weights = ", ".join(f"{point.weight:g}" for point in of_seeds[0])
    return panel(
        f"{first.utility.metric} by {aim}", f"{first.utility.metric} against {aim} at weights {weights}.", lines
    )


def _lines(points: Sequence[CurvePoint]) -> list[Line]:
    """Return the intervals of a curve's points, then the curve, marked at the plain lists."""
    ends: list[Line] = []
    curve: list[Point] = []
    for point in points:
        x, y, aim, utility = point.aim.value, point.utility.value, point.aim, point.utility
        assert x is not None and y is not None
        if aim.low is not None and aim.high is not None:
            ends.append(Line([(aim.low, y), (aim.high, y)], "other"))
        if utility.low is not None and utility.high is not None:
            ends.append(Line([(x, utility.low), (x, utility.high)], "other"))
        curve.append((x, y))
    return [*ends, Line(curve, "main", curve[0])]
