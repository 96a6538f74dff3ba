"""What the weights rest on: propensities of the logged rows, their calibration, and the balance they bring."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Sequence

from causalrec.graph.overlap import SMD_LIMIT
from causalrec.records.overlap_sections import OverlapSection
from causalrec.records.run_record import RunRecord
from causalrec.reporting.html.charts import dumbbells, strip
from causalrec.reporting.html.diagnostics import figure
from causalrec.reporting.html.markup import (
    Child,
    Html,
    count_phrase,
    grid,
    list_names,
    number_range,
    paragraph,
    section,
    tag,
)
from causalrec.reporting.html.page_data import PageTable

QUANTILES = 6  # as `graph.overlap.Overlap.quantiles` holds
LEAST_DECADE = -12  # of the axis of propensities
MEANS = {"naive": "no weights", "ips": "IPS", "snips": "SNIPS", "true": "truth"}  # estimates of the task's summary


def overlap(page_table: PageTable, anchor: str) -> Html:
    """Show what the weights rest on, once for each propensity model that rows share."""
    groups: dict[str, list[tuple[str, RunRecord]]] = {}
    for row, group in page_table.rows.items():
        for run in group:
            groups.setdefault(_model(run.record), []).append((row, run.record))
    span = _span([record.overlap for members in groups.values() for _, record in members])
    return section(anchor, "Propensity", *(_block(members, span) for members in groups.values()))


def _model(record: RunRecord) -> str:
    return json.dumps([record.setting("propensity"), record.adjustment.propensity_reads])


def _span(sections: Sequence[OverlapSection]) -> tuple[float, float]:
    propensities = [q for overlap_section in sections for q in overlap_section.quantiles if q and q > 0] or [0.01, 1.0]
    low = max(math.floor(math.log10(min(propensities))), LEAST_DECADE)
    high = math.ceil(math.log10(max(propensities)) - 1e-9)
    return 10.0**low, 10.0 ** max(high, low + 1)


def _block(members: list[tuple[str, RunRecord]], span: tuple[float, float]) -> Html:
    first, rows = members[0][1], list(dict.fromkeys(row for row, _ in members))
    sections = [record.overlap for _, record in members]
    name = first.choice("propensity") or "propensity"
    reads = ", ".join(first.adjustment.propensity_reads) or "nothing"
    heading = paragraph(
        tag("b", name), f" reads {reads}; used by {count_phrase(len(rows), 'row')}: {list_names(rows)}."
    )
    facts = grid(
        "Overlap over the runs", ["measure", "value", "good"], _facts(sections, members), left=[2], titled=False
    )
    both = tag("div", facts, tag("div", *_charts(sections, span), class_="side"), class_="two")
    return tag("div", heading, *_warnings(members), both, class_="block")


def _warnings(members: list[tuple[str, RunRecord]]) -> Iterable[Html]:
    """Name the rows of a warning: one propensity model may be clipped differently by them."""
    warned: dict[str, list[str]] = {}
    for row, record in members:
        for warning in record.overlap.warnings:
            warned.setdefault(warning, []).append(row)
    everyone = {row for row, _ in members}
    for warning, rows in warned.items():
        whose = "" if set(rows) == everyone else f" ({list_names(list(dict.fromkeys(rows)))})"
        yield tag("p", tag("b", "Warning: "), f"{warning}{whose}.", class_="warning")


def _charts(sections: Sequence[OverlapSection], span: tuple[float, float]) -> Iterable[Child]:
    """Draw the first run's quantiles and balance."""
    quantiles = [q for q in sections[0].quantiles if q is not None]
    clips = sorted({overlap_section.clip for overlap_section in sections})
    if len(quantiles) == QUANTILES == len(sections[0].quantiles):
        chart = strip(quantiles, clips, span)
        yield figure("Propensity of the logged rows", "bar 10 to 90 %, tall tick the median; logarithmic", chart)
    balance = sections[0].balance
    worst = [
        (name, before, after)
        for name, before, after in (() if balance is None else balance.worst)
        if before is not None and after is not None
    ]
    if worst:
        chart = dumbbells(worst, SMD_LIMIT)
        yield figure("Balance of the columns furthest off", "ring before, dot after weighting, in SD", chart)


def _errors(sections: Sequence[OverlapSection]) -> Iterable[list[Child]]:
    """Show the errors of p and of a learnt propensity; say where the variance or the bias was left out."""
    yield ["BMSE of p, columns in SD", number_range(overlap_section.bmse for overlap_section in sections), ""]
    variances = [overlap_section.variance for overlap_section in sections]
    left_out = "left out: no errors are imputed" if variances == [None] * len(sections) else ""
    yield ["variance of a doubly robust loss", left_out or number_range(variances), ""]
    if any(overlap_section.bias is not None for overlap_section in sections):
        yield ["bias of it, by the known truth", number_range(each.bias for each in sections), ""]
    learned = [overlap_section.learned for overlap_section in sections if overlap_section.learned is not None]
    if learned:
        for name, values in (
            ("ECE, equal counts", [each.ece for each in learned]),
            ("BMSE", [each.bmse for each in learned]),
            ("variance", [each.variance for each in learned]),
            ("bias", [each.bias for each in learned]),
        ):
            if any(value is not None for value in values):
                yield [f"of the learnt propensity: {name}", number_range(values), ""]


def _facts(sections: Sequence[OverlapSection], members: list[tuple[str, RunRecord]]) -> Iterable[list[Child]]:
    for clip in sorted({overlap_section.clip for overlap_section in sections}):
        shares = number_range(overlap_section.clipped for overlap_section in sections if overlap_section.clip == clip)
        yield [f"share of rows below the clip, {clip:.2g}", shares, "below 0.05"]
        by_arm = [overlap_section.clipped_by_arm for overlap_section in sections if overlap_section.clip == clip > 0]
        for arm in sorted({arm for shares_of in by_arm for arm in shares_of}, key=lambda arm: (arm != "none", arm)):
            yield [f"of rows of {arm}", number_range(shares_of.get(arm) for shares_of in by_arm), "below 0.05"]
    rows = number_range(record.audit.rows.get("train") for _, record in members)
    effective = number_range(
        None if (n := overlap_section.effective_rows) is None else round(n) for overlap_section in sections
    )
    yield ["effective rows", f"{effective} of {rows}", "above a tenth"]
    yield [
        "sum of 1/p over pairs",
        number_range(overlap_section.inverse_sum for overlap_section in sections),
        "0.8 to 1.25",
    ]
    yield ["ECE of p, equal counts", number_range(overlap_section.ece for overlap_section in sections), "below 0.05"]
    yield ["ECE of p, equal widths", number_range(overlap_section.ece_width for overlap_section in sections), ""]
    yield from _errors(sections)
    for key, name in MEANS.items():
        values = [overlap_section.mean_outcome.get(key) for overlap_section in sections]
        if any(value is not None for value in values):
            yield [f"{members[0][1].task.summary}, {name}", number_range(values), ""]
    balances = [overlap_section.balance for overlap_section in sections if overlap_section.balance]
    if balances:
        yield ["largest imbalance before, SD", number_range(b.before for b in balances), ""]
        yield ["largest imbalance after, SD", number_range(b.after for b in balances), f"below {SMD_LIMIT:g}"]
