"""The k best actions, all alike."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from causalrec.data.card import DatasetCard
from causalrec.data.contexts import ActionDistribution
from causalrec.errors import RequestError
from causalrec.policies.base import AbstractPolicy, PolicySource
from causalrec.policies.best_actions import best_shares
from causalrec.policies.scores.base import AbstractScores, distribution_by
from causalrec.types import Count, Doubles


@dataclass(frozen=True, kw_only=True)
class TopK(AbstractPolicy):
    """`pi(a | x) = 1 / k` for the k actions of highest score, 0 for the others: a list of k, of which one is drawn.

    Ties at the k-th score split evenly what is left. It has no mass elsewhere, so its own log can judge no policy that
    has. Raises RequestError where there are fewer actions.

    Attributes:
        scores: what actions are ordered by.
        k: how many are taken.
    """

    scores: AbstractScores
    k: Count = 10

    def check(self, card: DatasetCard) -> None:
        self.scores.check(card)

    def bind(self, source: PolicySource) -> ActionDistribution:
        actions = source.dataset.logged.num_items
        if self.k > actions:
            raise RequestError(f"k={self.k}: {source.dataset.card.name} has {actions} actions; choose at most as many")
        return distribution_by([self.scores.bind(source)], source, self._choose, self.scores.by_user)

    def _choose(self, scores: Sequence[Doubles]) -> Doubles:
        return best_shares(scores[0], self.k)
