"""Maximal marginal relevance: items unlike those above them."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from causalrec.catalogue.facts import CatalogueFacts
from causalrec.catalogue.item_space import check_column, check_model
from causalrec.data.card import DatasetCard
from causalrec.rerankers.base import AbstractReranker, Rerank
from causalrec.rerankers.greedy import Aim, greedy_rerank
from causalrec.types import Floats, Ints


@dataclass(frozen=True, kw_only=True)
class MMR(AbstractReranker):
    """Each item is as good as its score, less how like it is to the most alike item above it.

    Takes `argmax_i (1 - weight) score_i - weight max_{j in list} cos(x_i, x_j)`, the first item by its score. Of items
    that the column says nothing of x is 0: they are like none. Source: Carbonell & Goldstein (SIGIR 1998), whose lambda
    is `1 - weight`.

    Attributes:
        column: of items, that they are compared by: a category, a list of several, a text or a vector; None: the only
            one.
        model: folder of the language model that reads a text; None: texts are compared by their words.
    """

    column: str | None = None
    model: Path | None = None

    def check(self, card: DatasetCard) -> None:
        check_model(check_column(card, self.column), self.model)

    def bind(self, facts: CatalogueFacts) -> Rerank:
        vectors = facts.space(check_column(facts.dataset.card, self.column).name, self.model)

        def make_aim(users: Ints, items: Ints) -> Aim:
            return Unlikeness(vectors[items])

        return greedy_rerank(self.weight, make_aim, vectors.shape[1])


class Unlikeness:
    """Minus the largest cosine between a candidate and an item of the list; 0 while it is empty."""

    def __init__(self, vectors: Floats) -> None:
        """Start with empty lists.

        Args:
            vectors: of the candidates, of length 1 or 0, float32[B,N,D].
        """
        self.vectors, self.users = vectors, np.arange(len(vectors))
        self.largest: Floats | None = None

    def value(self) -> Floats:
        if self.largest is None:
            return np.zeros(self.vectors.shape[:2], np.float32)
        return -self.largest

    def add(self, position: Ints) -> None:
        chosen = self.vectors[self.users, position]
        likeness = np.matmul(self.vectors, chosen[:, :, None])[:, :, 0]
        self.largest = likeness if self.largest is None else np.maximum(self.largest, likeness)
