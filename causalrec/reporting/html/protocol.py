"""What the numbers rest on: the graph and what it identifies, how models were selected, what the audit found."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from statistics import median

from causalrec.records.names import label_of
from causalrec.records.run_record import RunRecord
from causalrec.records.sections import AuditSection
from causalrec.reporting.html.dag import dag, legend
from causalrec.reporting.html.markup import (
    Child,
    Html,
    compact,
    grid,
    list_names,
    number,
    number_range,
    paragraph,
    section,
    tag,
)
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
COST = ("parameters", "seconds")


def graph(page_table: PageTable, anchor: str) -> Html:
    """Draw each graph that the rows share, with its estimand and what identifies it."""
    groups: dict[str, tuple[RunRecord, list[str]]] = {}
    for row, group in page_table.rows.items():
        for run in group:
            adjustment = run.record.adjustment
            key = repr([run.record.setting("graph"), adjustment.training, adjustment.evaluation])
            groups.setdefault(key, (run.record, []))[1].append(row)
    blocks = [
        _identification(record, list(dict.fromkeys(rows)), f"{anchor}-{k}")
        for k, (record, rows) in enumerate(groups.values())
    ]
    return section(anchor, "Causal graph", *blocks, legend())


def _identification(record: RunRecord, rows: list[str], anchor: str) -> Html:
    training, graph_setting = record.adjustment.training, record.setting("graph")
    graph = graph_setting if isinstance(graph_setting, Mapping) else {}
    given = ", ".join(training.columns) or "nothing"
    facts: list[tuple[str, Child]] = [
        ("estimand", record.task.description),
        ("training", f"{training.strategy}, adjusting for {given}"),
        ("evaluation", record.adjustment.evaluation.strategy),
        *(("assumed, not identified", tag("b", assumption)) for assumption in training.assumed),
        ("outcome model reads", ", ".join(record.adjustment.outcome_view) or "not recorded"),
        ("rows", list_names(rows)),
    ]
    return tag("div", fact_list(facts), dag(graph, training.columns, anchor), class_="block")


def fact_list(facts: Iterable[tuple[str, Child]]) -> Html:
    """Build a list of names and values."""
    return tag("dl", *(tag("div", tag("dt", name), tag("dd", value)) for name, value in facts))


def selection(page_table: PageTable, anchor: str) -> Html:
    """Tell how each row was selected and what it cost."""
    heads = ["row", *map(label_of, SELECTION), "best epoch", *map(label_of, COST), "peak MB"]
    rows = [[row, *_selection_cells([run.record for run in group])] for row, group in page_table.rows.items()]
    explanation = paragraph(
        "Randomised rows: used of the budget given. A criterion on logged rows uses none. Chosen: how many runs chose "
        "these settings. Seconds and memory (MB): median over runs."
    )
    table = grid("Selection and cost", heads, rows, left=[1, 3, 4, 6], titled=False)
    return section(anchor, "Selection and cost", table, explanation)


def _selection_cells(records: Sequence[RunRecord]) -> list[Child]:
    selection_records = [record.selection for record in records]
    chosen = Counter(_settings(selection_record.chosen) for selection_record in selection_records)
    used = number_range(selection_record.randomised_rows.used for selection_record in selection_records)
    budget = number_range(selection_record.randomised_rows.budget for selection_record in selection_records)
    purposes = sorted(
        {purpose for selection_record in selection_records for purpose in selection_record.randomised_rows_for}
    )
    return [
        selection_records[0].criterion,
        ", ".join(str(count) for count in sorted({chosen.folds for chosen in selection_records})),
        ", ".join(
            settings if len(records) == 1 else f"{settings} ×{count}" for settings, count in sorted(chosen.items())
        ),
        ", ".join(_settings(candidate.settings) for candidate in selection_records[0].candidates) or "–",
        f"{used} of {budget}",
        ", ".join(purposes) or "–",
        number_range(
            candidate.best_epoch
            for selection_record in selection_records
            for candidate in selection_record.candidates
            if candidate.settings == selection_record.chosen
        ),
        number_range(sum(record.parameters.values()) for record in records),
        _median([record.seconds for record in records], 1, 1.0),
        _median([record.peak_bytes for record in records], 0, MEGABYTE),
    ]


def _settings(settings: Mapping[str, float]) -> str:
    return " ".join(f"{key.rpartition('.')[2]}={compact(value)}" for key, value in settings.items()) or "–"


def _median(values: Sequence[float | None], digits: int, unit: float) -> str:
    scaled = [value / unit for value in values if value is not None]
    return number(median(scaled), digits) if scaled else "–"


def audit(page_table: PageTable, anchor: str) -> Html:
    """Show each audit that the rows share: sizes, duplicates, leaks, use of randomised rows."""
    groups: dict[str, tuple[AuditSection, list[str]]] = {}
    for row, group in page_table.rows.items():
        for run in group:
            groups.setdefault(repr(run.record.audit), (run.record.audit, []))[1].append(row)
    blocks: list[Child] = []
    for audit_section, rows in groups.values():
        names = list(dict.fromkeys(rows))
        blocks.append(None if len(groups) == 1 else paragraph("Rows: ", list_names(names)))
        blocks.append(tag("div", _splits(audit_section), fact_list(_checks(audit_section)), class_="two"))
    return section(anchor, "Audit", *blocks)


def _splits(audit_section: AuditSection) -> Html:
    rows: list[list[Child]] = [
        [
            name,
            compact(count),
            number(audit_section.mean_outcome.get(name)),
            tag("code", audit_section.hashes.get(name, "–")[:12]),
        ]
        for name, count in audit_section.rows.items()
    ]
    for sizes, label in (
        (audit_section.with_duplicates, "duplicates kept"),
        (audit_section.without_duplicates, "duplicates dropped"),
    ):
        for side in ("logged", "test"):
            if (count := sizes.get(f"{side}_rows")) is not None:
                mean = number(sizes.get(f"{side}_mean_outcome"))
                rows.append([f"{side}, {label}", compact(round(count)), mean, "–"])
    return grid("Splits", ["split", "rows", "mean outcome", "sha256"], rows)


def _checks(audit_section: AuditSection) -> Iterable[tuple[str, Child]]:
    outcome_text = (
        "as logged"
        if audit_section.threshold is None
        else f"1 where the rating is at least {audit_section.threshold:g}"
    )
    bin_edges = ", ".join(f"{cut:g}" for cut in audit_section.bin_edges)
    yield "outcome", f"how many of {bin_edges} the rating reaches" if bin_edges else outcome_text
    yield "split", audit_section.split
    yield "test", audit_section.test
    yield "pairs of the test also logged", _count_with_rule(audit_section.duplicates, audit_section.duplicate_rule)
    yield "rows leaked into training", _check_mark(audit_section.leaked_rows)
    yield "test rows of unseen ids", _count_with_rule(audit_section.unseen_rows, audit_section.unseen_rule)
    if audit_section.assignment_unit != "row":
        yield "treatment is constant within a", audit_section.assignment_unit
    if audit_section.cluster_axes != ("row",):
        yield "intervals cluster rows by", " and ".join(audit_section.cluster_axes)
    if audit_section.future_rows is not None:
        yield "training rows later than the test", _check_mark(audit_section.future_rows)
    yield "randomised rows used before the test", compact(audit_section.randomised_rows_used)
    yield "test items per user", compact(audit_section.candidates_per_user)
    yield "positives per user", compact(audit_section.positives_per_user)
    yield "users without a positive", compact(audit_section.users_without_positive)
    if audit_section.drawn_from is not None:
        yield "rows the few shots were drawn from", compact(audit_section.drawn_from)
    if audit_section.context_rows:
        yield "rows that only histories read", compact(audit_section.context_rows)
    for warning in audit_section.warnings:
        yield "note", warning


def _count_with_rule(count: int, rule: str) -> str:
    return f"{compact(count)} ({rule})" if rule else compact(count)


def _check_mark(count: int) -> Html:
    return tag("span", "✓ none", class_="good") if count == 0 else tag("b", f"✗ {count:,}", class_="bad")
