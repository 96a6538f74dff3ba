"""What the numbers rest on: the graph and what it identifies, how models were selected, what the audit found."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from statistics import median

from causalrec.records.names import label_of
from causalrec.records.run_record import RunRecord
from causalrec.records.sections import AuditSection
from causalrec.reporting.html.dag import dag, legend
from causalrec.reporting.html.markup import Child, Html, compact, grid, named, number, paragraph, section, spanned, tag
from causalrec.reporting.html.page_data import PageTable

MEGABYTE = 1e6
SELECTION = (  # fields that head the columns of the table of selection
    "selection.criterion",
    "selection.folds",
    "selection.chosen",
    "selection.candidates",
    "selection.randomised_rows",
    "selection.randomised_rows_for",
)
COST = ("parameters", "seconds", "peak_bytes")


def graph(part: PageTable, anchor: str) -> Html:
    """Draw each graph that the rows share, with its estimand and what identifies it."""
    groups: dict[str, tuple[RunRecord, list[str]]] = {}
    for row, group in part.rows.items():
        for one in group:
            adjustment = one.record.adjustment
            key = repr([one.record.setting("graph"), adjustment.training, adjustment.evaluation])
            groups.setdefault(key, (one.record, []))[1].append(row)
    blocks = [
        _identified(record, list(dict.fromkeys(rows)), f"{anchor}-{k}")
        for k, (record, rows) in enumerate(groups.values())
    ]
    return section(anchor, "Causal graph", *blocks, legend())


def _identified(record: RunRecord, rows: list[str], anchor: str) -> Html:
    training, asked = record.adjustment.training, record.setting("graph")
    graph = asked if isinstance(asked, Mapping) else {}
    given = ", ".join(training.columns) or "nothing"
    facts: list[tuple[str, Child]] = [
        ("estimand", record.task.description),
        ("training", f"{training.strategy}, adjusting for {given}"),
        ("evaluation", record.adjustment.evaluation.strategy),
        *(("assumed, not identified", tag("b", assumption)) for assumption in training.assumed),
        ("outcome model reads", ", ".join(record.adjustment.outcome_view) or "not recorded"),
        ("rows", named(rows)),
    ]
    return tag("div", listed(facts), dag(graph, training.columns, anchor), class_="block")


def listed(facts: Iterable[tuple[str, Child]]) -> Html:
    """Build a list of names and values."""
    return tag("dl", *(tag("div", tag("dt", name), tag("dd", value)) for name, value in facts))


def selection(part: PageTable, anchor: str) -> Html:
    """Tell how each row was selected and what it cost."""
    heads = ["row", *map(label_of, SELECTION), "best epoch", *map(label_of, COST)]
    rows = [[row, *_selected([one.record for one in group])] for row, group in part.rows.items()]
    told = paragraph(
        "Randomised rows: used of the budget given. A criterion on logged rows uses none. Chosen: how many runs chose "
        "these settings. Seconds and memory (MB): median over runs."
    )
    table = grid("Selection and cost", heads, rows, left=[1, 3, 4, 6], titled=False)
    return section(anchor, "Selection and cost", table, told)


def _selected(records: Sequence[RunRecord]) -> list[Child]:
    sections = [record.selection for record in records]
    chosen = Counter(_settings(one.chosen) for one in sections)
    used = spanned(one.randomised_rows.used for one in sections)
    budget = spanned(one.randomised_rows.budget for one in sections)
    purposes = sorted({purpose for one in sections for purpose in one.randomised_rows_for})
    return [
        sections[0].criterion,
        compact(sections[0].folds),
        ", ".join(one if len(records) == 1 else f"{one} ×{count}" for one, count in sorted(chosen.items())),
        ", ".join(_settings(one.settings) for one in sections[0].candidates) or "–",
        f"{used} of {budget}",
        ", ".join(purposes) or "–",
        spanned(one.best_epoch for section in sections for one in section.candidates if one.settings == section.chosen),
        spanned(sum(record.parameters.values()) for record in records),
        _median([record.seconds for record in records], 1, 1.0),
        _median([record.peak_bytes for record in records], 0, MEGABYTE),
    ]


def _settings(settings: Mapping[str, float]) -> str:
    return " ".join(f"{key.rpartition('.')[2]}={compact(value)}" for key, value in settings.items()) or "–"


def _median(values: Sequence[float | None], digits: int, unit: float) -> str:
    known = [value / unit for value in values if value is not None]
    return number(median(known), digits) if known else "–"


def audit(part: PageTable, anchor: str) -> Html:
    """Show each audit that the rows share: sizes, duplicates, leaks, use of randomised rows."""
    groups: dict[str, tuple[AuditSection, list[str]]] = {}
    for row, group in part.rows.items():
        for one in group:
            groups.setdefault(repr(one.record.audit), (one.record.audit, []))[1].append(row)
    blocks: list[Child] = []
    for found, rows in groups.values():
        names = list(dict.fromkeys(rows))
        blocks.append(None if len(groups) == 1 else paragraph("Rows: ", named(names)))
        blocks.append(tag("div", _splits(found), listed(_checks(found)), class_="two"))
    return section(anchor, "Audit", *blocks)


def _splits(found: AuditSection) -> Html:
    rows: list[list[Child]] = [
        [name, compact(count), number(found.mean_outcome.get(name)), tag("code", found.hashes.get(name, "–")[:12])]
        for name, count in found.rows.items()
    ]
    for sizes, told in ((found.with_duplicates, "duplicates kept"), (found.without_duplicates, "duplicates dropped")):
        for side in ("logged", "test"):
            if (count := sizes.get(f"{side}_rows")) is not None:
                mean = number(sizes.get(f"{side}_mean_outcome"))
                rows.append([f"{side}, {told}", compact(round(count)), mean, "–"])
    return grid("Splits", ["split", "rows", "mean outcome", "sha256"], rows)


def _checks(found: AuditSection) -> Iterable[tuple[str, Child]]:
    told = "as logged" if found.threshold is None else f"1 where the rating is at least {found.threshold:g}"
    bin_edges = ", ".join(f"{cut:g}" for cut in found.bin_edges)
    yield "outcome", f"how many of {bin_edges} the rating reaches" if bin_edges else told
    yield "test", found.test
    yield "pairs of the test also logged", _ruled(found.duplicates, found.duplicate_rule)
    yield "rows leaked into training", _judged(found.leaked_rows)
    yield "test rows of unseen ids", _ruled(found.unseen_rows, found.unseen_rule)
    if found.future_rows is not None:
        yield "training rows later than the test", _judged(found.future_rows)
    yield "randomised rows used before the test", compact(found.randomised_rows_used)
    yield "test items per user", compact(found.candidates_per_user)
    yield "positives per user", compact(found.positives_per_user)
    yield "users without a positive", compact(found.users_without_positive)
    if found.drawn_from is not None:
        yield "rows the few shots were drawn from", compact(found.drawn_from)
    if found.context_rows:
        yield "rows that only histories read", compact(found.context_rows)
    for warning in found.warnings:
        yield "note", warning


def _ruled(count: int, rule: str) -> str:
    return f"{compact(count)} ({rule})" if rule else compact(count)


def _judged(count: int) -> Html:
    return tag("span", "✓ none", class_="good") if count == 0 else tag("b", f"✗ {count:,}", class_="bad")
