"""What a run leaves: its scores beside the mandatory baselines, and what they rest on, added to its record."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from causalrec.config.schema import ExperimentConfig
from causalrec.evaluation.baseline_scores import baseline_scores
from causalrec.evaluation.catalogue_predictions import means, predict_some
from causalrec.evaluation.evaluator import Evaluator, Score
from causalrec.evaluation.metric_warnings import (
    few_clusters,
    missing_arms,
    short_lists,
    undefined_metrics,
    unjudged_samples,
    unknown_intervals,
)
from causalrec.evaluation.reliability_curves import reliability_curves
from causalrec.evaluation.reranked_slices import reranked_gains
from causalrec.evaluation.scored_rows import reliability
from causalrec.evaluation.slice.base import AnySliceData
from causalrec.evaluation.slice.catalogue import CatalogueData
from causalrec.graph.overlap import Overlap, with_criterion
from causalrec.ids import fit_id
from causalrec.learners.predictor import AbstractPredictor
from causalrec.prepared import PreparedData
from causalrec.records.names import score_column
from causalrec.records.record_sections import adjustment_section, audit_section, overlap_section
from causalrec.records.run_record import RunRecord
from causalrec.records.sections import (
    AdjustmentSection,
    CalibrationBin,
    CandidateRecord,
    DataSection,
    EpochRecord,
    RandomisedRowsUse,
    SelectionSection,
    finite_or_none,
)
from causalrec.running.fitted_overlap import with_fit
from causalrec.running.prepare import select_slices
from causalrec.training.selection import Candidate, SelectedFit, settings_beyond
from causalrec.types import Doubles, Floats, LabelKind

CALIBRATION_PAIRS = 250_000  # of a whole catalogue, that its bins are filled with
LISTED: frozenset[LabelKind] = frozenset({"lists", "sampled"})  # further looks at pairs that other slices may hold
UNCALIBRATED: frozenset[LabelKind] = frozenset({"ranking", "uplift"})  # no outcome seen that a number can be held to
INTERVAL_KEYS = {"replicates", "seed", "level"}  # of evaluation: what its intervals are made by
LOGGER = logging.getLogger(__name__)


@dataclass(frozen=True)
class RunResult:
    """What came of a run.

    Attributes:
        record: complete but for what it cost.
        replicates: bootstrap replicates of its scores, by score key.
        jackknife: their leave-groups-out values, by score key.
        by_user: of rankings, the value of each user, float32[U], nan of users who are not in the mean, by score key.
    """

    record: RunRecord
    replicates: Mapping[str, Doubles]
    jackknife: Mapping[str, Doubles]
    by_user: Mapping[str, Floats]


def score_predictor(
    config: ExperimentConfig,
    prepared: PreparedData,
    slices: Sequence[AnySliceData],
    predictor: AbstractPredictor | None,
) -> tuple[list[Score], Evaluator]:
    """Return the scores of what was learnt, with those that the task adds, and what computed them.

    Args:
        config: of the job.
        prepared: what stood before its fits.
        slices: the rows that it is scored on.
        predictor: what was learnt; None where the task learns nothing.
    """
    task, run = config.components.task, config.run
    constant = float(prepared.train.outcome.mean())
    intervals = run.evaluation.model_dump(include=INTERVAL_KEYS)
    evaluator = Evaluator(config.metric, slices, constant, memory=run.evaluation.memory_mb, **intervals)
    scores = [] if predictor is None else evaluator(predictor, run.name)
    return [*scores, *task.scores(config, prepared, slices, predictor, evaluator)], evaluator


def score_run(
    planned: RunRecord,
    config: ExperimentConfig,
    prepared: PreparedData,
    predictor: AbstractPredictor | None,
    chosen: SelectedFit | None,
) -> RunResult:
    """Score what was learnt on every slice, beside the baselines, and add to the planned record what it rests on.

    Args:
        planned: the record of the job's plan.
        config: of the job.
        prepared: what stood before its fits.
        predictor: what was learnt; None where the task learns nothing.
        chosen: the fit that selection took; None where nothing was selected.
    """
    task, run = config.components.task, config.run
    selected = select_slices(config, prepared)
    slices = [rows for yielded in selected.values() for rows in yielded]
    scores, evaluator = score_predictor(config, prepared, slices, predictor)
    baselines, fit_warnings = baseline_scores(
        config.baseline, evaluator, prepared.splits, prepared.train, run.paths.cache
    )
    scores, baselines = (
        [*each, *reranked_gains(each, slices, run.evaluation.level, run.evaluation.replicates)]
        for each in (scores, baselines)
    )
    sizes = {} if predictor is None else predictor.sizes
    overlap = with_fit(_overlap(config, prepared), prepared, predictor)
    record = replace(
        planned,
        status="done",
        task=replace(planned.task, footnotes=_footnotes(planned, task.footnotes(config, prepared), slices)),
        data=_data_section(config, prepared, selected),
        audit=audit_section(prepared.audit),
        adjustment=_adjustment_section(config, prepared),
        overlap=overlap_section(overlap),
        warnings=(
            *_trial_warning(config, prepared),
            *config.components.graph.warnings,
            *prepared.audit.warnings,
            *overlap.warnings,
            *fit_warnings,
            *_learner_warnings(config, predictor),
            *_score_warnings(scores),
            *undefined_metrics(config.metric, slices),
            *unjudged_samples(config.metric, slices),
            *short_lists(config.metric, slices),
            *missing_arms(slices),
            *few_clusters(slices),
            *unknown_intervals(scores),
            *([prepared.folds.warning] if prepared.folds.warning else []),
            *_edges(chosen),
            *_spent_epochs(config, chosen),
        ),
        selection=_selection_section(config, chosen, prepared),
        scores=tuple(score.as_record() for score in scores),
        baselines=tuple(score.as_record() for score in baselines),
        descriptions={score.metric: score.description for score in scores if score.description},
        calibration=_calibration(slices, predictor),
        reliability=reliability_curves(slices, predictor),
        parameters=sizes.get("parameters", {}),
        trainable=sizes.get("trainable", {}),
        language_model=sizes.get("language_model", {}),
    )
    scores_by_key = {score.as_record().key: score for score in [*scores, *baselines]}
    return RunResult(
        record,
        {key: score.replicates for key, score in scores_by_key.items()},
        {key: score.jackknife for key, score in scores_by_key.items() if score.jackknife is not None},
        {key: score.by_user for key, score in scores_by_key.items() if score.by_user is not None},
    )


def _footnotes(planned: RunRecord, of_task: Sequence[str], slices: Sequence[AnySliceData]) -> tuple[str, ...]:
    """Return what stands below a table: notes of the question, and of the slices, once each."""
    of_slices = (each.note for data in slices for each in (data.subset_of or data, data))
    return (*planned.task.footnotes, *of_task, *dict.fromkeys(filter(None, of_slices)))


def _trial_warning(config: ExperimentConfig, prepared: PreparedData) -> list[str]:
    """Say of a trial that its scores are no result."""
    if config.trial is None:
        return []
    log, trainer = prepared.dataset.logged, config.trainer
    batches = f"{trainer.setting('max_epochs')} epoch(s) of {trainer.setting('limit_batches')} batches on "
    data = f"{log.num_users} users and {log.num_items} items" if log.num_users else f"{log.num_items} items"
    read = f"{batches if config.trains else ''}{data}, the first of the data"
    return [f"smoke: {read}; the scores say that it runs, not how good it is"]


def _learner_warnings(config: ExperimentConfig, predictor: AbstractPredictor | None) -> list[str]:
    """Return what the predictor warns of, after all its scores: averages are fitted as they are asked for."""
    return [] if predictor is None else [f"{config.run.choice('learner')}: {line}" for line in predictor.warnings]


def _score_warnings(scores: Sequence[Score]) -> list[str]:
    """Return what scores want read with them, each line once, after the columns that show them."""
    columns: dict[str, list[str]] = {}
    for score in scores:
        for line in score.warnings:
            columns.setdefault(line, []).append(score_column(score.metric, score.slice))
    return [f"{', '.join(names)}: {line}" for line, names in columns.items()]


def _calibration(slices: Sequence[AnySliceData], predictor: AbstractPredictor | None) -> tuple[CalibrationBin, ...]:
    undivided = [rows for rows in slices if rows.subset_of is None and rows.kind not in LISTED]
    last = undivided[-1] if undivided else None
    if last is None or predictor is None or last.kind in UNCALIBRATED:
        return ()
    if isinstance(last, CatalogueData):
        return tuple(reliability(*predict_some(predictor, last, CALIBRATION_PAIRS)))
    return tuple(reliability(means(predictor(last)), last.label))


def _data_section(
    config: ExperimentConfig, prepared: PreparedData, selected: Mapping[str, list[AnySliceData]]
) -> DataSection:
    """Describe the data set, and say which slices that were asked for by name have no rows in it."""
    card = prepared.dataset.card
    empty = tuple(name for name in config.requested_members("slice") if name in selected and not selected[name])
    for name in empty:
        LOGGER.warning("%s: slice=%s has no rows in these data; nothing is scored on it", config.run.name, name)
    return DataSection(
        name=card.name,
        sha256=dict(prepared.dataset.raw_sha256),
        feedback=card.feedback,
        caveat=card.caveat,
        slices_without_rows=empty,
    )


def _edges(chosen: SelectedFit | None) -> list[str]:
    """Say which number was chosen at an end of what was tried."""
    further = None if chosen is None else settings_beyond(chosen.candidates)
    if chosen is None or further is None:
        return []
    (path,) = [path for path in further if further[path] != chosen.settings[path]]
    return [f"{path}={chosen.settings[path]:g} was chosen at an end of what was tried; widen selection.candidates"]


def _spent_epochs(config: ExperimentConfig, chosen: SelectedFit | None) -> list[str]:
    """Say that the fit was still improving when its epochs were spent (by folds: in most of them)."""
    if chosen is None or not config.trains:
        return []
    limit = int(str(config.trainer.setting("max_epochs")))
    best = next(c for c in chosen.candidates if c.settings == chosen.settings)
    if not best.epochs or best.best_epoch + 1 < limit - 0.5:
        return []
    return [f"the fit was still improving at its last epoch; raise trainer.max_epochs={limit}"]


def _overlap(config: ExperimentConfig, prepared: PreparedData) -> Overlap:
    """Return what the weights of training rest on, and which share of the criterion's rows is clipped."""
    unread = "objective" in config.unread
    objective = None if unread else config.objective.build()
    clip = 0.0 if objective is None or not objective.reads_propensities else prepared.objective_clip(objective)
    report, selection = config.components.task.overlap(prepared, clip), config.run.selection
    rows = prepared.validation if prepared.folds.count == 1 else prepared.train
    if unread or selection.criterion != "ips" or rows.propensity is None:
        return report
    return with_criterion(report, rows, selection.clip * prepared.clip_scale)


def _adjustment_section(config: ExperimentConfig, prepared: PreparedData) -> AdjustmentSection:
    views, learner = prepared.plan.views, config.components.learner
    extra = {} if learner is None else learner.extra_views(views)
    return replace(
        adjustment_section(prepared.plan.adjustment),
        propensity_view=tuple(views.propensity),
        propensity_reads=tuple(prepared.propensity.columns_read(views.propensity)),
        outcome_view=tuple(views.outcome),
        outcome_features=prepared.features.short_names,
        effect_modifiers=extra.get("effect_modifiers", ()),
        effect_controls=extra.get("effect_controls", ()),
    )


def _selection_section(
    config: ExperimentConfig, chosen: SelectedFit | None, prepared: PreparedData
) -> SelectionSection:
    selection, sample = config.run.selection, prepared.splits.randomised_sample
    users_of_randomised_rows = (
        ("propensity", prepared.propensity.needs_randomised_sample),
        ("selection", selection.criterion == "randomised"),
        ("calibration", any(component.build().reads_randomised_sample for component in config.slice.values())),
    )
    return SelectionSection(
        criterion=selection.criterion,
        folds=prepared.folds.count,
        folds_reason=prepared.folds.reason,
        chosen=dict(chosen.settings) if chosen else {},
        fit=chosen.folder.name if chosen else "",
        candidates=tuple(map(_candidate_record, chosen.candidates)) if chosen else (),
        randomised_rows=RandomisedRowsUse(selection.randomised_budget, 0 if sample is None else len(sample)),
        randomised_rows_for=tuple(name for name, reads in users_of_randomised_rows if reads and sample is not None),
    )


def _candidate_record(candidate: Candidate) -> CandidateRecord:
    return CandidateRecord(
        fit=fit_id(candidate.settings),
        settings=dict(candidate.settings),
        criterion=finite_or_none(candidate.criterion),
        best_epoch=candidate.best_epoch,
        epochs=candidate.epochs,
        curve=tuple(
            EpochRecord(
                point.epoch,
                finite_or_none(point.loss),
                finite_or_none(point.criterion),
                None if point.report is None else dict(point.report),
            )
            for point in candidate.curve
        ),
    )
