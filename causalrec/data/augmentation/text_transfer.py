"""Items that read alike share ratings: an unrated pair gets the rating its user gave a neighbour in text."""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import dataclass
from typing import Annotated, Any, ClassVar, Final

import numpy as np
from pydantic import Field
from scipy.sparse import csr_array

from causalrec.data.augmentation.base import AbstractAugmentation
from causalrec.data.augmentation.transferred_rows import require_users, unit_rows, with_transferred_rows
from causalrec.data.dataset import CausalDataset
from causalrec.data.log import InteractionLog
from causalrec.errors import RequestError, did_you_mean
from causalrec.types import Count, Floats, Ints

WORDED: Final = ("text", "category", "multi_hot")
ITEMS_AT_ONCE: Final = 1024  # whose similarities with all items stand in memory
ItemVectors = Any  # float32[I,D], or a sparse array of that shape, which scipy gives no type


@dataclass(frozen=True, kw_only=True)
class TextTransfer(AbstractAugmentation):
    """Adds the row (u, j, y) for a row (u, i, y), i among the nearest items to j by text, and j unrated by u.

    Where u has rated several neighbours of j, the nearest one's rating stands. The propensity is that of (u, i), for
    the row is there when that one is. Assumption: a user's outcomes of neighbours have the same mean; where they have
    not, what is learnt of j is drawn towards its neighbours by the weight. Under an objective over all pairs the pair
    counts by that weight, too: set it to 1 there, or the population is no longer that of all pairs.

    Attributes:
        columns: item columns whose words are compared, by the cosine of their tf-idf (Salton & Buckley, 1988); none:
            all texts, categories and lists of the items.
        vectors: an item column of frozen vectors (of `causalrec vectors` or `data embed`) whose cosine is compared in
            place of words; None: words.
        neighbours: how many neighbours of an item may pass it a rating.
        similarity: least cosine of neighbours.
        weight: of an added row, a logged one counting 1.
    """

    own_propensity: ClassVar[bool] = True
    training_outcomes: ClassVar[bool] = True

    columns: tuple[str, ...] = ()
    vectors: str | None = None
    neighbours: Count = 3
    similarity: Annotated[float, Field(gt=0, le=1)] = 0.5
    weight: Annotated[float, Field(gt=0, le=1)] = 0.2

    def __post_init__(self) -> None:
        if self.columns and self.vectors is not None:
            raise RequestError("augmentation.text_transfer.columns: is not read beside vectors; set one of the two")

    def augment(self, train: InteractionLog, dataset: CausalDataset, seed: int) -> InteractionLog:
        require_users(train, "augmentation=text_transfer")
        near, similarity = nearest_items(self._vectors(dataset), self.neighbours)
        target, slot = np.nonzero(similarity >= self.similarity)
        giver, closeness = near[target, slot], similarity[target, slot]
        order = np.argsort(giver, kind="stable")  # edges giver -> target, by giver
        start = np.searchsorted(giver[order], np.arange(train.num_items + 1))
        count = (start[1:] - start[:-1])[train.item]
        source = np.repeat(np.arange(len(train)), count)
        within = np.arange(len(source)) - np.repeat(np.cumsum(count) - count, count)
        edge = order[start[train.item[source]] + within]
        unrated = train.finder(train.users[source] * train.num_items + target[edge]) < 0
        source, edge = source[unrated], edge[unrated]
        nearest_first = np.argsort(-closeness[edge], kind="stable")
        return with_transferred_rows(train, source[nearest_first], target[edge][nearest_first], self.weight)

    def _vectors(self, dataset: CausalDataset) -> ItemVectors:
        if self.vectors is not None:
            if self.vectors not in dataset.item_vectors:
                raise RequestError(
                    f"augmentation.text_transfer.vectors={self.vectors}: {dataset.card.name} has no such vectors of "
                    f"items; {did_you_mean(self.vectors, dataset.item_vectors)}"
                )
            return unit_rows(np.asarray(dataset.item_vectors[self.vectors], np.float32))
        kinds = {column.name: column.kind for column in dataset.card.columns if column.entity == "item"}
        readable = [name for name, kind in kinds.items() if kind in WORDED]
        if unknown := [name for name in self.columns if name not in readable]:
            raise RequestError(
                f"augmentation.text_transfer.columns: {dataset.card.name} has no item column {unknown[0]} of words; "
                f"{did_you_mean(unknown[0], readable)}"
            )
        names = self.columns or tuple(readable)
        if not names:
            raise RequestError(
                f"augmentation=text_transfer: {dataset.card.name} has no words of items; name "
                f"augmentation.text_transfer.vectors, or drop it"
            )
        rows = dataset.item_table.select(names).iter_rows()
        return tf_idf([" ".join(_words_of(value) for value in row) for row in rows])


def _words_of(value: object) -> str:
    if isinstance(value, list):
        return " ".join(map(str, value))
    return "" if value is None else str(value)


def tf_idf(texts: list[str]) -> csr_array:
    """Return unit vectors [N,V] of texts: how often a word stands in each, times log(N / texts with it).

    >>> near = tf_idf(["red shoe", "red boot", "a pen"])
    >>> (near @ near.T).toarray().round(2).tolist()
    [[1.0, 0.12, 0.0], [0.12, 1.0, 0.0], [0.0, 0.0, 1.0]]
    """
    counts = [Counter(re.findall(r"\w+", text.lower())) for text in texts]
    column_of = {word: k for k, word in enumerate(sorted(set().union(*counts)))}
    row = np.repeat(np.arange(len(texts)), [len(each) for each in counts])
    column = np.array([column_of[word] for each in counts for word in each], np.int64)
    value = np.array([number for each in counts for number in each.values()], np.float64)
    value = value * np.log(len(texts) / np.maximum(np.bincount(column, minlength=len(column_of)), 1))[column]
    length = np.sqrt(np.bincount(row, weights=value**2, minlength=len(texts)))
    value = value / np.where(length > 0, length, 1)[row]
    return csr_array((value, (row, column)), shape=(len(texts), len(column_of)))


def nearest_items(vectors: ItemVectors, count: int) -> tuple[Ints, Floats]:
    """Return the nearest other items of each, int64[I,count], nearest first, and their cosines, float32[I,count].

    Args:
        vectors: unit vectors [I,D].
        count: of neighbours, cut at I - 1.
    """
    size = vectors.shape[0]
    count = min(count, size - 1)
    near, cosine = np.zeros((size, count), np.int64), np.zeros((size, count), np.float32)
    for first in range(0, size, ITEMS_AT_ONCE):
        product = vectors[first : first + ITEMS_AT_ONCE] @ vectors.T
        block = np.asarray(product if isinstance(product, np.ndarray) else product.toarray(), np.float32)
        rows = np.arange(len(block))
        block[rows, first + rows] = -np.inf
        best = np.argsort(-block, axis=1, kind="stable")[:, :count]
        near[first : first + len(block)], cosine[first : first + len(block)] = best, block[rows[:, None], best]
    return near, cosine
