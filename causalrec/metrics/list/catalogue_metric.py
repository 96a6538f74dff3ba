"""Metrics of all lists together: how the items of a catalogue share what is shown."""

from __future__ import annotations

from abc import abstractmethod

import numpy as np
import torch
from scipy import sparse
from torch import Tensor

from causalrec.catalogue.lists import NO_ITEM, Lists
from causalrec.metrics.list.base import AbstractListMetric
from causalrec.types import Doubles, Ints

EXPOSURES_AT_ONCE = 1 << 22  # of items under resampled users, that are held


class AbstractCatalogueMetric(AbstractListMetric):
    """A number of the exposure of items, the sum over users of what their places in lists are worth.

    The lists are kept as they come, so that users can be weighed anew; all such metrics of a slice hold the same ones.
    """

    of_catalogue = True
    bounds = (0.0, 1.0)
    user: list[Tensor]
    item: list[Tensor]

    def __init__(self, num_clusters: int) -> None:
        super().__init__()
        self.num_clusters, self.num_items = num_clusters, 0
        for state in ("user", "item"):
            self.add_state(state, [], dist_reduce_fx="cat")

    def place_worth(self, length: int) -> Doubles:
        """Return the exposure that each place of a list gives, float64[length]: 1, unless overridden."""
        return np.ones(length)

    @abstractmethod
    def of_exposure(self, exposure: Tensor) -> Tensor:
        """Return the metric `[R]` of the exposure of items, float64[R,I]."""

    def update_lists(self, lists: Lists) -> None:
        self._computed, self._update_count = None, self._update_count + 1  # as torchmetrics marks its own `update`
        self.num_items = lists.facts.num_items
        self.user.append(torch.from_numpy(lists.user))
        self.item.append(torch.from_numpy(lists.item))

    def compute(self) -> Tensor:
        return self.replicates(torch.ones(1, self.num_clusters, dtype=torch.float64))[0]

    def replicates(self, weights: Tensor) -> Tensor:
        blocks = torch.split(weights, max(1, EXPOSURES_AT_ONCE // self.num_items))
        return torch.cat([self.of_exposure(torch.from_numpy(self._exposure(block.numpy()))) for block in blocks])

    def _exposure(self, weights: Doubles) -> Doubles:
        """Return the exposure of items under user weights float64[R,U], float64[R,I]."""
        user, item = (torch.cat(list(state)).numpy() for state in (self.user, self.item))
        row, position = np.nonzero(item != NO_ITEM)
        worth, pairs = self.place_worth(item.shape[1])[position], (item[row, position], user[row])
        by_user = sparse.csr_matrix((worth, pairs), shape=(self.num_items, self.num_clusters))  # most of it is 0
        exposure: Doubles = (by_user @ weights.T).T
        return exposure


def log_discount(length: int) -> Doubles:
    """Return `1 / log2(1 + rank)` of each place of a list, rank from 1, float64[length].

    >>> log_discount(3).round(4).tolist()
    [1.0, 0.6309, 0.5]
    """
    ranks: Ints = np.arange(1, length + 1)
    discount: Doubles = 1 / np.log2(1 + ranks)
    return discount
