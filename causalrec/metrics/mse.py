"""Mean squared error; the Brier score where outcomes are 0 or 1."""

import torch
from torch import Tensor

from causalrec.metrics.base import AbstractRatio, Scored


def squared_error(prediction: Tensor, label: Tensor) -> Tensor:
    """Return `(prediction - label)^2`, `[N]`, in squared units of the outcome (Brier 1950 for probabilities)."""
    return (prediction - label).square()


class MSE(AbstractRatio):
    """Mean squared error over rows. It rewards the base rate: read it beside the constant baseline, or as `skill`."""

    labels = frozenset({"binary", "rate", "graded"})
    higher_is_better = False
    under_affine = "squares"

    def ratio_terms(self, scored: Scored) -> tuple[Tensor, Tensor, Tensor]:
        error = squared_error(scored.prediction, scored.label)
        return error, torch.ones_like(error), scored.cluster
