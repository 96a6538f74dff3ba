"""What stands before a fit: data, splits, fitted propensities, and the columns that the graph has chosen."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from causalrec.config.component import ComponentConfig
from causalrec.data.arm_probabilities import randomised_probabilities
from causalrec.data.audit import Audit
from causalrec.data.clusters import ROW, cluster_ids
from causalrec.data.dataset import CausalDataset
from causalrec.data.log import InteractionLog
from causalrec.data.pair_columns import PairColumn
from causalrec.data.row_levels import row_levels
from causalrec.data.split.splits import Splits
from causalrec.evaluation.propensity_quality import PropensityFit
from causalrec.evaluation.slice.base import AbstractSlice, AnySliceData, select_all
from causalrec.features.views import FeatureMatrix, Views
from causalrec.graph.identify import Adjustment
from causalrec.propensity.arm_propensities import arm_propensities
from causalrec.propensity.base import AbstractPropensity, pair_propensity
from causalrec.training.folds import Folds
from causalrec.types import Floats, Ints, LabelKind

if TYPE_CHECKING:
    from causalrec.estimators.objective.base import AbstractObjective


@dataclass(frozen=True)
class RunPlan:
    """What is known before any file is read.

    Attributes:
        adjustment: the identified estimand.
        views: the columns that each model reads.
    """

    adjustment: Adjustment
    views: Views


@dataclass(frozen=True, kw_only=True)
class PreparedData:
    """What stands before a fit.

    Attributes:
        dataset: as loaded.
        splits: training, validation and test rows.
        audit: what the splits share, and what had to be settled.
        plan: the identified estimand, and the views.
        propensity: fitted on `train`.
        train: logged training rows with their propensities; under cross-validation all logged rows but the test's.
        training_rows: what networks are fitted on, `train` unless it is augmented.
        validation: held-out rows with their propensities, not read apart under cross-validation; where selection reads
            randomised rows, these.
        exposure: how well the propensity describes exposure.
        features: the numbers of the outcome view.
        folds: by which a fit is chosen.
        validation_is_fitted: whether the model is fitted on the validation rows of the splits too.
        cluster_axes: along which rows of an effect depend, `user`, `item` or a column; `("row",)` where each is by
            itself.
        test_axes: the same of the test rows, whose treatment may have been assigned otherwise.
        placebo_data: the data set with texts or vectors of items destroyed, which encoders read; None: none are.
        placebo_propensity: the propensity destroyed, which objectives read; None: it is not.
        cache: folder of texts that a language model has read; None: none may be read by one.
    """

    dataset: CausalDataset
    splits: Splits
    audit: Audit
    plan: RunPlan
    propensity: AbstractPropensity
    train: InteractionLog
    training_rows: InteractionLog
    validation: InteractionLog
    exposure: PropensityFit
    features: FeatureMatrix
    folds: Folds
    validation_is_fitted: bool
    cluster_axes: tuple[str, ...]
    test_axes: tuple[str, ...]
    placebo_data: CausalDataset | None = None
    placebo_propensity: AbstractPropensity | None = None
    cache: Path | None = None
    _selected: dict[str, dict[str, list[AnySliceData]]] = field(default_factory=dict, repr=False)

    def select(
        self, slices: Mapping[str, ComponentConfig[AbstractSlice]], kinds: frozenset[LabelKind]
    ) -> dict[str, list[AnySliceData]]:
        """Return the rows that each slice yields, by its name; the jobs of a study share them.

        `kinds`: of labels that judge what the task asks for.
        """
        key = json.dumps({name: chosen.to_dict() for name, chosen in slices.items()}, default=str)
        if key not in self._selected:
            self._selected[key] = select_all(
                {name: component.build() for name, component in slices.items()}, self, kinds
            )
        return self._selected[key]

    @property
    def encoder_data(self) -> CausalDataset:
        """The data set that encoders read."""
        return self.dataset if self.placebo_data is None else self.placebo_data

    @property
    def objective_propensity(self) -> AbstractPropensity:
        """The propensity that objectives read."""
        return self.propensity if self.placebo_propensity is None else self.placebo_propensity

    @property
    def adjusts(self) -> bool:
        """Whether treated and untreated rows are alike given the adjustment set."""
        return self.plan.adjustment.training.adjusts

    @property
    def clip_scale(self) -> float:
        """What a clip of 1 is as a probability: the log's density, rows over pairs; 1 of effects.

        Of propensities that are no probability of a pair's exposure (examination, relative exposure, of a round) it is
        their mean over the rows.
        """
        if self.train.has_arms:
            return 1.0
        if self.propensity.kind in ("exposure", "logged") and self.train.user is not None and not self.train.of_rounds:
            return len(self.train) / self.train.num_pairs
        assert self.train.propensity is not None
        return float(self.train.propensity.mean(dtype=np.float64))

    def objective_clip(self, objective: AbstractObjective) -> float:
        """Return what an objective's configured clip is as a probability."""
        return objective.clip * (self.clip_scale if objective.clip_unit == "density" else 1.0)

    @cached_property
    def test_probabilities(self) -> Floats:
        """The probability of each arm for the test rows, float32[N,A+1].

        A randomised test has its own: as logged, else the arms' shares in its strata; those fitted on an observational
        log are not its. Raises DataError where a stratum of it lacks an arm.
        """
        rows, arms = self.splits.test, len(self.dataset.card.arms)
        if not self.splits.test_is_randomised:
            return self.propensity.treatment_probabilities(rows, arms)
        return randomised_probabilities(rows, arms, row_levels(self.dataset, rows, self.dataset.card.strata))

    @cached_property
    def test_clusters(self) -> tuple[Ints, ...]:
        """At most two axes along which the test rows depend on each other, int64[N] each; none: each is by itself."""
        return tuple(cluster_ids(self.dataset, self.splits.test, axis) for axis in self.test_axes if axis != ROW)

    @cached_property
    def pair_propensity(self) -> PairColumn:
        """The propensity of any pair, a table of all pairs where they are few."""
        return pair_propensity(self.objective_propensity, self.train)

    def arm_propensities(self, log: InteractionLog) -> Floats:
        """Return the probability of each treatment for each row, float32[N,A+1], of training or validation rows."""
        return arm_propensities(self.objective_propensity, log, len(self.dataset.card.arms))

    @property
    def history_log(self) -> InteractionLog | None:
        """What histories may read: the training rows and the split's context, where the view has users."""
        if "user" not in self.features.ids:
            return None
        bare = replace(self.train, propensity=None, arm_probabilities=None)
        if self.splits.context is None:
            return bare
        return bare.concatenate(replace(self.splits.context, propensity=None, arm_probabilities=None))
