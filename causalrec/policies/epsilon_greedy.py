"""The best action, and now and then any."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated

from pydantic import Field

from causalrec.data.card import DatasetCard
from causalrec.data.contexts import ActionDistribution
from causalrec.policies.base import AbstractPolicy, PolicySource
from causalrec.policies.best_actions import best_shares
from causalrec.policies.scores.base import AbstractScores, distribution_by
from causalrec.types import Doubles


@dataclass(frozen=True, kw_only=True)
class EpsilonGreedy(AbstractPolicy):
    """`pi(a | x) = (1 - epsilon) 1{a is best} + epsilon / A`; actions that tie for the best split its share evenly.

    Default: epsilon = .05, the target policy of Saito & Joachims (ICML 2022, section 4.1).

    Attributes:
        scores: what actions are ordered by.
        epsilon: share of rounds in which any action is drawn; 1 is the uniform policy, 0 takes the best alone.
    """

    scores: AbstractScores
    epsilon: Annotated[float, Field(ge=0, le=1)] = 0.05

    def check(self, card: DatasetCard) -> None:
        self.scores.check(card)

    def bind(self, source: PolicySource) -> ActionDistribution:
        return distribution_by([self.scores.bind(source)], source, self._choose, self.scores.by_user)

    def _choose(self, scores: Sequence[Doubles]) -> Doubles:
        mixed: Doubles = (1 - self.epsilon) * best_shares(scores[0], 1) + self.epsilon / scores[0].shape[1]
        return mixed
