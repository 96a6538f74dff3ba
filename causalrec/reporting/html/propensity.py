"""What the weights rest on: propensities of the logged rows, their calibration, and the balance they bring."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Sequence

from causalrec.graph.overlap import SMD_LIMIT
from causalrec.records.run_record import RunRecord
from causalrec.records.sections import OverlapSection
from causalrec.reporting.html.charts import dumbbells, strip
from causalrec.reporting.html.diagnostics import figure
from causalrec.reporting.html.markup import Child, Html, counted, grid, named, paragraph, section, spanned, tag
from causalrec.reporting.html.page_data import PageTable

QUANTILES = 6  # as `graph.overlap.Overlap.quantiles` holds
MEANS = {"naive": "naive mean outcome", "ips": "IPS", "snips": "SNIPS", "true": "true mean outcome"}


def overlap(part: PageTable, anchor: str) -> Html:
    """Show what the weights rest on, once for each propensity model that rows share."""
    groups: dict[str, list[tuple[str, RunRecord]]] = {}
    for row, group in part.rows.items():
        for one in group:
            groups.setdefault(_model(one.record), []).append((row, one.record))
    span = _span([record.overlap for members in groups.values() for _, record in members])
    return section(anchor, "Propensity", *(_block(members, span) for members in groups.values()))


def _model(record: RunRecord) -> str:
    return json.dumps([record.setting("propensity"), record.adjustment.propensity_reads])


def _span(found: Sequence[OverlapSection]) -> tuple[float, float]:
    known = [q for one in found for q in one.quantiles if q and q > 0] or [0.01, 1.0]
    low, high = math.floor(math.log10(min(known))), math.ceil(math.log10(max(known)) - 1e-9)
    return 10.0**low, 10.0 ** max(high, low + 1)


def _block(members: list[tuple[str, RunRecord]], span: tuple[float, float]) -> Html:
    first, rows = members[0][1], list(dict.fromkeys(row for row, _ in members))
    found = [record.overlap for _, record in members]
    name = first.choice("propensity") or "propensity"
    reads = ", ".join(first.adjustment.propensity_reads) or "nothing"
    told = paragraph(tag("b", name), f" reads {reads}; used by {counted(len(rows), 'row')}: {named(rows)}.")
    facts = grid("Overlap over the runs", ["measure", "value", "good"], _facts(found, members), left=[2], titled=False)
    both = tag("div", facts, tag("div", *_charts(found, span), class_="side"), class_="two")
    return tag("div", told, *_warned(members), both, class_="block")


def _warned(members: list[tuple[str, RunRecord]]) -> Iterable[Html]:
    """Name the rows of a warning: one propensity model may be clipped differently by them."""
    warned: dict[str, list[str]] = {}
    for row, record in members:
        for warning in record.overlap.warnings:
            warned.setdefault(warning, []).append(row)
    everyone = {row for row, _ in members}
    for warning, rows in warned.items():
        whose = "" if set(rows) == everyone else f" ({named(list(dict.fromkeys(rows)))})"
        yield tag("p", tag("b", "Warning: "), f"{warning}{whose}.", class_="warning")


def _charts(found: Sequence[OverlapSection], span: tuple[float, float]) -> Iterable[Child]:
    """Draw the first run's quantiles and balance."""
    quantiles, clips = [q for q in found[0].quantiles if q is not None], sorted({one.clip for one in found})
    if len(quantiles) == QUANTILES == len(found[0].quantiles):
        drawn = strip(quantiles, clips, span)
        yield figure("Propensity of the logged rows", "bar 10 to 90 %, tall tick the median; logarithmic", drawn)
    balance = found[0].balance
    worst = [
        (name, before, after)
        for name, before, after in (() if balance is None else balance.worst)
        if before is not None and after is not None
    ]
    if worst:
        drawn = dumbbells(worst, SMD_LIMIT)
        yield figure("Balance of the columns furthest off", "ring before, dot after weighting, in SD", drawn)


def _facts(found: Sequence[OverlapSection], members: list[tuple[str, RunRecord]]) -> Iterable[list[Child]]:
    for clip in sorted({one.clip for one in found}):
        shares = spanned(one.clipped for one in found if one.clip == clip)
        yield [f"share of rows below the clip, {clip:g}", shares, "below 0.05"]
    rows = spanned(record.audit.rows.get("train") for _, record in members)
    effective = spanned(None if (n := one.effective_rows) is None else round(n) for one in found)
    yield ["effective rows", f"{effective} of {rows}", "above a tenth"]
    yield ["sum of 1/p over pairs", spanned(one.inverse_sum for one in found), "0.8 to 1.25"]
    yield ["ECE of p, equal counts", spanned(one.ece for one in found), "below 0.05"]
    yield ["ECE of p, equal widths", spanned(one.ece_width for one in found), ""]
    for key, name in MEANS.items():
        values = [one.mean_outcome.get(key) for one in found]
        if any(value is not None for value in values):
            yield [name, spanned(values), ""]
    balances = [one.balance for one in found if one.balance]
    if balances:
        yield ["largest imbalance before, SD", spanned(b.before for b in balances), ""]
        yield ["largest imbalance after, SD", spanned(b.after for b in balances), f"below {SMD_LIMIT:g}"]
