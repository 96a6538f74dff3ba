"""Root of the precision in estimating heterogeneous effects, against the true mean effect."""

from __future__ import annotations

import torch
from torch import Tensor

from causalrec.metrics.base import AbstractRatio, Scored


def sqrt_pehe(prediction: Tensor, effect: Tensor) -> Tensor:
    """Return `sqrt(mean (prediction - effect)^2)`, a scalar in the outcome's unit; both `[N]`.

    `effect`: the true mean effect `E[Y(1) - Y(0) | x]`, so that a perfect prediction has 0. Source: Hill (2011);
    Shalit, Johansson & Sontag (ICML 2017), who report the root.

    >>> round(float(sqrt_pehe(torch.tensor([1.0, 2.0]), torch.tensor([0.0, 2.0]))), 6)
    0.707107
    """
    return (prediction.double() - effect.double()).square().mean().sqrt()


class SqrtPEHE(AbstractRatio):
    """Root mean squared error of predicted effects against the true mean effects."""

    labels = frozenset({"effect"})
    higher_is_better = False
    under_affine = "scales"

    def ratio_terms(self, scored: Scored) -> tuple[Tensor, Tensor, Tensor]:
        error = scored.prediction.double() - scored.label.double()
        return error.square(), torch.ones_like(error), scored.cluster

    def finish(self, ratio: Tensor) -> Tensor:
        return ratio.sqrt()
