"""How unalike the items of a list are."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from causalrec.catalogue.item_space import check_column, check_model
from causalrec.catalogue.lists import NO_ITEM, Lists
from causalrec.data.card import DatasetCard
from causalrec.metrics.list.list_mean import AbstractListMean
from causalrec.types import Doubles

NUMBERS_AT_ONCE = 1 << 21  # of vectors of lists, that are held


class IntraListDiversity(AbstractListMean):
    """One minus the mean cosine of the pairs of a list's items, averaged over users: 0 where all items are alike.

    Items are compared by a column of theirs: a category, a list of several (genres), a vector, or a text, of which a
    pretrained model makes a vector, or which is compared by its words, weighed by TF-IDF. Items that the column says
    nothing of are left out, and users with fewer than two others. Sources: Ziegler et al. (WWW 2005); Vargas & Castells
    (RecSys 2011), cosine distance.

    Args:
        num_clusters: of users.
        column: of the items; None: the only one by which they can be compared.
        model: folder of a language model that a text is read by; None: a text is compared by its words.
    """

    higher_is_better = True
    left_out = "have fewer than two items that the column says something of"

    def __init__(self, num_clusters: int, *, column: str | None = None, model: Path | None = None) -> None:
        super().__init__(num_clusters)
        self.column, self.model = column, model

    def check(self, card: DatasetCard) -> None:
        check_model(check_column(card, self.column), self.model)

    def by_list(self, lists: Lists) -> Doubles:
        facts = lists.facts
        space = facts.space(check_column(facts.dataset.card, self.column).name, self.model)
        squares = np.square(space, dtype=np.float64).sum(1)
        held = (lists.item != NO_ITEM) & (squares > 0.5)[lists.item]
        size = max(1, NUMBERS_AT_ONCE // max(space.shape[1], 1))  # none, where the column says nothing of any
        blocks = np.split(np.arange(len(held)), range(size, len(held), size))
        total = [_squared_sum(space, lists.item[rows], held[rows]) for rows in blocks]
        count = held.sum(1)
        pairs = count * (count - 1.0)
        with np.errstate(invalid="ignore", divide="ignore"):  # lists of fewer than two
            cosine = (np.concatenate(total) - np.where(held, squares[lists.item], 0).sum(1)) / pairs
        return np.where(pairs > 0, 1 - cosine, np.nan)


def _squared_sum(space: np.ndarray, item: np.ndarray, held: np.ndarray) -> Doubles:
    """Return the squared length of the sum of each list's vectors, float64[B]: that of all pairs and of each alone."""
    total = np.zeros((len(item), space.shape[1]))
    for place_item, is_held in zip(item.T, held.T, strict=True):
        total += np.where(is_held[:, None], space[place_item], 0)
    squared: Doubles = np.square(total).sum(1)
    return squared
