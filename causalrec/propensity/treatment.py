"""Logistic regression of the treatment received on the adjustment set."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Annotated, ClassVar

import numpy as np
from pydantic import Field

from causalrec.data.log import InteractionLog
from causalrec.errors import DataError
from causalrec.features.design_matrix import design_matrix
from causalrec.features.views import FeatureMatrix
from causalrec.propensity.base import AbstractPropensity, check_propensity
from causalrec.solvers.fit_report import FitReport
from causalrec.solvers.multinomial import MultinomialModel, fit_multinomial
from causalrec.types import Floats, PropensityKind


@dataclass(kw_only=True)
class Treatment(AbstractPropensity):
    """`P(T = a | x)` proportional to `exp(intercept_a + coefficients_a . view(x))`, over the logged rows of all arms;
    without a column, the arms' shares. `l2`: ridge penalty on standardised columns.

    Assumption: treatment is logistic in the adjustment set. Source: Imbens (Biometrika 2000), generalised propensity.
    """

    scores_unlogged_pairs: ClassVar[bool] = False
    kind: ClassVar[PropensityKind] = "treatment"
    l2: Annotated[float, Field(gt=0)] = 1.0
    _features: FeatureMatrix = field(init=False, repr=False)
    _model: MultinomialModel | None = field(init=False, repr=False, default=None)
    _shares: Floats = field(init=False, repr=False)

    def fit(
        self, log: InteractionLog, features: FeatureMatrix, randomised_sample: InteractionLog | None = None
    ) -> None:
        counts = np.bincount(log.treatment)
        if len(counts) < 2 or not counts.all():
            had = ", ".join(f"{count} of {arm}" for arm, count in enumerate(counts))
            raise DataError(f"{log.name}: an arm has no row (rows by treatment: {had}); no effect can be learnt of it")
        self._features, self._shares = features, (counts / counts.sum()).astype(np.float32)
        if features.names or features.ids:
            self._model = fit_multinomial(design_matrix(log, features), log.treatment, l2=self.l2)

    def predict(self, log: InteractionLog) -> Floats:
        num_treatments = len(self._shares)
        if (log.treatment >= num_treatments).any():
            row = int(np.argmax(log.treatment >= num_treatments))
            raise DataError(
                f"{log.name}: row {row}: treatment {log.treatment[row]} has no training row; drop such rows"
            )
        return check_propensity(
            self.treatment_probabilities(log, num_treatments - 1)[np.arange(len(log)), log.treatment], "treatment"
        )

    def treatment_probabilities(self, log: InteractionLog, arms: int) -> Floats:
        if self._model is None:
            return np.tile(self._shares, (len(log), 1))
        return self._model.predict(design_matrix(log, self._features)).astype(np.float32)

    @property
    def report(self) -> FitReport | None:
        return None if self._model is None else FitReport(convergence=self._model.convergence, l2=self.l2)

    def columns_read(self, view: tuple[str, ...]) -> tuple[str, ...]:
        return view
