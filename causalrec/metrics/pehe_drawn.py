"""Root mean squared error of predicted effects against the difference of both drawn outcomes, noise included."""

from __future__ import annotations

import torch
from torch import Tensor

from causalrec.errors import DataError
from causalrec.metrics.base import AbstractRatio, Scored


def sqrt_pehe_drawn(prediction: Tensor, drawn_effect: Tensor) -> Tensor:
    """Return `sqrt(mean (prediction - (Y(1) - Y(0)))^2)`, a scalar in the outcome's unit; both `[N]`.

    Some papers report it as PEHE: the noise of both outcomes is in it, so that a perfect prediction is not at 0 and its
    numbers cannot be compared with those of `sqrt_pehe`.

    >>> float(sqrt_pehe_drawn(torch.tensor([0.5, 0.5]), torch.tensor([1.0, 0.0])))
    0.5
    """
    return (prediction.double() - drawn_effect.double()).square().mean().sqrt()


class SqrtPEHEDrawn(AbstractRatio):
    """Root mean squared error of predicted effects against the drawn differences, which only simulations tell."""

    labels = frozenset({"effect"})
    higher_is_better = False
    under_affine = "scales"

    def ratio_terms(self, scored: Scored) -> tuple[Tensor, Tensor, Tensor]:
        if scored.drawn_effect is None:
            raise DataError(
                "sqrt_pehe_drawn: this data set draws no outcome under each treatment; use sqrt_pehe (metric=[pehe])"
            )
        error = scored.prediction.double() - scored.drawn_effect.double()
        return error.square(), torch.ones_like(error), scored.cluster

    def finish(self, ratio: Tensor) -> Tensor:
        return ratio.sqrt()
