"""Logistic matrix factorisation of exposure."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Annotated

import numpy as np
from pydantic import Field
from scipy import sparse
from scipy.special import expit

from causalrec.data.log import InteractionLog
from causalrec.data.sampler.rows import unexposed_pairs
from causalrec.errors import DataError
from causalrec.features.views import FeatureMatrix
from causalrec.propensity.base import AbstractPropensity, check_propensity
from causalrec.solvers.convergence import Convergence
from causalrec.solvers.fit_report import FitReport
from causalrec.solvers.quasi_newton import minimise
from causalrec.types import Count, Doubles, Floats, Ints, Steps

TOLERANCE = 1e-3  # of the gradient, relative to an id's rows and its penalty: the loss is not convex


@dataclass(kw_only=True)
class MFPropensity(AbstractPropensity):
    """`logit p(u, i) = mean + b_u + b_i + P_u . Q_i`, maximum likelihood with a ridge penalty on all but the mean.

    Fitted by L-BFGS on all pairs up to `max_pairs`; in a larger population the exposed rows meet a sample of the
    others, half of it drawn by the margins of users and items, each weighted to stand for all.

    Attributes:
        width: the rank D.
        l2: the penalty is `l2 / 2` times the squares.
        max_pairs: most pairs without exposure in the fit.
        max_rows: a log of more rows is refused: one of 50,000 took 459 steps, one of a million had not ended after 500.
        iterations: most steps of the search.
        seed: draws the start.

    Assumption: exposure is logistic with rank D in user and item, whatever the columns of the adjustment set; what the
    ids tell must cover them. Source: Johnson, Logistic matrix factorization for implicit feedback (NIPS workshop 2014),
    with counts as weights left out. Raises DataError on a userless or larger log.
    """

    width: Count = 4
    l2: Annotated[float, Field(gt=0)] = 5.0
    max_pairs: Count = 1_000_000
    max_rows: Count = 100_000
    iterations: Steps = 500
    seed: Annotated[int, Field(ge=0)] = 0
    _user: Doubles = field(init=False, repr=False)
    _item: Doubles = field(init=False, repr=False)
    _mean: float = field(init=False, repr=False)
    _convergence: Convergence = field(init=False, repr=False)

    def fit(
        self, log: InteractionLog, features: FeatureMatrix, randomised_sample: InteractionLog | None = None
    ) -> None:
        if log.user is None:
            raise DataError("propensity=mf: the log has no users; choose propensity=logged or popularity")
        if len(log) > self.max_rows:
            raise DataError(
                f"propensity=mf: {len(log)} rows are more than propensity.max_rows={self.max_rows}; raise it and wait "
                f"(a minute for 50,000 rows), or choose propensity=logistic"
            )
        unexposed_codes, weight = unexposed_pairs(log, self.max_pairs)
        rows = _Exposure(
            np.concatenate([log.user, unexposed_codes // log.num_items]),
            np.concatenate([log.item, unexposed_codes % log.num_items]),
            np.repeat([1.0, 0.0], [len(log), len(unexposed_codes)]),
            np.concatenate([np.ones(len(log)), weight]),
            (log.num_users, log.num_items),
        )
        rate = len(log) / (len(log) + weight.sum())
        start = np.random.default_rng(self.seed).normal(scale=0.1, size=(log.num_users + log.num_items, self.width + 1))
        start[:, 0] = 0
        flat = np.append(start.ravel(), np.log(rate / (1 - rate)) if rate < 1 else 10.0)
        counts = np.concatenate(
            [np.bincount(log.user, minlength=log.num_users), np.bincount(log.item, minlength=log.num_items)]
        )
        scale = np.append(np.repeat(counts + self.l2, self.width + 1), float(len(log)))
        solution, self._convergence = minimise(
            lambda point: rows.loss(point, self.width, self.l2),
            flat,
            scale,
            max_steps=self.iterations,
            tolerance=TOLERANCE,
        )
        self._user, self._item, self._mean = _unpack(solution, log.num_users, self.width)

    @property
    def report(self) -> FitReport:
        return FitReport(convergence=self._convergence, l2=self.l2)

    def predict(self, log: InteractionLog) -> Floats:
        if log.user is None:
            raise DataError("propensity=mf: the log has no users; choose propensity=logged or popularity")
        logit = _logit(self._user, self._item, self._mean, log.user, log.item)
        return check_propensity(expit(logit).astype(np.float32), "mf")

    def columns_read(self, view: tuple[str, ...]) -> tuple[str, ...]:
        return ("item", "user")


@dataclass(frozen=True)
class _Exposure:
    """Pairs with `exposed[R]` in {0, 1} and how many pairs each stands for."""

    user: Ints
    item: Ints
    exposed: Doubles
    weight: Doubles
    shape: tuple[int, int]

    def loss(self, flat: Doubles, width: int, l2: float) -> tuple[float, Doubles]:
        """Return the penalised negative log-likelihood and its gradient."""
        users, items, mean = _unpack(flat, self.shape[0], width)
        logit = _logit(users, items, mean, self.user, self.item)
        value = self.weight @ (np.logaddexp(0, logit) - self.exposed * logit) + l2 / 2 * (flat[:-1] @ flat[:-1])
        residual = self.weight * (expit(logit) - self.exposed)
        residual_matrix = sparse.csr_matrix((residual, (self.user, self.item)), shape=self.shape)
        one_user, one_item = np.ones((self.shape[0], 1)), np.ones((self.shape[1], 1))
        by_user = residual_matrix @ np.hstack([one_item, items[:, 1:]])
        by_item = residual_matrix.T @ np.hstack([one_user, users[:, 1:]])
        slope = np.append(np.vstack([by_user, by_item]).ravel(), 0.0)
        slope[:-1] += l2 * flat[:-1]
        slope[-1] = residual.sum()
        return float(value), slope


def _unpack(flat: Doubles, users: int, width: int) -> tuple[Doubles, Doubles, float]:
    factors = flat[:-1].reshape(-1, width + 1)
    return factors[:users], factors[users:], float(flat[-1])


def _logit(users: Doubles, items: Doubles, mean: float, user: Ints, item: Ints) -> Doubles:
    product = np.einsum("rd,rd->r", users[user, 1:], items[item, 1:])
    logit: Doubles = mean + users[user, 0] + items[item, 0] + product
    return logit
