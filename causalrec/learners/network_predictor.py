"""A trained network under its objective, as something that predicts."""

from __future__ import annotations

from collections.abc import Callable

from torch import Tensor

from causalrec.estimators.objective.base import AbstractObjective
from causalrec.evaluation.catalogue_predictions import CatalogueScorer, pair_scorer
from causalrec.evaluation.slice.base import SliceData
from causalrec.evaluation.slice.catalogue import CatalogueData
from causalrec.features.views import FeatureMatrix
from causalrec.learners.catalogue_scorer import tower_scorer
from causalrec.learners.predictor import AbstractPredictor, Sizes
from causalrec.models import CausalModel
from causalrec.types import Floats, Outputs


class NetworkPredictor(AbstractPredictor):
    """A trained network under its objective; the same rows are predicted once.

    Args:
        model: that is trained.
        features: that it reads.
        objective: that it was trained by.
        warnings: of its fit.
    """

    def __init__(
        self,
        model: CausalModel,
        features: FeatureMatrix,
        objective: AbstractObjective,
        warnings: tuple[str, ...] = (),
    ) -> None:
        self.model, self.features, self.objective, self.fit_warnings = model, features, objective, warnings
        self.only_ranks = not objective.required_head_outputs
        self._predicted: dict[str, Floats] = {}

    def __call__(self, rows: SliceData) -> Floats:
        key = rows.rows_key
        if key not in self._predicted:
            self._predicted[key] = self._predict(rows)
        return self._predicted[key]

    def potential_outcomes(self, rows: SliceData) -> Floats | None:
        return self._predict(rows, self.objective.potential_outcomes) if self.objective.required_head_outputs else None

    def catalogue_scorer(self, data: CatalogueData, pairs_at_once: int) -> CatalogueScorer:
        """Return what predicts all items of users: by products of towers, where the head is one."""
        towers = tower_scorer(self.model, self.features, self.objective, data)
        return pair_scorer(self._predict, data, pairs_at_once) if towers is None else towers

    @property
    def warnings(self) -> tuple[str, ...]:
        return self.fit_warnings

    @property
    def sizes(self) -> Sizes:
        by_role = {str(role): self.model.sizes(role) for role in self.objective.roles}
        kinds = ("parameters", "trainable", "language_model")
        return {kind: {role: sizes[kind] for role, sizes in by_role.items()} for kind in kinds}

    def _predict(self, rows: SliceData, read: Callable[[Outputs], Tensor] | None = None) -> Floats:
        row = self.features.row_block(rows)
        return self.model.predict(rows.user, rows.item, self.features, self.objective, rows.time, read, row)
