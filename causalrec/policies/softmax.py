"""Actions with probabilities that rise with their scores."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated

import numpy as np
from pydantic import Field

from causalrec.data.card import DatasetCard
from causalrec.data.contexts import ActionDistribution
from causalrec.policies.base import AbstractPolicy, PolicySource
from causalrec.policies.scores.base import AbstractScores, distribution_by
from causalrec.types import Doubles


@dataclass(frozen=True, kw_only=True)
class Softmax(AbstractPolicy):
    """`pi(a | x) = exp(s(x, a) / T) / sum_b exp(s(x, b) / T)`, s the scores and T the temperature, in their unit.

    Towards T = 0 it takes the best action, ties evenly; towards infinity it is uniform. Scores that are probabilities
    differ by little: T is then well below 1. Default: T = 1, the unscaled softmax (Saito et al., Open Bandit Pipeline,
    NeurIPS D&B 2021, `beta` = 1 / T).

    Attributes:
        scores: what actions are ordered by.
        temperature: T.
    """

    scores: AbstractScores
    temperature: Annotated[float, Field(gt=0)] = 1.0

    def check(self, card: DatasetCard) -> None:
        self.scores.check(card)

    def bind(self, source: PolicySource) -> ActionDistribution:
        return distribution_by([self.scores.bind(source)], source, self._choose, self.scores.by_user)

    def _choose(self, scores: Sequence[Doubles]) -> Doubles:
        return tempered_softmax(scores[0], self.temperature)


def tempered_softmax(scores: Doubles, temperature: float) -> Doubles:
    """Return `exp(s / T)` over its sum, float64[B,A] of float64[B,A], at any temperature above 0.

    >>> tempered_softmax(np.log([[1.0, 3.0]]), 1.0).round(3).tolist()
    [[0.25, 0.75]]
    """
    with np.errstate(over="ignore", under="ignore"):  # far below the best: exp(-inf) = 0
        share = np.exp((scores - scores.max(1, keepdims=True)) / temperature)
    probability: Doubles = share / share.sum(1, keepdims=True)
    return probability
