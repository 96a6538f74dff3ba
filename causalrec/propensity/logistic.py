"""Logistic regression of exposure on the adjustment set."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Annotated

import numpy as np
from pydantic import Field

from causalrec.data.log import InteractionLog
from causalrec.data.sampler.rows import pairs_log, unexposed_pairs
from causalrec.errors import DataError
from causalrec.features.design_matrix import design_matrix
from causalrec.features.views import FeatureMatrix
from causalrec.propensity.base import AbstractPropensity, check_propensity
from causalrec.propensity.held_out_slopes import held_out_slopes, log_spread
from causalrec.solvers.fit_report import FitReport
from causalrec.solvers.linear_model import LinearModel, choose_penalty, fit_linear_model
from causalrec.types import Count, Doubles, Floats

HELD_OUT = 5  # every fifth pair is held out
Penalty = Annotated[float, Field(gt=0)]


@dataclass(kw_only=True)
class Logistic(AbstractPropensity):
    """`logit p(u, i) = intercept + coefficients . view(u, i)`, fitted on exposed against all other pairs.

    Up to `max_pairs` pairs enter the fit; in a larger population the exposed rows meet a sample of the others, half of
    it drawn by the margins of users and items, each weighted to stand for all. Of several penalties the one that makes
    a held-out fifth of the pairs likeliest is taken. Fitted to convergence: for every id `sum of p - rows = -l2
    coefficient` over the fit's weighted pairs, to 1e-4 of its rows. Tried up to 5 million rows (a minute).

    Attributes:
        l2: ridge penalties to try, on the coefficients of ids and of standardised columns.
        max_pairs: most pairs without exposure that enter the fit; with few of them for each row, ids are fitted to the
            draw, and p sums to more than the rows (by 14 % at two a row, 4 % at ten, in a simulation of additive ids).

    Assumption: exposure is logistic in the columns of the adjustment set. Source: Rosenbaum & Rubin (Biometrika 1983);
    for recommenders Schnabel et al. (ICML 2016, section 5.2). Raises DataError on a userless log, and on one in which
    every pair is exposed.
    """

    l2: tuple[Penalty, ...] = (0.1, 0.3, 1.0, 3.0, 10.0, 30.0, 100.0, 300.0, 1000.0)
    max_pairs: Count = 1_000_000
    _features: FeatureMatrix = field(init=False, repr=False)
    _model: LinearModel | None = field(init=False, repr=False, default=None)
    _rate: float = field(init=False, repr=False, default=1.0)
    _report: FitReport | None = field(init=False, repr=False, default=None)

    def fit(
        self, log: InteractionLog, features: FeatureMatrix, randomised_sample: InteractionLog | None = None
    ) -> None:
        if log.user is None:
            raise DataError("propensity=logistic: the log has no users; choose propensity=logged or popularity")
        self._features = features
        self._rate = len(log) / log.num_pairs
        if not features.names and not features.ids:
            return  # nothing to adjust for: exposure is as random as its rate
        codes, weight = unexposed_pairs(log, self.max_pairs)
        exposed = np.repeat([1.0, 0.0], [len(log), len(codes)])
        weight = np.concatenate([np.ones(len(log)), weight])
        pairs = pairs_log(
            np.concatenate([log.user, codes // log.num_items]), np.concatenate([log.item, codes % log.num_items]), log
        )
        self._fit_pairs(log, pairs, exposed, weight)

    def _fit_pairs(self, log: InteractionLog, pairs: InteractionLog, exposed: Doubles, weight: Doubles) -> None:
        design = design_matrix(pairs, self._features)
        fold = np.where(np.random.default_rng(0).permutation(len(pairs)) % HELD_OUT == 0, 0, -1)
        choice = choose_penalty(design, exposed, weight, fold=fold, grid=self.l2, link="logit")
        self._model = fit_linear_model(design, exposed, weight, l2=choice.l2, link="logit")
        rest = fold < 0
        judged = fit_linear_model(
            design[rest], exposed[rest], weight[rest], l2=choice.l2, link="logit", start=self._model
        )
        held_out = pairs.take(~rest & (exposed > 0))
        slopes = held_out_slopes(held_out, log, lambda rows: judged.predict(design_matrix(rows, self._features)))
        sd, count_sd = log_spread(log, self.predict(log)) if "item" in self._features.ids else (None, None)
        self._report = FitReport(
            convergence=self._model.convergence,
            l2=choice.l2,
            l2_at_edge=choice.at_edge and choice.l2 == min(self.l2),
            slope_users=slopes[0],
            slope_items=slopes[1],
            log_sd=sd,
            log_count_sd=count_sd,
        )

    def predict(self, log: InteractionLog) -> Floats:
        if self._model is None:
            return check_propensity(np.full(len(log), self._rate, np.float32), "logistic")
        probability = self._model.predict(design_matrix(log, self._features))
        return check_propensity(probability.astype(np.float32), "logistic")

    @property
    def report(self) -> FitReport | None:
        return self._report

    def columns_read(self, view: tuple[str, ...]) -> tuple[str, ...]:
        return view
