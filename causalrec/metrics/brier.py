"""The Brier score."""

import torch
from torch import Tensor

from causalrec.metrics.base import AbstractRatio, Scored
from causalrec.metrics.mse import squared_error


class Brier(AbstractRatio):
    """Mean squared error of predicted probabilities.

    `brier = brier_reliability - brier_resolution + brier_uncertainty + brier_within_bins`, exactly, whatever the bins,
    where all have the same ones and the same `debias`.

    Source: Brier (Monthly Weather Review 1950); Murphy (Journal of Applied Meteorology 1973); the terms within bins:
    Stephenson, Coelho & Jolliffe (Weather and Forecasting 2008).
    """

    labels = frozenset({"binary"})
    higher_is_better = False
    under_affine = "squares"

    def ratio_terms(self, scored: Scored) -> tuple[Tensor, Tensor, Tensor]:
        error = squared_error(scored.prediction, scored.label)
        return error, torch.ones_like(error), scored.cluster
