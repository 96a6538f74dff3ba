"""The contract of a re-ranker: a user's best items in another order, for an aim beside the score."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass

from causalrec.catalogue.facts import CatalogueFacts
from causalrec.catalogue.lists import Candidates
from causalrec.data.card import DatasetCard
from causalrec.errors import RequestError
from causalrec.types import Count, Ints, Weight

Rerank = Callable[[Candidates, int], Ints]  # candidates, k -> int64[B,k], places among a user's candidates, -1: none


@dataclass(frozen=True, kw_only=True)
class AbstractReranker(ABC):
    """Orders candidates anew by `(1 - weight) * score + weight * aim`. Constructor keywords are its YAML keys; frozen,
    final classes.

    Scores are scaled to 0..1 within a user's candidates, so that a weight means the same whatever a model predicts.
    Raises RequestError where a weight is named twice.

    Attributes:
        weight: of the aim, from 0 (the plain list) to 1 (the aim alone); by default both count alike, as no paper's
            weight holds for other scores than its own.
        curve: further weights at which lists are judged; `recommend` goes by `weight`.
        candidates: how many of a user's best items are looked at.
    """

    weight: Weight = 0.5
    curve: tuple[Weight, ...] = ()
    candidates: Count = 100

    def __post_init__(self) -> None:
        repeated = [weight for k, weight in enumerate(self.curve) if weight in (self.weight, *self.curve[:k])]
        if repeated:
            raise RequestError(f"curve={[*self.curve]}: names {repeated[0]:g} twice, or it is the weight; leave it out")

    @abstractmethod
    def check(self, card: DatasetCard) -> None:
        """Raise RequestError where the data lack what the aim reads, before any file is read.

        Its message begins with the setting (`column=x: ..`): the run puts the re-ranker's name before it.
        """

    @abstractmethod
    def bind(self, facts: CatalogueFacts) -> Rerank:
        """Return what orders candidates anew; what it needs of the catalogue is made once."""
