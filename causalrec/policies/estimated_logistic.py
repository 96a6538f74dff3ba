"""The logging policy, estimated by a multinomial logistic regression on the context."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated

import numpy as np
from pydantic import Field
from scipy import sparse

from causalrec.data.card import DatasetCard
from causalrec.data.contexts import ActionDistribution, Contexts
from causalrec.data.log import RowValues
from causalrec.errors import DataError, RequestError
from causalrec.policies.base import AbstractPolicy, PolicySource
from causalrec.policies.context_columns import OF_ROUNDS, check_context_columns, context_column
from causalrec.solvers.multinomial import fit_multinomial
from causalrec.types import Doubles

Expand = Callable[[RowValues], sparse.csr_matrix]  # values[B] -> float64[B,K]


@dataclass(frozen=True, kw_only=True)
class EstimatedLogistic(AbstractPolicy):
    """`pi(a | x) = (n p(a | x) + prior / A) / (n + prior)`, `p(a | x)` proportional to `exp(b_a + c_a . x)`.

    p is fitted to the n training rounds. Numbers are standardised; a category has a column for each of its levels, and
    a level without a training round none. The prior keeps an action possible that no training round took. Assumption:
    given the columns, actions were drawn by probabilities that are logistic in them. Source: as of
    `estimated_frequencies`.

    Attributes:
        columns: of the context, `position` or `user`; None: all columns of the rounds, and the position where they
            have one.
        l2: ridge penalty on the coefficients.
        prior: in rounds, spread evenly over all actions.
    """

    columns: tuple[str, ...] | None = None
    l2: Annotated[float, Field(gt=0)] = 1.0
    prior: Annotated[float, Field(gt=0)] = 1.0

    def check(self, card: DatasetCard) -> None:
        check_context_columns(self.columns or (), card)

    def bind(self, source: PolicySource) -> ActionDistribution:
        contexts, name = Contexts.of_log(source.train), source.dataset.card.name
        if not len(contexts):
            raise RequestError(f"{name}: no training rounds to estimate its policy from; split them")
        columns = self._columns(source)
        expand = {column: _expansion(context_column(contexts, column)) for column in columns}
        taken, label = np.unique(source.train.item, return_inverse=True)
        model = fit_multinomial(_design(contexts, expand), label, l2=self.l2)
        if not model.convergence.converged:
            raise DataError(f"{name}: the regression of its policy did not converge; raise l2, or name fewer columns")
        rounds = len(contexts)

        def distribution(contexts: Contexts) -> Doubles:
            probability = np.full((len(contexts), contexts.num_actions), self.prior / contexts.num_actions)
            probability[:, taken] += rounds * model.predict(_design(contexts, expand))
            shares: Doubles = probability / probability.sum(1, keepdims=True)
            return shares

        return distribution

    def _columns(self, source: PolicySource) -> tuple[str, ...]:
        if self.columns is not None:
            return self.columns
        position = () if source.train.position is None else OF_ROUNDS[1:]
        return (*position, *(column.name for column in source.dataset.card.row_columns))


def _design(contexts: Contexts, expand: dict[str, Expand]) -> sparse.csr_matrix:
    blocks = [block(context_column(contexts, name)) for name, block in expand.items()]
    return sparse.csr_matrix(sparse.hstack(blocks) if blocks else (len(contexts), 0))


def _expansion(values: RowValues) -> Expand:
    """Return how a column becomes numbers, by its values in the training rounds."""
    if values.dtype.kind == "f":
        mean, deviation = float(values.mean(dtype=np.float64)), float(values.std(dtype=np.float64)) or 1.0
        return lambda of_rows: sparse.csr_matrix(((of_rows - mean) / deviation)[:, None])
    levels = np.unique(values)

    def one_hot(of_rows: RowValues) -> sparse.csr_matrix:
        code = np.minimum(np.searchsorted(levels, of_rows), len(levels) - 1)
        rows = np.flatnonzero(levels[code] == of_rows)
        shape = (len(of_rows), len(levels))
        return sparse.csr_matrix((np.ones(len(rows)), (rows, code[rows])), shape=shape)

    return one_hot
