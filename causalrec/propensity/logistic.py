"""Logistic regression of exposure on the adjustment set."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Annotated, Any

import numpy as np
from pydantic import Field
from sklearn.linear_model import LogisticRegression

from causalrec.data.log import InteractionLog
from causalrec.data.sampler.rows import pairs_log, uniform_pairs
from causalrec.errors import DataError
from causalrec.features.design_matrix import design_matrix
from causalrec.features.views import FeatureMatrix
from causalrec.propensity.base import AbstractPropensity, check_propensity
from causalrec.types import Count, Floats


@dataclass(kw_only=True)
class Logistic(AbstractPropensity):
    """`logit p(u, i) = intercept + coefficients . view(u, i)`, fitted on exposed against all other pairs.

    Up to `max_pairs` pairs enter the fit; in a larger population the exposed rows meet a uniform sample of the others,
    weighted to stand for all. `l2` is the ridge penalty on standardised columns. Assumption: exposure is logistic in
    the columns of the adjustment set. Source: Rosenbaum & Rubin (Biometrika 1983); for recommenders Schnabel et al.
    (ICML 2016, section 5.2).
    """

    l2: Annotated[float, Field(gt=0)] = 1.0
    max_pairs: Count = 400_000
    _features: FeatureMatrix = field(init=False, repr=False)
    _model: Any = field(init=False, repr=False, default=None)
    _rate: float = field(init=False, repr=False, default=1.0)

    def fit(
        self, log: InteractionLog, features: FeatureMatrix, randomised_sample: InteractionLog | None = None
    ) -> None:
        if log.user is None:
            raise DataError("propensity=logistic: the log has no users; choose propensity=logged or popularity")
        self._features = features
        self._rate = len(log) / log.num_pairs
        if not features.names and not features.ids:
            return  # nothing to adjust for: exposure is as random as its rate
        others, weight = uniform_pairs(log, self.max_pairs)
        exposed = np.concatenate([np.ones(len(log)), np.zeros(len(others))])
        importance = np.concatenate([np.ones(len(log)), np.full(len(others), weight)])
        rows = pairs_log(
            np.concatenate([log.user, others // log.num_items]),
            np.concatenate([log.item, others % log.num_items]),
            log,
        )
        model = LogisticRegression(C=1 / self.l2, max_iter=500, tol=1e-6)
        self._model = model.fit(design_matrix(rows, features), exposed, sample_weight=importance)

    def predict(self, log: InteractionLog) -> Floats:
        if self._model is None:
            return check_propensity(np.full(len(log), self._rate, np.float32), "logistic")
        chance = self._model.predict_proba(design_matrix(log, self._features))[:, 1]
        return check_propensity(chance.astype(np.float32), "logistic")

    def reads(self, view: tuple[str, ...]) -> tuple[str, ...]:
        return view
