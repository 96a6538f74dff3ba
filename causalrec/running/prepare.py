"""Before a fit: checks that span components, then data, splits and fitted propensities."""

from __future__ import annotations

import numpy as np

from causalrec.config.run_config import Selection
from causalrec.config.schema import ExperimentConfig
from causalrec.data.audit import audit
from causalrec.data.augmentation.base import augment_rows
from causalrec.data.card import DatasetCard
from causalrec.data.dataset import CausalDataset
from causalrec.data.files import require_writable
from causalrec.data.log import InteractionLog
from causalrec.data.split.splits import Splits
from causalrec.data.text import check_phrases
from causalrec.errors import RequestError
from causalrec.evaluation.slice.base import SliceData, name_refusals
from causalrec.features.views import Views, choose_views, feature_matrix
from causalrec.prepared import PreparedData, RunPlan
from causalrec.propensity.base import AbstractPropensity
from causalrec.training.folds import Folds, settle_folds


def plan_run(config: ExperimentConfig) -> RunPlan:
    """Check the request as one and identify its estimand; raise RequestError or NotIdentified. No file is read."""
    built = config.components
    card = built.dataset.card
    built.task.check(config, card)
    built.split.check(card)
    check_phrases(built.dataset.item_text, [column.name for column in card.columns if column.entity == "item"])
    check_phrases(built.dataset.user_text, [column.name for column in card.columns if column.entity == "user"], "user")
    if config.propensity.target.needs_randomised_sample and not built.split.randomised_share:
        raise RequestError(
            f"{config.run.choice('propensity')}: reads randomised rows set aside for it; set "
            f"split.propensity_sample=0.05 and declare them with selection.randomised_budget"
        )
    adjustment = built.task.identify(config, card)
    built.graph.check_modifiers(card)
    views = choose_views(built.graph, card, adjustment)
    if built.learner is not None:
        built.learner.check_views(config, card, views)
    built.task.check_identified(config, card, adjustment.training, views)
    _check_propensity_view(config, card, views)
    for name, component in config.slice.items():
        with name_refusals(name):
            component.build().check(card)
    require_writable(config.run.paths.runs, "paths.runs")
    require_writable(config.run.paths.cache, "paths.cache")
    return RunPlan(adjustment, views)


def _check_propensity_view(config: ExperimentConfig, card: DatasetCard, views: Views) -> None:
    """Raise RequestError where a propensity judges pairs that were never logged by a column that only rows have."""
    names = sorted(column.name for column in card.row_columns if column.name in views.propensity)
    if names and config.propensity.target.scores_unlogged_pairs:
        raise RequestError(
            f"{config.run.choice('propensity')}: judges pairs that were never logged, which have no "
            f"{', '.join(names)}; set propensity=logged (or treatment, for an effect), or leave it out of the graph"
        )


def select_slices(config: ExperimentConfig, prepared: PreparedData) -> dict[str, list[SliceData]]:
    """Return the rows that the run is scored on; raise RequestError where a model reads columns that they lack."""
    selected = prepared.select(config.slice, config.components.task.label_kinds)
    learner, card = config.components.learner, prepared.dataset.card
    view = learner.columns_read(prepared.plan.views) if learner else ()
    names = [column.name for column in card.row_columns if column.name in view]
    for data in (data for yielded in selected.values() for data in yielded):
        if missing := [name for name in names if name not in data.columns]:
            raise RequestError(
                f"{card.name}: is judged on the slice {data.name}, whose pairs were mostly never logged and have no "
                f"{', '.join(missing)}; leave {'it' if len(missing) == 1 else 'them'} out of the graph, or the slice "
                f"out of slice=[..]"
            )
    return selected


def prepare_data(config: ExperimentConfig, plan: RunPlan) -> PreparedData:
    """Load the data, split them, fit the propensity on what is trained on."""
    selection, task, split = config.run.selection, config.components.task, config.components.split
    dataset = config.components.dataset.load(config.run.paths.data)
    splits = split(dataset)
    _require_budget(splits, selection)
    learner = config.components.learner
    folds = learner.folds(config, len(splits.validation)) if learner else Folds(1)
    folds = settle_folds(folds, splits.pool(len(dataset.logged)))
    logged = splits.train if folds.count == 1 else splits.pool(len(dataset.logged))
    view, propensity = feature_matrix(dataset, plan.views.propensity), config.propensity.build()
    rows = _augment(config, logged, dataset, own_propensity=False)
    propensity.fit(rows, view, splits.randomised_sample)
    train = logged.with_propensity(propensity.predict(logged))
    rows = train if rows is logged else rows.with_propensity(propensity.predict(rows))
    rows = _augment(config, rows, dataset, own_propensity=True)
    return PreparedData(
        dataset=dataset,
        splits=splits,
        audit=audit(dataset, splits, split, None if rows is train else rows),
        plan=plan,
        propensity=propensity,
        train=train,
        training_rows=rows,
        validation=_validation_rows(splits, selection, propensity),
        exposure=task.describe_exposure(train, propensity, view),
        features=feature_matrix(dataset, plan.views.outcome),
        folds=folds,
    )


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


def _validation_rows(splits: Splits, selection: Selection, propensity: AbstractPropensity) -> InteractionLog:
    """Return what a fit is judged on: biased rows with their propensities, or randomised ones where that is asked."""
    sample = splits.randomised_sample
    if selection.criterion == "randomised" and sample is not None:
        return sample.with_propensity(np.ones(len(sample), np.float32))
    return splits.validation.with_propensity(propensity.predict(splits.validation))


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
