"""Tables, from records alone: rows x columns, user-bootstrap intervals of seed averages, seed spread, and n."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence, Set
from dataclasses import replace

import numpy as np

from causalrec.errors import RequestError, did_you_mean
from causalrec.estimators.bootstrap import percentile_interval
from causalrec.records.names import column_of, parse_column, score_column
from causalrec.records.propensity_scores import PROPENSITY_SLICE, propensity_scores
from causalrec.records.run_folder import RunFolder
from causalrec.records.run_record import RunRecord
from causalrec.records.sections import ScoreRecord
from causalrec.reporting.footnotes import footnotes, null_notes
from causalrec.reporting.reranked_lists import reranked_slices
from causalrec.reporting.score_table import Cell, ScoreTable
from causalrec.reporting.submodels import Loss, loss_notes, losses, missing_cases
from causalrec.reporting.table_rows import groups_of_tables, is_resampled, rows_of, titles_of, without_submodels
from causalrec.types import Doubles

OF_OUTCOMES = ("auc", "ndcg@5", "mse", "skill", "bias")
AVERAGES = ("average_effect", "effect_of_compliers", "projected_effect", "equal_effects_p")
OF_EFFECTS = ("sqrt_pehe", "ate_error", "qini", "autoc", *AVERAGES, "coverage", "first_stage_f")
UNASKED = {*OF_OUTCOMES, "log_loss", "recall@5", "sqrt_pehe", "ate_error", "qini", "qini_normalised", "auuc"}
UNASKED |= {"auuc_normalised", "uplift_at_k", "autoc", "rate_qini"}  # what runs are scored by where nobody says
SUBSET_SUFFIXES = ("_head", "_torso", "_tail", "_cold")  # of a slice, shown where a column asks for them


def tables(
    folders: Iterable[RunFolder],
    columns: tuple[str, ...] = (),
    *,
    rows: tuple[str, ...] = (),
    show_submodels: bool = False,
) -> list[ScoreTable]:
    """Make one table per data set, split and estimand (a table never mixes two estimands).

    Args:
        folders: the runs, and those of their special cases.
        columns: `metric@slice`; the usual ones where none are named.
        rows: names of rows, in order; all where none are named.
        show_submodels: special cases stand in the tables too, and do not only mark the rows that lose to them.
    """
    runs = list(folders)
    groups = groups_of_tables(runs if show_submodels else without_submodels(runs))
    _require(columns, [run for group in groups for run in group])
    trained_rows = [rows_of(group) for group in groups]
    table_and_rows = [
        (_table(title, group, trained, columns, runs, rows), trained)
        for title, group, trained in zip(titles_of(groups), groups, trained_rows, strict=True)
    ]
    available = list(dict.fromkeys(row for table, trained in table_and_rows for row in (*table.baselines, *trained)))
    for row in rows:
        if row not in available:
            raise RequestError(f"row {row}: no table has it; {did_you_mean(row, available)}")
    return [chosen for table, _ in table_and_rows if (chosen := table.choose_rows(rows)).rows]


def _require(columns: tuple[str, ...], folders: Sequence[RunFolder]) -> None:
    present = _columns_of(folders) if columns else ()
    for column in columns if folders else ():
        if column not in present:
            of_metric = sorted(name for name in present if name.partition("@")[0] == column)
            nearest = f"did you mean {' or '.join(of_metric[:3])}?" if of_metric else did_you_mean(column, present)
            raise RequestError(f"column {column}: no record has it; {nearest}")


def _table(
    title: str,
    folders: list[RunFolder],
    trained: Mapping[str, list[RunFolder]],
    wanted: tuple[str, ...],
    runs: Sequence[RunFolder],
    chosen: Sequence[str],
) -> ScoreTable:
    """Make a table; of the rows that are trained only the chosen are in it and in its notes, if any is."""
    groups = {name: group for name, group in trained.items() if name in chosen} or dict(trained)
    trivial = tuple(dict.fromkeys(score.model for run in folders for score in run.record.baselines))
    reranked = {each for run in folders for each in reranked_slices(run.record)}
    columns = _columns(_columns_of(folders), wanted, reranked, _requested_metrics(folders))
    rows = {
        name + mark: score_cells([(run, run.record.baselines) for run in group], name, columns)
        for mark, group in _group_by_training_rows(folders).items()
        for name in trivial
    }
    baselines = tuple(rows)
    rows |= {
        name: score_cells([(run, _scores(run.record)) for run in group], None, columns)
        for name, group in groups.items()
    }
    lost = losses(groups, runs, columns)
    marked = _mark(rows, lost)
    notes = (*loss_notes(lost), *missing_cases(groups, runs), *footnotes(groups, columns))
    table = ScoreTable(title, columns, marked, baselines, notes)
    digits = {column: table.decimals(column) for column in columns}
    nulls = null_notes({name: marked[name] for name in groups}, folders[0].record.level, digits)
    return replace(table, footnotes=(*nulls, *notes))


def _mark(
    rows: Mapping[str, Mapping[str, Cell]], lost: Mapping[tuple[str, str], Sequence[Loss]]
) -> dict[str, dict[str, Cell]]:
    """Return the rows, each cell with the special cases to which its row loses there."""
    return {
        row: {
            column: replace(cell, loses_to=tuple(loss.submodel for loss in lost.get((row, column), ())))
            for column, cell in cells.items()
        }
        for row, cells in rows.items()
    }


def _group_by_training_rows(folders: Sequence[RunFolder]) -> dict[str, list[RunFolder]]:
    """Return one record of each training split, by what its baselines' names end with: the rows, where they differ."""
    once = {(run.record.audit.hashes.get("train"), run.record.selection.folds > 1): run for run in reversed(folders)}
    sizes: dict[int, list[RunFolder]] = {}
    for run in reversed(once.values()):
        sizes.setdefault(0 if is_resampled(run.record) else run.record.baseline_rows, []).append(run)
    return {f"-{size}" if len(sizes) > 1 else "": group for size, group in sorted(sizes.items())}


def _columns_of(folders: Sequence[RunFolder]) -> list[str]:
    """Return the columns of all scores of the runs, in order, and of their propensities."""
    scores = (score for run in folders for score in (*run.record.all_scores, *propensity_scores(run.record)))
    return [score_column(*pair) for pair in dict.fromkeys((score.metric, score.slice) for score in scores)]


def _scores(record: RunRecord) -> tuple[ScoreRecord, ...]:
    return (*record.scores, *propensity_scores(record))


def _requested_metrics(folders: Sequence[RunFolder]) -> set[str]:
    """Return the metrics of runs that no run has unless it asks for them."""
    metrics = (run.record.config.get("metric") for run in folders)
    return {name for members in metrics if isinstance(members, dict) for name in members} - UNASKED


def _columns(available: list[str], wanted: tuple[str, ...], reranked: Set[str], requested: Set[str]) -> tuple[str, ...]:
    """Return the columns that are shown; what `reranked_tables` shows is in no other table unless it is wanted.

    Args:
        available: columns that the records have.
        wanted: those asked for; none: the usual ones.
        reranked: slices of re-ranked lists.
        requested: metrics that no run has unless it asks for them.
    """
    if wanted:
        return tuple(c for c in wanted if c in available)
    plain = (c for c in available if parse_column(c)[1] not in reranked)
    of_a_slice = tuple(c for c in plain if not c.endswith((*SUBSET_SUFFIXES, f"@{PROPENSITY_SLICE}")))
    shown = {*OF_OUTCOMES, *OF_EFFECTS, *requested}
    usual = {c for c in of_a_slice if parse_column(c)[0] in shown}
    return tuple(c for c in of_a_slice if c in usual or not usual or c == "snips_mean@logged")


def score_cells(
    group: Sequence[tuple[RunFolder, Sequence[ScoreRecord]]], model: str | None, columns: tuple[str, ...]
) -> dict[str, Cell]:
    """Return the cells of a row: means over its runs.

    Args:
        group: its runs, and the scores of each that are shown.
        model: whose scores; None: of all.
        columns: `metric@slice` each.
    """
    by_column: dict[str, list[tuple[ScoreRecord, Doubles | None]]] = {}
    for run, scores in group:
        for score in scores:
            if (model is None or score.model == model) and (column := column_of(score)) in columns:
                by_column.setdefault(column, []).append((score, run.replicates.get(score.key)))
    level = group[0][0].record.level
    return {
        column: _cell(held, values, level)
        for column in columns
        if (held := by_column.get(column)) and (values := _values(held)) is not None
    }


def _values(scores: Sequence[tuple[ScoreRecord, Doubles | None]]) -> list[float] | None:
    """Return the values of scores, None where one is undefined."""
    values = [score.value for score, _ in scores if score.value is not None]
    return values if len(values) == len(scores) else None


def _cell(scores: Sequence[tuple[ScoreRecord, Doubles | None]], values: list[float], level: float) -> Cell:
    first = scores[0][0]
    low, high = (float("nan") if end is None else end for end in (first.low, first.high))  # it has none
    if len(scores) > 1:
        held = [replicates for _, replicates in scores if replicates is not None and replicates.ndim == 1]
        complete = len(held) == len(scores) and len({len(replicates) for replicates in held} - {0}) == 1
        low, high = float("nan"), float("nan")
        if complete:  # without as many replicates of every seed there is no interval of their average
            low, high = percentile_interval(np.mean(held, axis=0), level, absolute=first.absolute)
    sd = float(np.std(values, ddof=1)) if len(values) > 1 else None
    note = next((score.note for score, _ in scores if score.note), "")
    return Cell(float(np.mean(values)), low, high, sd, len(values), first.n, note=note)
