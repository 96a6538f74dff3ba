"""A trained network under its objective, as something that predicts."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from torch import Tensor

from causalrec.estimators.objective.base import AbstractObjective
from causalrec.evaluation.evaluator import Evaluator, Score
from causalrec.evaluation.slice.base import SliceData
from causalrec.features.views import FeatureMatrix
from causalrec.learners.predictor import AbstractPredictor, Sizes
from causalrec.models import CausalModel
from causalrec.types import Floats, Outputs


class NetworkPredictor(AbstractPredictor):
    """A trained network under its objective; the same rows are predicted once."""

    def __init__(self, model: CausalModel, features: FeatureMatrix, objective: AbstractObjective) -> None:
        self.model, self.features, self.objective = model, features, objective
        self.only_ranks = not objective.required_head_outputs
        self._predicted: dict[str, Floats] = {}

    def __call__(self, rows: SliceData) -> Floats:
        key = rows.rows_key
        if key not in self._predicted:
            self._predicted[key] = self._predict(rows)
        return self._predicted[key]

    def averages(self, rows: SliceData, evaluator: Evaluator, name: str) -> Iterable[Score]:
        outcomes = self.potential_outcomes(rows) if rows.kind == "uplift" and not rows.lacks_arm else None
        if outcomes is not None:
            yield evaluator.average_effect(rows, outcomes, name)

    def potential_outcomes(self, rows: SliceData) -> Floats | None:
        return self._predict(rows, self.objective.potential_outcomes) if self.objective.required_head_outputs else None

    @property
    def sizes(self) -> Sizes:
        by_role = {str(role): self.model.sizes(role) for role in self.objective.roles}
        kinds = ("parameters", "trainable", "language_model")
        return {kind: {role: sizes[kind] for role, sizes in by_role.items()} for kind in kinds}

    def _predict(self, rows: SliceData, read: Callable[[Outputs], Tensor] | None = None) -> Floats:
        row = self.features.row_block(rows)
        return self.model.predict(rows.user, rows.item, self.features, self.objective, rows.time, read, row)
