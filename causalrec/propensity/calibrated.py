"""A propensity model whose probabilities are calibrated on exposure it was not fitted on."""

from __future__ import annotations

from copy import deepcopy
from dataclasses import dataclass, field
from typing import Annotated

import numpy as np
from pydantic import Field

from causalrec.data.log import InteractionLog
from causalrec.data.sampler.rows import pairs_log, require_unexposed, uniform_pairs
from causalrec.errors import DataError, RequestError
from causalrec.features.views import FeatureMatrix
from causalrec.propensity.base import AbstractPropensity, check_propensity
from causalrec.solvers.calibration import METHODS, Calibrator, Method
from causalrec.solvers.fit_report import FitReport
from causalrec.types import Count, Doubles, Floats


@dataclass(kw_only=True)
class Calibrated(AbstractPropensity):
    """`p(u, i) = calibrator(base(u, i))`, float32[N], the calibrator fitted on predictions for held-out exposures.

    The log's rows, and a uniform sample of unexposed pairs, are cut into folds; the base is fitted without a fold's
    rows, whose exposure it then predicts, scaled to the mean that it has with all rows. The base that predicts is
    fitted on all rows.

    Attributes:
        base: the propensity that is calibrated.
        method: `platt` fits `sigmoid(a logit(p) + b)`, `temperature` the same with b = 0, `isotonic` a monotone step
            function.
        folds: number of folds.
        max_pairs: most unexposed pairs that are sampled.
        seed: draws the folds.

    Assumption: the base orders pairs rightly. Source: Platt (1999); Zadrozny & Elkan (KDD 2002); Guo et al. (ICML
    2017). Raises RequestError on a base that cannot tell unlogged pairs apart, DataError on a userless log or one with
    fewer rows than folds.
    """

    base: AbstractPropensity
    method: Method
    folds: Annotated[int, Field(ge=2)] = 5
    max_pairs: Count = 400_000
    seed: Annotated[int, Field(ge=0)] = 0
    _calibrator: Calibrator = field(init=False, repr=False)

    def fit(
        self, log: InteractionLog, features: FeatureMatrix, randomised_sample: InteractionLog | None = None
    ) -> None:
        name = type(self.base).__name__
        if not self.base.scores_unlogged_pairs:
            raise RequestError(f"propensity.base={name}: cannot tell unlogged pairs apart; choose another base")
        if log.user is None:
            raise DataError("propensity=calibrated: the log has no users; choose propensity=logged or popularity")
        if len(log) < self.folds:
            raise DataError(
                f"propensity=calibrated: {len(log)} rows for {self.folds} folds; set propensity.folds lower"
            )
        self.base.fit(log, features, randomised_sample)
        self._calibrator = METHODS[self.method](*self._out_of_fold(log, features, randomised_sample))

    def predict(self, log: InteractionLog) -> Floats:
        probability = self._calibrator(self.base.predict(log).astype(np.float64)).astype(np.float32)
        return check_propensity(np.minimum(probability, np.float32(1)), "calibrated")

    @property
    def report(self) -> FitReport | None:
        return self.base.report

    def columns_read(self, view: tuple[str, ...]) -> tuple[str, ...]:
        return self.base.columns_read(view)

    def _out_of_fold(
        self, log: InteractionLog, features: FeatureMatrix, randomised_sample: InteractionLog | None
    ) -> tuple[Doubles, Doubles, Doubles]:
        """Return what bases predict of exposures they were not fitted on, what happened, and each pair's weight."""
        require_unexposed(log)
        unexposed_codes, weight = uniform_pairs(log, self.max_pairs)
        unexposed = pairs_log(unexposed_codes // log.num_items, unexposed_codes % log.num_items, log)
        rng = np.random.default_rng(self.seed)
        row_fold, pair_fold = (rng.permutation(n) % self.folds for n in (len(log), len(unexposed_codes)))
        predicted, exposed_by_fold = [], []
        for fold in range(self.folds):
            base = deepcopy(self.base)
            base.fit(log.take(row_fold != fold), features, randomised_sample)
            rows, pairs = log.take(row_fold == fold), unexposed.take(pair_fold == fold)
            pair_predictions = base.predict(pairs).astype(np.float64)
            scale = (
                self.base.predict(pairs).mean(dtype=np.float64) / pair_predictions.mean()
            )  # it saw fewer rows than the whole base
            predicted.append(scale * np.concatenate([base.predict(rows), pair_predictions]))
            exposed_by_fold.append(np.repeat([1.0, 0.0], [len(rows), len(pairs)]))
        exposed = np.concatenate(exposed_by_fold)
        return np.minimum(np.concatenate(predicted), 1.0), exposed, np.where(exposed > 0, 1.0, weight)
