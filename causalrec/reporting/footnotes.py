"""What stands below a table: what its numbers rest on, once each, and what its columns mean."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from causalrec.records.names import column_of, parse_column
from causalrec.records.run_folder import RunFolder
from causalrec.records.run_record import RunRecord
from causalrec.reporting.warnings import warning_notes

ROWS = Mapping[str, Sequence[RunFolder]]  # the runs of each row, by its name

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
    metrics = list(dict.fromkeys(parse_column(column)[0] for column in columns))
    better: dict[str, bool | None] = {}
    described: dict[str, str] = {}
    for run in folders:
        described |= run.record.descriptions
        better |= {parse_column(column_of(s))[0]: s.higher_is_better for s in run.record.scores}
    for name in metrics:
        if name in described:
            yield f"{name}{ENDS[better.get(name)]}: {described[name]}."


def _notes_of_fitted_rows(rows: ROWS) -> Iterable[str]:
    """Yield which rows are fitted on validation rows too, where some are, chosen by folds, and some are not."""
    names: dict[bool, list[str]] = {}
    for name, runs in rows.items():
        names.setdefault(runs[0].record.selection.folds > 1, []).append(name)
    if len(names) == 2:
        by_folds, held = (rows[names[folds][0]][0].record.fitted_rows for folds in (True, False))
        yield (
            f"{', '.join(names[True])}: chosen by folds and fitted on {by_folds} rows, training and validation; "
            f"{', '.join(names[False])}: on {held} training rows. Baselines stand once for each."
        )


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
