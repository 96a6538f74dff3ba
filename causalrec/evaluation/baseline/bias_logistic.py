"""User and item biases alone: logistic regression (ridge for ratings) with L2 chosen by cross-validation."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Annotated

import numpy as np
from pydantic import Field
from scipy import sparse

from causalrec.data.log import InteractionLog
from causalrec.evaluation.baseline.base import AbstractBaseline
from causalrec.features.design_matrix import one_hot
from causalrec.solvers.convergence import Convergence
from causalrec.solvers.linear_model import LinearModel, PenaltyChoice, choose_penalty, fit_linear_model
from causalrec.types import Floats, Ints

Penalty = Annotated[float, Field(gt=0)]


@dataclass(kw_only=True)
class BiasLogistic(AbstractBaseline):
    """`raw(u, i) = b + b_u + b_i` with one L2 penalty, chosen among `l2` by `folds`-fold loss on biased training rows.

    It reads nothing but who and what, and is far stronger than many published naive rows. Fitted to convergence: for
    every user and item `sum of predictions - sum of outcomes = -l2 b` to 1e-4 of the outcomes' sum.

    Attributes:
        l2: penalties to try; the squared biases are weighed against the rows' losses, so that larger logs take larger
            ones.
        folds: of the cross-validation; fewer where there are fewer rows.
    """

    l2: tuple[Penalty, ...] = (0.1, 0.3, 1.0, 3.0, 10.0, 30.0, 100.0, 300.0)
    folds: Annotated[int, Field(ge=2)] = 3
    _model: LinearModel = field(init=False, repr=False)
    _choice: PenaltyChoice = field(init=False, repr=False)
    _sizes: tuple[int, int] = field(init=False, repr=False, default=(0, 0))

    def fit(self, log: InteractionLog, context: InteractionLog | None = None) -> None:
        self._sizes = (log.num_users if log.user is not None else 0, log.num_items)
        design, outcome = self._design(log.users, log.item), log.outcome.astype(np.float64)
        weight = np.ones(len(log))
        is_binary = bool(np.isin(outcome, (0.0, 1.0)).all())
        fold = np.random.default_rng(0).permutation(len(log)) % min(self.folds, len(log))
        self._choice = choose_penalty(
            design, outcome, weight, fold=fold, grid=self.l2, link="logit" if is_binary else "identity"
        )
        self._model = fit_linear_model(design, outcome, weight, l2=self._choice.l2, link=self._choice.link)

    def predict(self, user: Ints, item: Ints, time: Ints | None = None) -> Floats:
        return self._model.predict(self._design(user, item)).astype(np.float32)

    def predict_catalogue(self, users: Ints, num_items: int) -> Floats | None:
        """Return predictions of all items for users, float32[B,I], from the sums of their biases."""
        of_users, of_items = np.split(self._model.coefficients, [self._sizes[0]])
        user = of_users[users] if len(of_users) else np.zeros(len(users))
        raw: Floats = np.add.outer((user + self._model.intercept).astype(np.float32), of_items.astype(np.float32))
        if self._model.link == "logit":
            import torch  # five times as fast as SciPy; a request is judged without it

            torch.from_numpy(raw).sigmoid_()
        return raw

    @property
    def fits(self) -> tuple[Convergence, ...]:
        return (*self._choice.fits, self._model.convergence)

    def _design(self, user: Ints, item: Ints) -> sparse.csr_matrix:
        blocks = [one_hot(user, self._sizes[0])] if self._sizes[0] else []
        return sparse.csr_matrix(sparse.hstack([*blocks, one_hot(item, self._sizes[1])]))
