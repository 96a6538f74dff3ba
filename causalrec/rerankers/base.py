"""The contract of a re-ranker: a user's best items in another order, for an aim beside the score."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable

from causalrec.catalogue.facts import CatalogueFacts
from causalrec.catalogue.lists import Candidates
from causalrec.data.card import DatasetCard
from causalrec.types import Ints

Rerank = Callable[[Candidates, int], Ints]  # candidates, k -> int64[B,k], places among a user's candidates, -1: none


class AbstractReranker(ABC):
    """Orders candidates anew by `(1 - weight) * score + weight * aim`. Constructor keywords are its YAML keys; frozen,
    final classes.

    Scores are scaled to 0..1 within a user's candidates, so that a weight means the same whatever a model predicts.

    Attributes:
        weight: of the aim, from 0 (the plain list) to 1 (the aim alone).
        curve: further weights at which lists are judged; `recommend` goes by `weight`.
        candidates: how many of a user's best items are looked at.
    """

    weight: float
    curve: tuple[float, ...]
    candidates: int

    @abstractmethod
    def check(self, card: DatasetCard) -> None:
        """Raise RequestError where the data lack what the aim reads, before any file is read.

        Its message begins with the setting (`column=x: ..`): the run puts the re-ranker's name before it.
        """

    @abstractmethod
    def bind(self, facts: CatalogueFacts) -> Rerank:
        """Return what orders candidates anew; what it needs of the catalogue is made once."""
