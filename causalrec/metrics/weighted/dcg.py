"""DCG at K of whole rankings, from a sample of their outcomes."""

from __future__ import annotations

import torch
from torch import Tensor

from causalrec.metrics.weighted.base import AbstractPlaceSum


class WeightedDCG(AbstractPlaceSum):
    """Mean over users of DCG@k of all candidates, from the test rows among the k best.

    `sum over candidates 1(rank <= k) y / log2(1 + rank)`, rank from 1, in units of the outcome. Source: Yang et al.
    (RecSys 2018) for the weights; Jarvelin & Kekalainen (TOIS 2002) for the discount.
    """

    def place_values(self) -> Tensor:
        return 1 / torch.log2(torch.arange(self.k, dtype=torch.float64) + 2)
