"""Mean absolute error."""

import torch
from torch import Tensor

from causalrec.metrics.base import AbstractRatio, Scored


def absolute_error(prediction: Tensor, label: Tensor) -> Tensor:
    """Return `|prediction - label|`, `[N]`, in units of the outcome.

    >>> absolute_error(torch.tensor([3.5]), torch.tensor([5.0]))
    tensor([1.5000])
    """
    return (prediction - label).abs()


class MAE(AbstractRatio):
    """Mean absolute error over rows, of ratings: of 0/1 labels it rewards predicting the commoner one."""

    labels = frozenset({"graded"})
    higher_is_better = False
    under_affine = "scales"

    def ratio_terms(self, scored: Scored) -> tuple[Tensor, Tensor, Tensor]:
        error = absolute_error(scored.prediction, scored.label)
        return error, torch.ones_like(error), scored.cluster
