"""Bias: mean prediction minus mean outcome."""

import torch
from torch import Tensor

from causalrec.metrics.base import AbstractRatio, Scored


class Bias(AbstractRatio):
    """Mean prediction minus mean outcome, in the outcome's unit: above 0 where predictions are too high on average.

    On all pairs with true rates it is the estimate's own bias.
    """

    labels = frozenset({"binary", "rate", "graded"})
    higher_is_better = None
    under_affine = "scales"

    def ratio_terms(self, scored: Scored) -> tuple[Tensor, Tensor, Tensor]:
        return scored.prediction - scored.label, torch.ones_like(scored.label), scored.cluster
