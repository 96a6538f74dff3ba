"""The numbers that a learner from a table reads of rows."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Self

import numpy as np
import polars as pl

from causalrec.config.component import ComponentConfig
from causalrec.config.schema import ExperimentConfig
from causalrec.data.assignment_unit import FOLDED_UNITS, fewest_units
from causalrec.data.clusters import ROW, cluster_ids
from causalrec.data.dataset import CausalDataset
from causalrec.data.log import InteractionLog
from causalrec.encoders.representation import FrozenTextEncoder, represent_columns
from causalrec.errors import RequestError, did_you_mean
from causalrec.estimators.effect.base import LearnerData
from causalrec.features.feature_matrix import require_dense_memory
from causalrec.features.logged_log_odds import add_log_odds
from causalrec.features.row_columns import RowsWithColumns
from causalrec.features.views import FeatureMatrix, extend_features, feature_matrix
from causalrec.prepared import PreparedData
from causalrec.types import Doubles, Entity, Ints

DENSE_COPIES = 4  # in float32 and in float64, those joined, and what a fit makes of them
READER_KEYS = ("pooling", "max_tokens", "layers", "precision")  # of an encoder that reads text


@dataclass(frozen=True)
class TableColumns:
    """The columns a learner reads: X and W of (user, item) pairs, and its instruments or mediator, float64.

    Attributes:
        modifiers: X.
        controls: W.
        instruments_or_mediator: Z, or the mediator; no column where the effect is adjusted for.
        dataset: of the rows, whose columns may name clusters.
        cluster_axes: along which rows depend; `("row",)` where each is by itself.
        uses_logged: whether the propensities that the rows log are those of the arms; else they are fitted.
    """

    modifiers: FeatureMatrix
    controls: FeatureMatrix
    instruments_or_mediator: FeatureMatrix
    dataset: CausalDataset
    cluster_axes: tuple[str, ...]
    uses_logged: bool = False

    @classmethod
    def from_views(cls, config: ExperimentConfig, prepared: PreparedData) -> TableColumns:
        """Expand the graph's modifiers and controls, texts and vectors as components."""
        views, dataset = prepared.plan.views, prepared.dataset
        names, components = sorted({*views.modifiers, *views.controls}), config.run.representation.components
        numbers = represent_columns(dataset, names, frozen_text_encoder(config), components, log_to_fit(prepared))
        columns = (views.modifiers, views.controls, (*views.instruments, *views.mediators))
        modifiers, controls, identifying = (feature_matrix(dataset, view, numbers) for view in columns)
        learner = config.components.learner
        if prepared.propensity.uses_logged and learner is not None and not learner.varies_by_controls:
            controls = add_log_odds(controls, prepared.train)
        return cls(modifiers, controls, identifying, dataset, prepared.cluster_axes, prepared.propensity.uses_logged)

    def extend(self, modifiers: tuple[str, ...], controls: tuple[str, ...], new: Mapping[Entity, pl.DataFrame]) -> Self:
        """Return the columns for further users and items too, whose tables are `new`; no text or vector is among them.

        Args:
            modifiers: names of the columns that X is made of.
            controls: of those that W is made of.
            new: by side, a table of these columns.
        """
        return replace(
            self,
            modifiers=extend_features(self.modifiers, self.dataset, modifiers, new),
            controls=extend_features(self.controls, self.dataset, controls, new),
        )

    def require_memory(self, rows: int, reader: str) -> None:
        """Raise DataError, with the arithmetic, where the columns of so many rows do not fit; `reader`: the learner."""
        for columns in (self.modifiers, self.controls, self.instruments_or_mediator):
            require_dense_memory(columns, rows, 8 * DENSE_COPIES, reader)

    def read(self, user: Ints, item: Ints, rows: RowsWithColumns) -> tuple[Doubles, Doubles]:
        """Return X float64[N,Dx] and W float64[N,Dw] of these pairs, and of the columns of these rows."""
        numbers = [of(user, item, of.row_block(rows)).astype(np.float64) for of in (self.modifiers, self.controls)]
        return numbers[0], numbers[1]

    def rows(self, log: InteractionLog, arms: int, binary: bool) -> LearnerData:
        """Return logged rows as a learner reads them."""
        repeated = log.user is not None and len(np.unique(log.user)) < len(log)
        by_unit = log.unit is not None and fewest_units(log) >= FOLDED_UNITS
        axes = () if self.cluster_axes == (ROW,) else self.cluster_axes
        identifying_columns = self.instruments_or_mediator.of_log(log).astype(np.float64)
        return LearnerData(
            *self.read(log.users, log.item, log),
            treatment=log.treatment,
            outcome=log.outcome.astype(np.float64),
            arms=arms,
            binary=binary,
            groups=log.unit if by_unit else log.user if repeated else None,
            clusters=tuple(cluster_ids(self.dataset, log, axis) for axis in axes),
            probabilities=self._logged_probabilities(log),
            modifier_names=self.modifiers.names,
            control_names=self.controls.names,
            instruments_or_mediator=identifying_columns if self.instruments_or_mediator.names else None,
        )

    def _logged_probabilities(self, log: InteractionLog) -> Doubles | None:
        if not self.uses_logged or log.arm_probabilities is None:
            return None
        return log.arm_probabilities.astype(np.float64)


def numeric_column(dataset: CausalDataset, name: str, log: InteractionLog) -> Doubles:
    """Return one numeric column of logged rows, float64[N]; RequestError where it is none."""
    numeric_names = {column.name for column in dataset.card.columns if column.kind == "numeric"}
    if name not in numeric_names:
        raise RequestError(f"{name}: no numeric column of {dataset.card.name}; {did_you_mean(name, numeric_names)}")
    return feature_matrix(dataset, (name,)).of_log(log)[:, 0].astype(np.float64)


def log_to_fit(prepared: PreparedData) -> InteractionLog:
    """Return the rows that a learner from a table is fitted on: it chooses nothing by the validation rows."""
    return prepared.train.concatenate(prepared.validation)


def frozen_text_encoder(config: ExperimentConfig) -> FrozenTextEncoder | None:
    """Return how the chosen encoder reads texts, None where it reads none."""
    encoder, paths = config.encoder, config.run.paths
    if not encoder.target.reads_text:
        return None
    model = encoder.arguments["model"]
    settings = {key: encoder.setting(key) for key in READER_KEYS}
    source = model.build() if isinstance(model, ComponentConfig) else model
    return FrozenTextEncoder(source, **settings, data=paths.data, cache=paths.cache)  # type: ignore[arg-type]
