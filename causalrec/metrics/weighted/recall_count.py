"""Positives among the first K of whole rankings, from a sample of their outcomes."""

from __future__ import annotations

import torch
from torch import Tensor

from causalrec.metrics.weighted.base import AbstractPlaceSum


class WeightedRecallCount(AbstractPlaceSum):
    """Mean number of positives among the k best of all candidates, from the test rows among them: recall's numerator.

    `sum over candidates 1(rank <= k) y`, a count in 0..k. Recall divides it by the user's positives, of which a sample
    tells no unbiased inverse; the same for every model, these change no order of models.
    """

    def place_values(self) -> Tensor:
        return torch.ones(self.k, dtype=torch.float64)
