"""What the overlap report says once a model is fitted: the errors of an estimate of its loss, and of what it learnt."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from causalrec.evaluation.propensity_quality import MAX_PAIRS, draw_pairs
from causalrec.features.views import feature_matrix
from causalrec.graph.calibration import calibration_error, calibration_error_by_width
from causalrec.graph.overlap import Overlap
from causalrec.graph.overlap_errors import LearnedPropensity, balance_mse, estimate_bias, estimate_variance
from causalrec.learners.predictor import AbstractPredictor
from causalrec.prepared import PreparedData
from causalrec.types import Doubles, Floats


def with_fit(report: Overlap, prepared: PreparedData, predictor: AbstractPredictor | None) -> Overlap:
    """Return the report with the variance and the bias of a doubly robust estimate of the fitted loss, by the fitted
    propensity and by a learnt one; as it is of effects and of logs without users.

    Args:
        report: of the training rows.
        prepared: what stood before the fits.
        predictor: what was learnt; None where the task learns nothing.
    """
    log = prepared.train
    if predictor is None or log.user is None or log.propensity is None or log.has_arms:
        return report
    errors = _EstimateErrors(prepared, predictor)
    variance = errors.variance(log.propensity)
    if not prepared.propensity.scores_unlogged_pairs:
        return replace(report, variance=variance)
    bias = errors.bias(prepared.propensity.predict(errors.pairs))
    return replace(report, variance=variance, bias=bias, learned=errors.learned_errors())


class _EstimateErrors:
    """The misses of imputed errors on logged rows and, where the truth is known, on uniformly drawn pairs."""

    def __init__(self, prepared: PreparedData, predictor: AbstractPredictor) -> None:
        self.prepared, self.predictor, log = prepared, predictor, prepared.train
        self.pairs, self.exposed = draw_pairs(log)
        most = min(len(log), MAX_PAIRS)
        self.rows = np.sort(np.random.default_rng(0).permutation(len(log))[:most])
        self.observed = log.take(self.rows)
        self.misses = predictor.imputation_misses(self.observed)

    def variance(self, propensity: Floats) -> float | None:
        """Return the variance by propensities of all training rows."""
        if self.misses is None:
            return None
        scale = len(self.prepared.train) / max(len(self.rows), 1)
        return scale * estimate_variance(self.misses, propensity[self.rows], self.prepared.train.population)

    def bias(self, propensity: Floats) -> float | None:
        """Return the bias by propensities of the drawn pairs."""
        misses = self._true_misses()
        return None if misses is None else estimate_bias(misses, self.exposed, propensity)

    def _true_misses(self) -> Doubles | None:
        oracle = self.prepared.dataset.oracle
        if oracle is None or self.misses is None:
            return None
        true = oracle.rate(self.pairs.users, self.pairs.item)
        return self.predictor.imputation_misses(replace(self.pairs, outcome=true))

    def learned_errors(self) -> LearnedPropensity | None:
        """Return the errors of a propensity that was learnt beside the outcome."""
        predicted, of_rows = map(self.predictor.learned_propensity, (self.pairs, self.prepared.train))
        if predicted is None or of_rows is None:
            return None
        view = feature_matrix(self.prepared.dataset, self.prepared.plan.views.propensity).of_pairs
        return LearnedPropensity(
            ece=calibration_error(predicted, self.exposed),
            ece_width=calibration_error_by_width(predicted, self.exposed),
            bmse=balance_mse(predicted, self.exposed, view.matrix(self.pairs.users, self.pairs.item)),
            variance=self.variance(of_rows),
            bias=self.bias(predicted),
        )
