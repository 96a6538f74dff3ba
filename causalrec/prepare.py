"""What stands before training: the request judged as a whole, the data, their splits and the fitted propensities."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np

from causalrec.checks import check_columns, check_design, check_together
from causalrec.config import Selection, TrainSpec
from causalrec.data.audit import Audit, audit
from causalrec.data.files import require_writable
from causalrec.data.log import CausalDataset, InteractionLog, PairColumn
from causalrec.data.splits import Splits
from causalrec.data.text import check_phrases
from causalrec.errors import RequestError
from causalrec.evaluation.effect_slices import effect_slices
from causalrec.evaluation.exposure import Exposure, arm_exposure, exposure
from causalrec.evaluation.slices import Slice, slices
from causalrec.features.views import FeatureMatrix, FeatureSpec, feature_matrix, views
from causalrec.graph.identify import Adjustment, identify, require_identified
from causalrec.propensity.base import AbstractPropensity, pair_propensity
from causalrec.types import Estimand


@dataclass(frozen=True)
class Plan:
    """What is known before any file is read."""

    adjustment: Adjustment
    features: FeatureSpec


def plan(spec: TrainSpec) -> Plan:
    """Check the request as a whole and identify its estimand; raise RequestError or NotIdentified."""
    dataset, graph = spec.leaves["dataset"].build(), spec.leaves["graph"].build()
    card = dataset.card
    check_together(spec, card, graph.estimand)
    check_phrases(dataset.item_text, [column.name for column in card.columns if column.of == "item"])
    check_phrases(dataset.user_text, [column.name for column in card.columns if column.of == "user"], "user")
    spec.leaves["trainer"].build().check()
    if spec.leaves["propensity"].target.needs_mar and not spec.leaves["split"].build().propensity_sample:
        raise RequestError(
            f"propensity={spec.spine.choices['propensity']}: reads randomised rows set aside for it; set "
            f"split.propensity_sample=0.05 and declare them with selection.randomised_budget"
        )
    use_logged = spec.leaves["propensity"].target.uses_logged
    adjustment = identify(graph, card, use_logged_propensity=use_logged)
    graph.check_modifiers(card)
    features = views(graph, card, adjustment)
    check_design(spec, card, adjustment.training)
    check_columns(spec, card, features)
    if adjustment.estimand == "effect":
        read = features.outcome if spec.trains_network else (*features.modifiers, *features.controls)
        require_identified(graph, card, adjustment.training, frozenset(read))
    require_writable(spec.spine.paths.runs, "paths.runs")
    require_writable(spec.spine.paths.cache, "paths.cache")
    return Plan(adjustment, features)


@dataclass(frozen=True)
class Ready:
    """What stands before training: data, splits, fitted propensities and the numbers of the outcome view. Under
    cross-validation `train` is everything logged and `validation` is not read apart; under `mar_val` it holds the
    randomised sample. `adjusts`: whether treated and untreated rows are alike given the adjustment set.
    """

    dataset: CausalDataset
    splits: Splits
    audit: Audit
    propensity: AbstractPropensity
    train: InteractionLog
    validation: InteractionLog
    exposure: Exposure
    features: FeatureMatrix
    estimand: Estimand = "exposed_mean"
    adjusts: bool = True

    @cached_property
    def slices(self) -> list[Slice]:
        """The test slices of the evaluation."""
        if self.estimand == "effect":
            return effect_slices(self.dataset, self.splits, self.propensity, self.adjusts)
        return slices(self.dataset, self.splits)

    @cached_property
    def chance(self) -> PairColumn:
        """The propensity of any pair, a table of all pairs where they are few."""
        return pair_propensity(self.propensity, self.train)

    @property
    def events(self) -> InteractionLog | None:
        """What histories may read: the training rows and the split's context, where the view has users."""
        if "user" not in self.features.ids:
            return None
        bare = replace(self.train, propensity=None)
        return bare if self.splits.context is None else bare.joined(replace(self.splits.context, propensity=None))


_LAST: dict[str, Ready] = {}  # the jobs of a study mostly differ in what comes after: keep the last one


def ready_for(spec: TrainSpec, planned: Plan) -> Ready:
    parts = [spec.leaves[name].resolved() for name in ("dataset", "split", "propensity")]
    selection = spec.spine.selection
    key = repr([parts, planned.features, planned.adjustment, spec.spine.paths.data, selection])
    if key not in _LAST:
        made = _prepare(spec, planned)
        _LAST.clear()
        _LAST[key] = made
    return _LAST[key]


def _prepare(spec: TrainSpec, planned: Plan) -> Ready:
    dataset: CausalDataset = spec.leaves["dataset"].build().load(spec.spine.paths.data)
    splitter = spec.leaves["split"].build()
    splits: Splits = splitter(dataset)
    propensity: AbstractPropensity = spec.leaves["propensity"].build()
    selection = spec.spine.selection
    _require_budget(splits, selection)
    known = splits.train if selection.folds == 1 else splits.pooled(len(dataset.logged))
    view = feature_matrix(dataset, planned.features.propensity)
    propensity.fit(known, view, splits.mar)
    known = known.with_propensity(propensity.predict(known))
    validation = splits.validation.with_propensity(propensity.predict(splits.validation))
    if selection.criterion == "mar_val" and splits.mar is not None:
        validation = splits.mar.with_propensity(np.ones(len(splits.mar), np.float32))
    return Ready(
        dataset,
        splits,
        audit(dataset, splits, splitter),
        propensity,
        known,
        validation,
        arm_exposure(known, view) if planned.adjustment.estimand == "effect" else exposure(known, propensity, view),
        feature_matrix(dataset, planned.features.outcome),
        planned.adjustment.estimand,
        planned.adjustment.training.adjusts,
    )


def _require_budget(splits: Splits, selection: Selection) -> None:
    """Refuse randomised rows outside the test that the request does not own up to, and a selection without them."""
    used = 0 if splits.mar is None else len(splits.mar)
    if used > selection.randomised_budget:
        raise RequestError(
            f"split.propensity_sample: takes {used} randomised rows out of the test for propensities or selection; "
            f"declare them with selection.randomised_budget={used} (recorded: other rows of a table may not have them)"
        )
    if selection.criterion == "mar_val" and (used == 0 or selection.folds > 1):
        raise RequestError(
            "selection.criterion='mar_val': reads the randomised sample of split.propensity_sample (a share above 0), "
            "with selection.folds=1"
        )
