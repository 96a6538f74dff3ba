"""The logging policy, estimated by how often each action was taken in contexts that are alike."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

import numpy as np
from pydantic import Field

from causalrec.data.card import DatasetCard
from causalrec.data.contexts import ActionDistribution, Contexts
from causalrec.errors import RequestError
from causalrec.policies.base import AbstractPolicy, PolicySource
from causalrec.policies.context_columns import check_context_columns, context_column
from causalrec.types import Doubles, Ints


@dataclass(frozen=True, kw_only=True)
class EstimatedFrequencies(AbstractPolicy):
    """`pi(a | x) = (n(s, a) + prior q(a)) / (n(s) + prior)`, s the levels of the named columns in x.

    n counts training rounds; `q(a) = (n(a) + prior / A) / (n + prior)` are the frequencies over all of them, to which
    those of rare levels shrink, and which levels without a training round have. Assumption: given these columns, and
    these alone, the logging policy drew at random, by probabilities that did not change over the rounds. Source:
    estimated propensities, Hirano, Imbens & Ridder (Econometrica 2003); for bandit logs Hanna et al. (ICML 2019).

    Attributes:
        columns: categories of the context, `position` or `user`; none: the frequencies over all rounds.
        prior: in rounds, how strongly the frequencies of levels shrink to those over all, and these to the uniform.
    """

    columns: tuple[str, ...] = ()
    prior: Annotated[float, Field(gt=0)] = 10.0

    def check(self, card: DatasetCard) -> None:
        check_context_columns(self.columns, card)

    def bind(self, source: PolicySource) -> ActionDistribution:
        contexts, actions = Contexts.of_log(source.train), source.dataset.logged.num_items
        levels = [np.unique(self._categories(contexts, name)) for name in self.columns]
        number, _ = self._strata(contexts, levels)
        strata, stratum = np.unique(number, return_inverse=True)
        counts = np.zeros((len(strata), actions))
        np.add.at(counts, (stratum, source.train.item), 1.0)
        overall = (counts.sum(0) + self.prior / actions) / (counts.sum() + self.prior)
        if not self.columns:
            return lambda contexts: np.broadcast_to(overall, (len(contexts), actions))
        table = (counts + self.prior * overall) / (counts.sum(1, keepdims=True) + self.prior)
        table = np.vstack([table, overall])  # the last row: levels without a training round

        def distribution(contexts: Contexts) -> Doubles:
            number, in_levels = self._strata(contexts, levels)
            row = np.minimum(np.searchsorted(strata, number), max(len(strata) - 1, 0))
            seen = in_levels & (strata[row] == number) if len(strata) else np.zeros(len(contexts), bool)
            return table[np.where(seen, row, len(strata))]

        return distribution

    def _strata(self, contexts: Contexts, levels: list[np.ndarray]) -> tuple[Ints, np.ndarray]:
        """Return a number for each combination of levels, int64[B], and whether all of them are among the levels."""
        number, seen = np.zeros(len(contexts), np.int64), np.ones(len(contexts), bool)
        for name, of_column in zip(self.columns, levels, strict=True):
            values = self._categories(contexts, name)
            code = np.minimum(np.searchsorted(of_column, values), max(len(of_column) - 1, 0))
            seen &= of_column[code] == values if len(of_column) else False
            number = number * max(len(of_column), 1) + code
        return number, seen

    def _categories(self, contexts: Contexts, name: str) -> np.ndarray:
        values = context_column(contexts, name)
        if values.dtype.kind == "f":
            raise RequestError(
                f"columns: {name} is a number, not a category; choose estimated_logistic, which reads it"
            )
        return values
