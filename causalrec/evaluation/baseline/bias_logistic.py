"""User and item biases alone: logistic regression (ridge for ratings) with L2 chosen by cross-validation."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Annotated, Any

import numpy as np
from pydantic import Field
from scipy import sparse
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.model_selection import KFold

from causalrec.data.log import InteractionLog
from causalrec.evaluation.baseline.base import AbstractBaseline
from causalrec.features.design_matrix import one_hot
from causalrec.types import Doubles, Floats, Ints


@dataclass(kw_only=True)
class BiasLogistic(AbstractBaseline):
    """`raw(u, i) = b + b_u + b_i` with one L2 penalty, chosen among `l2` by `folds`-fold loss on biased training rows.

    It reads nothing but who and what, and is far stronger than many published naive rows.
    """

    l2: tuple[float, ...] = (0.3, 1.0, 3.0, 10.0)
    folds: Annotated[int, Field(ge=2)] = 3
    _model: Any = field(init=False, repr=False, default=None)
    _sizes: tuple[int, int] = field(init=False, repr=False, default=(0, 0))

    def fit(self, log: InteractionLog, context: InteractionLog | None = None) -> None:
        self._sizes = (log.num_users, log.num_items)
        rows = self._design(log.user if log.user is not None else np.zeros(len(log), np.int64), log.item)
        outcome = log.outcome.astype(np.float64)
        folds = list(KFold(self.folds, shuffle=True, random_state=0).split(outcome))
        losses = [
            sum(self._loss(self._fit_model(l2, rows[a], outcome[a]), rows[b], outcome[b]) for a, b in folds)
            for l2 in self.l2
        ]
        self._model = self._fit_model(self.l2[int(np.argmin(losses))], rows, outcome)

    def predict(self, user: Ints, item: Ints, time: Ints | None = None) -> Floats:
        raw = self._raw(user, item)
        return (1 / (1 + np.exp(-raw)) if self._binary else raw).astype(np.float32)

    @property
    def _binary(self) -> bool:
        return isinstance(self._model, LogisticRegression)

    def _raw(self, user: Ints, item: Ints) -> Doubles:
        weight = np.ravel(self._model.coef_)
        of_user, of_item = weight[: self._sizes[0]], weight[self._sizes[0] :]
        bias = float(np.ravel(self._model.intercept_)[0])
        return np.asarray(bias + of_item[item] + (of_user[user] if self._sizes[0] else 0.0))

    def _design(self, user: Ints, item: Ints) -> sparse.csr_matrix:
        blocks = [one_hot(user, self._sizes[0])] if self._sizes[0] else []
        return sparse.csr_matrix(sparse.hstack([*blocks, one_hot(item, self._sizes[1])]))

    def _fit_model(self, l2: float, rows: sparse.csr_matrix, outcome: Doubles) -> Any:
        if set(np.unique(outcome)) <= {0.0, 1.0} and len(np.unique(outcome)) == 2:
            return LogisticRegression(C=1 / l2, max_iter=200, tol=1e-3).fit(rows, outcome)
        return Ridge(alpha=l2).fit(rows, outcome)

    def _loss(self, model: Any, rows: sparse.csr_matrix, outcome: Doubles) -> float:
        if isinstance(model, LogisticRegression):
            chance = np.clip(model.predict_proba(rows)[:, 1], 1e-7, 1 - 1e-7)
            return float(-(outcome * np.log(chance) + (1 - outcome) * np.log(1 - chance)).sum())
        return float(((model.predict(rows) - outcome) ** 2).sum())
