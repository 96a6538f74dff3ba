"""What stands below a table: what its numbers rest on, once each, and what its columns mean."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

import numpy as np

from causalrec.estimators.effect.detectable import SAMPLES, detectable_effect
from causalrec.records.names import column_of, parse_column, score_column
from causalrec.records.propensity_scores import PROPENSITY_ERRORS, PROPENSITY_SLICE
from causalrec.records.run_folder import RunFolder
from causalrec.records.run_record import RunRecord
from causalrec.reporting.numbers import format_number
from causalrec.reporting.score_table import Cell
from causalrec.reporting.warnings import warning_notes

ROWS = Mapping[str, Sequence[RunFolder]]  # the runs of each row, by its name

AVERAGE_EFFECTS = ("average_effect", "effect_of_compliers", "projected_effect")  # of which 0 is no effect
ONCE = " Baselines stand once for each."
ENDS = {True: " (higher is better)", False: " (lower is better)", None: ""}


def footnotes(rows: ROWS, columns: Sequence[str]) -> Iterable[str]:
    """Yield the notes of a table: on its data, its intervals, its rows, its warnings, its test and its columns."""
    folders = [run for group in rows.values() for run in group]
    first = folders[0].record
    yield from caveats(folders)
    yield from warning_notes(rows)
    resampled = "these users resampled, these items" if first.audit.users else "these rows resampled"
    if not set(first.audit.cluster_axes) <= {"row", "user"}:
        resampled = f"of rows that depend by {' and '.join(first.audit.cluster_axes)}"
    interval, one_seed = f"[low, high]: {first.level:.0%} interval", all(len(group) == 1 for group in rows.values())
    spread = "" if one_seed else "; ± standard deviation over seeds"
    yield f"{interval}{'' if one_seed else ' of the seed average'}, {resampled}{spread}."
    yield from first.task.footnotes
    yield from join_notes({name: list(_row_notes(group[0].record)) for name, group in rows.items()})
    yield from _notes_of_fitted_rows(rows)
    audit = first.audit
    if audit.split:
        yield f"Split: {audit.split}."
    yield f"Test: {audit.test}; {audit.duplicates} pairs of it are also logged ({audit.duplicate_rule})."
    yield from legend(folders, columns)


def null_notes(rows: Mapping[str, Mapping[str, Cell]], level: float, decimals: Mapping[str, int]) -> list[str]:
    """Say of average effects whose interval holds 0 what effect the rows could have shown: a null is no proof of none.

    Args:
        rows: the cells of a table.
        level: of its intervals.
        decimals: of each column.
    """
    notes = []
    for name, cells in rows.items():
        least = []
        for column, cell in cells.items():
            if parse_column(column)[0] in AVERAGE_EFFECTS and cell.low <= 0 <= cell.high:
                effect = float(detectable_effect(np.array((cell.high - cell.low) / 2), level))
                least.append(f"{column} {format_number(effect, decimals[column])}")
        if least:
            notes.append(
                f"{name}: an interval that holds 0 is no proof of no effect; one of this size would have shown "
                f"{SAMPLES}: {', '.join(least)}."
            )
    return notes


def caveats(folders: Iterable[RunFolder]) -> list[str]:
    """Return what the data sets of records want read with any result on them, once each, as footnotes."""
    sections = (run.record.data for run in folders)
    return list(dict.fromkeys(f"{data.name}: {data.caveat}." for data in sections if data.caveat))


def join_notes(notes: Mapping[str, Sequence[str]]) -> list[str]:
    """Write notes of rows as lines, one that several rows share once.

    >>> join_notes({"mf-ips": ["p is assumed."], "mf-dr_jl": ["p is assumed.", "tiny."]})
    ['every row: p is assumed.', 'mf-dr_jl: tiny.']
    """
    shared: dict[str, list[str]] = {}
    for row, lines in notes.items():
        for line in dict.fromkeys(lines):
            shared.setdefault(line, []).append(row)
    return [f"{_names(rows, len(notes))}: {line}" for line, rows in shared.items()]


def _names(rows: Sequence[str], count: int) -> str:
    return "every row" if 1 < len(rows) == count else ", ".join(rows)


def legend(folders: Iterable[RunFolder], columns: Sequence[str]) -> Iterable[str]:
    """Yield what each metric of a table is, and which end is better, as its records say."""
    names = [parse_column(column) for column in columns]
    metrics = list(dict.fromkeys(metric for metric, slice_name in names if slice_name != PROPENSITY_SLICE))
    better: dict[str, bool | None] = {}
    described: dict[str, str] = {}
    for run in folders:
        described |= run.record.descriptions
        better |= {parse_column(column_of(s))[0]: s.higher_is_better for s in run.record.scores}
    for name in metrics:
        if name in described:
            yield f"{name}{ENDS[better.get(name)]}: {described[name]}."
    for name, words in PROPENSITY_ERRORS.items():
        if (name, PROPENSITY_SLICE) in names:
            yield f"{score_column(name, PROPENSITY_SLICE)}{ENDS[False]}: {words}."


def _notes_of_fitted_rows(rows: ROWS) -> Iterable[str]:
    """Yield on how many rows each is fitted, where that differs: validation rows are read by some and not by others."""
    records = {name: runs[0].record for name, runs in rows.items()}
    if len({record.fitted_rows for record in records.values()}) == 1:
        return
    names: dict[str, list[str]] = {}
    for name, record in records.items():
        names.setdefault(_fitted_words(record), []).append(name)
    if len(names) > 1 and len({_reads_validation(record) for record in records.values()}) > 1:
        baselines = ONCE if len({record.baseline_rows for record in records.values()}) > 1 else ""
        notes = [f"{', '.join(of)}: {words}" for words, of in names.items()]
        yield f"{'; '.join(notes)}.{baselines}"


def _reads_validation(record: RunRecord) -> bool:
    return record.fitted_rows > record.audit.rows.get("train", 0)


def _fitted_words(record: RunRecord) -> str:
    if record.selection.folds > 1:
        return f"chosen by folds and fitted on {record.fitted_rows} rows, training and validation"
    which = "rows, training and validation" if _reads_validation(record) else "training rows"
    return f"fitted on {record.fitted_rows} {which}"


def _row_notes(record: RunRecord) -> Iterable[str]:
    """Yield what is to be said of one row alone."""
    adjustment = record.adjustment
    for assumption in adjustment.training.assumed:
        yield f"assumed, not identified: {assumption}."
    reads, needed = list(adjustment.propensity_reads), list(adjustment.training.columns)
    if reads != needed and adjustment.training.strategy == "backdoor":
        yield f"propensity={record.choice('propensity')} reads {reads}, the adjustment set is {needed}."
    if adjustment.evaluation.strategy == "none":
        yield "the test is logged, not randomised: scores describe logged exposure only."
