"""Before a fit: checks that span components, then data, splits and fitted propensities."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from causalrec.config.run_config import Selection
from causalrec.config.schema import ExperimentConfig
from causalrec.data.arm_probabilities import randomised_probabilities
from causalrec.data.assignment_unit import mark_units, require_overlap
from causalrec.data.audit import audit
from causalrec.data.augmentation.base import augment_rows
from causalrec.data.clusters import ROW, cluster_axes
from causalrec.data.corner import corner
from causalrec.data.dataset import CausalDataset
from causalrec.data.edge_audit import audit_knowledge
from causalrec.data.files import require_writable
from causalrec.data.log import InteractionLog
from causalrec.data.row_levels import row_levels
from causalrec.data.split.splits import Splits
from causalrec.errors import RequestError
from causalrec.evaluation.list_updates import require_lists
from causalrec.evaluation.propensity_quality import PropensityFit
from causalrec.evaluation.reranked_slices import check_list_metrics, with_reranked
from causalrec.evaluation.slice.base import AnySliceData, name_refusals
from causalrec.evaluation.slice.limit import limit_slices
from causalrec.features.logged_log_odds import with_log_odds
from causalrec.features.views import feature_matrix, may_say_treatment
from causalrec.prepared import PreparedData, RunPlan
from causalrec.propensity.base import AbstractPropensity
from causalrec.running.data_plan import check_question, plan_data
from causalrec.running.placebo import check_placebo, destroy_source
from causalrec.running.text_view import check_texts, text_view
from causalrec.training.folds import Folds, settle_folds


def plan_run(config: ExperimentConfig, *, writes: bool = True) -> RunPlan:
    """Check the request as one and identify its estimand; raise RequestError or NotIdentified. No file is read.

    The folder of records is made, unless a finished run is opened again, which lies in one.

    Args:
        config: of the job.
        writes: make the folders that it writes to; a dry run makes none.
    """
    built = config.components
    card = built.dataset.card
    check_question(config.data_request)
    built.task.check(config, card)
    check_list_metrics(config.reranker, config.metric)
    plan = plan_data(config.data_request)
    if built.learner is not None:
        built.learner.check_views(config, card, plan.views)
    check_placebo(config, plan.views)
    check_texts(config, plan.views)
    require_lists(config.metric, config.slice)
    for name, metric in config.metric.items():
        with name_refusals(name, "metric"):
            metric.build(1).check(card)
    built.task.check_identified(config, card, plan.adjustment.training, plan.views)
    if writes and config.moved_to is None:
        require_writable(config.run.paths.runs, "paths.runs")
    if writes:
        require_writable(config.run.paths.cache, "paths.cache")
    return plan


def select_slices(config: ExperimentConfig, prepared: PreparedData) -> dict[str, list[AnySliceData]]:
    """Return the rows that the run is scored on; raise RequestError where a model reads columns that they lack."""
    selected = prepared.select(config.slice, config.components.task.label_kinds)
    selected = with_reranked(selected, config.reranker)
    if config.trial is not None:
        selected = limit_slices(selected, config.trial.rows)
    learner, card = config.components.learner, prepared.dataset.card
    view = learner.columns_read(prepared.plan.views) if learner else ()
    names = [column.name for column in card.row_columns if column.name in view]
    for data in (data for yielded in selected.values() for data in yielded):
        if missing := [name for name in names if name not in data.columns]:
            raise RequestError(
                f"{card.name}: is judged on the slice {(data.subset_of or data).name}, whose pairs were mostly never "
                f"logged and have no {', '.join(missing)}; leave {'it' if len(missing) == 1 else 'them'} out of the "
                f"graph, or the slice out of slice=[..]"
            )
    return selected


def prepare_data(config: ExperimentConfig, plan: RunPlan) -> PreparedData:
    """Load the data, split them, fit the propensity on what is trained on."""
    task, split = config.components.task, config.components.split
    dataset, splits, folds, logged = _split_rows(config, plan)
    view, propensity = feature_matrix(dataset, plan.views.propensity), config.propensity.build()
    rows = _augment(config, logged, dataset, own_propensity=False)
    read = text_view(config, dataset, plan.views, logged) if propensity.reads_texts else view
    propensity.fit(rows, read, splits.randomised_sample)
    requested, test = config.run.evaluation.cluster, splits.test
    audit_knowledge(dataset, splits)
    axes = cluster_axes(dataset, logged, requested, logged.unit_level)
    causes = may_say_treatment(plan.views, dataset.card)
    train = logged.with_propensity(propensity.predict(logged))
    rows = train if rows is logged else rows.with_propensity(propensity.predict(rows))
    rows = _augment(config, rows, dataset, own_propensity=True)
    prepared = PreparedData(
        dataset=dataset,
        splits=splits,
        audit=audit(dataset, splits, split, None if rows is train else rows, axes, _training_outcomes(config)),
        plan=plan,
        propensity=propensity,
        train=train,
        training_rows=rows,
        validation=_validation_rows(splits, config, propensity, dataset),
        exposure=task.describe_exposure(train, propensity, view, feature_matrix(dataset, causes)),
        features=feature_matrix(dataset, plan.views.outcome),
        folds=folds,
        validation_is_fitted=_fits_validation(config, folds),
        cluster_axes=axes,
        test_axes=cluster_axes(dataset, test, requested, test.unit_level) if splits.test_is_randomised else axes,
        cache=config.run.paths.cache,
    )
    return destroy_source(config, prepared)


def prepare_to_predict(config: ExperimentConfig, plan: RunPlan) -> PreparedData:
    """Return what a trained network is asked with: as `prepare_data`, but no propensity is fitted, and rows have that
    which they log alone. Nothing can be trained or scored by it.
    """
    dataset, splits, folds, logged = _split_rows(config, plan)
    prepared = PreparedData(
        dataset=dataset,
        splits=splits,
        audit=audit(dataset, splits, config.components.split, None, (ROW,)),
        plan=plan,
        propensity=config.propensity.build(),
        train=logged,
        training_rows=logged,
        validation=splits.validation,
        exposure=PropensityFit(),
        features=feature_matrix(dataset, plan.views.outcome),
        folds=folds,
        validation_is_fitted=_fits_validation(config, folds),
        cluster_axes=(ROW,),
        test_axes=(ROW,),
        cache=config.run.paths.cache,
    )
    return prepared if config.run.placebo.source == "propensities" else destroy_source(config, prepared)


def _split_rows(config: ExperimentConfig, plan: RunPlan) -> tuple[CausalDataset, Splits, Folds, InteractionLog]:
    """Load and split the data; return the rows that are trained on, too: all logged ones under cross-validation."""
    dataset = _load_data(config, plan)
    splits = config.components.split(dataset)
    _require_budget(splits, config.run.selection)
    learner = config.components.learner
    folds = learner.folds(config, len(splits.validation)) if learner else Folds(1)
    folds = settle_folds(folds, splits.pool(len(dataset.logged)))
    return dataset, splits, folds, splits.train if folds.count == 1 else splits.pool(len(dataset.logged))


def _fits_validation(config: ExperimentConfig, folds: Folds) -> bool:
    """Whether the learner is fitted on the validation rows of the splits too."""
    learner = config.components.learner
    return folds.count > 1 or (learner is not None and learner.fits_validation)


def _load_data(config: ExperimentConfig, plan: RunPlan) -> CausalDataset:
    """Load the data, of a trial a corner of them, and mark what treatment was assigned to.

    Raises RequestError where an effect is adjusted for that.
    """
    dataset, columns = config.components.dataset.load(config.run.paths.data), config.run.evaluation.cluster_columns
    if config.trial is not None:
        dataset = corner(dataset, config.trial.users, config.trial.items)
    config.components.task.check_rows(dataset, config)
    if config.propensity.target.uses_logged and dataset.logged.has_arms:
        dataset = with_log_odds(dataset)
    dataset = mark_units(dataset, columns)
    if config.components.task.contrasts_exposure:
        require_overlap(dataset, plan.views.propensity, columns)
    return dataset


def _augment(
    config: ExperimentConfig, train: InteractionLog, dataset: CausalDataset, own_propensity: bool
) -> InteractionLog:
    """Apply the augmentations that come before the propensity is fitted, or those that bring their own."""
    members = {} if "augmentation" in config.unread else config.augmentation
    chosen = {
        name: component.build()
        for name, component in members.items()
        if component.target.own_propensity == own_propensity
    }
    return augment_rows(chosen, train, dataset, config.run.seed)


def _training_outcomes(config: ExperimentConfig) -> bool:
    """Whether all rows that augmentations add have the outcomes of training rows."""
    return all(component.target.training_outcomes for component in config.augmentation.values())


def _randomised_validation(sample: InteractionLog, dataset: CausalDataset) -> InteractionLog:
    """Return randomised rows with their propensities: 1 of pairs drawn at random, of arms as the draw had them."""
    if not sample.has_arms:
        return sample.with_propensity(np.ones(len(sample), np.float32))
    of_arms = randomised_probabilities(sample, len(dataset.card.arms), row_levels(dataset, sample, dataset.card.strata))
    received = np.take_along_axis(of_arms, sample.treatment[:, None], 1)[:, 0]
    return replace(sample, propensity=received, arm_probabilities=of_arms)


def _validation_rows(
    splits: Splits, config: ExperimentConfig, propensity: AbstractPropensity, dataset: CausalDataset
) -> InteractionLog:
    """Return what a fit is judged on: biased rows with their propensities, or randomised ones where that is asked."""
    sample, most = splits.randomised_sample, config.trial.fit_rows if config.trial else None
    if config.run.selection.criterion == "randomised" and sample is not None:
        return _randomised_validation(sample, dataset)
    rows = splits.validation.take(np.arange(len(splits.validation))[:most]) if most else splits.validation
    return rows.with_propensity(propensity.predict(rows))


def _require_budget(splits: Splits, selection: Selection) -> None:
    """Refuse randomised rows outside the test that the request does not own up to, and a selection without them."""
    used = 0 if splits.randomised_sample is None else len(splits.randomised_sample)
    if used > selection.randomised_budget:
        raise RequestError(
            f"split.propensity_sample: takes {used} randomised rows out of the test for propensities or selection; "
            f"declare them with selection.randomised_budget={used} (recorded: other rows of a table may not have them)"
        )
    if selection.criterion == "randomised" and (used == 0 or selection.folds not in ("auto", 1)):
        raise RequestError(
            "selection.criterion=randomised: reads the randomised sample of split.propensity_sample (a share above 0), "
            "with selection.folds=1"
        )
