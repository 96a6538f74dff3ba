"""Precision at K of whole rankings, from a sample of their outcomes."""

from __future__ import annotations

import torch
from torch import Tensor

from causalrec.metrics.weighted.base import AbstractPlaceSum


class WeightedPrecision(AbstractPlaceSum):
    """Mean over users of the mean outcome of the k best of all candidates, from the test rows among them.

    `(1 / k) sum over candidates 1(rank <= k) y`: of outcomes 0 and 1 a share, else in the outcome's unit. Each test row
    is weighted by one over its probability of being in the test.
    """

    def place_values(self) -> Tensor:
        return torch.full((self.k,), 1 / self.k, dtype=torch.float64)
