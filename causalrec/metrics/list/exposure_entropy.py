"""How evenly the items of a catalogue share the exposure that lists give."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from causalrec.metrics.list.catalogue_metric import AbstractCatalogueMetric, log_discount
from causalrec.types import Doubles


class ExposureEntropy(AbstractCatalogueMetric):
    """Entropy of the items' shares of exposure, over that of equal shares: 1 where all have as much, 0 where one has
    all.

    `-sum over i of s_i log s_i / log I`, s_i an item's share of the exposure of all I items; an item's exposure is the
    sum over users of `1 / log2(1 + rank)`, rank from 1. Undefined with one item. Source: Shannon's entropy of what is
    recommended, as in Szlavik et al. (UMAP 2011), here divided by its greatest value.

    Args:
        num_clusters: of users.
        discounted: whether a place counts `1 / log2(1 + rank)`; else each counts 1.
    """

    higher_is_better = True

    def __init__(self, num_clusters: int, *, discounted: bool = True) -> None:
        super().__init__(num_clusters)
        self.discounted = discounted

    def place_worth(self, length: int) -> Doubles:
        return log_discount(length) if self.discounted else super().place_worth(length)

    def of_exposure(self, exposure: Tensor) -> Tensor:
        share, items = exposure / exposure.sum(1, keepdim=True), exposure.shape[1]
        entropy: Tensor = torch.special.entr(share).sum(1)
        return entropy / (math.log(items) or torch.nan)
