"""How unevenly the items of a catalogue share the exposure that lists give."""

from __future__ import annotations

import torch
from torch import Tensor

from causalrec.metrics.list.catalogue_metric import AbstractCatalogueMetric, log_discount
from causalrec.types import Doubles


class ExposureGini(AbstractCatalogueMetric):
    """Gini index of the exposure that lists give the items: 0 where all have as much, near 1 where one has all.

    `sum over i of (2 i - I - 1) e_(i) / (I sum e)`, e_(i) the i-th smallest exposure of all I items, those that no list
    holds among them; an item's is the sum over users of `1 / log2(1 + rank)`, rank from 1. Sources: Singh & Joachims
    (KDD 2018), exposure; Fleder & Hosanagar (Management Science 2009), its Gini index.

    Args:
        num_clusters: of users.
        discounted: whether a place counts `1 / log2(1 + rank)`; else each counts 1.
    """

    higher_is_better = False

    def __init__(self, num_clusters: int, *, discounted: bool = True) -> None:
        super().__init__(num_clusters)
        self.discounted = discounted

    def place_worth(self, length: int) -> Doubles:
        return log_discount(length) if self.discounted else super().place_worth(length)

    def of_exposure(self, exposure: Tensor) -> Tensor:
        rising, items = exposure.sort(1).values, exposure.shape[1]
        rank = torch.arange(1, items + 1, dtype=torch.float64)
        return rising @ (2 * rank - items - 1) / (items * rising.sum(1))
