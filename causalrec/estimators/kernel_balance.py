"""Kernel balancing: weights of observed pairs under which their kernel moments are those of all pairs.

Features have the batch as their last axis, `[F,B]`, and kernels a row to each centre, `[J,B]`.
"""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor

from causalrec.estimators.reduction import batch_mean, batch_sum, gather_batch
from causalrec.types import OUTCOME, Outputs

Kernel = Literal["gaussian", "exponential"]


def pair_features(outputs: Outputs, *, scaled: bool = True) -> Tensor:
    """Return the user and the item vectors of the outcome network, `[2D,B]`, without gradient.

    Each entry is moved to 0..1 by the batch's range, and one that is the same everywhere to 0. The paper has the
    vectors of a matrix factorisation trained before; here they are those of the network that is trained.

    Args:
        outputs: of the outcome network.
        scaled: else as public code has it, whose subtraction binds before its division: no entry is scaled, and all are
            divided by their number.
    """
    features = torch.cat(outputs.vectors[OUTCOME], -1).detach().transpose(-1, -2)
    if not scaled:
        return features / features.shape[-2]
    every = gather_batch(features)
    low, high = every.amin(-1, keepdim=True), every.amax(-1, keepdim=True)
    return (features - low) / torch.where(high > low, high - low, torch.ones_like(high))


def last_columns(features: Tensor, count: int) -> Tensor:
    """Return the features of the last `count` pairs of the batch, `[F,count]`; the first again where there are fewer.

    Samplers of all pairs put uniformly drawn pairs behind the logged ones.

    >>> last_columns(torch.tensor([[1.0, 2.0, 3.0]]), 2)
    tensor([[3., 2.]])
    """
    every = gather_batch(features)
    return every[..., (every.shape[-1] - 1 - torch.arange(count, device=every.device)).clamp_min(0)]


def kernel_values(features: Tensor, centres: Tensor, kernel: Kernel, bandwidth: float | Tensor) -> Tensor:
    """Return `exp(-bandwidth * |x - x_j|^2)`, or of the exponential kernel `exp(-bandwidth * |x - x_j|)`, `[J,B]`.

    Source: Li et al. (ICLR 2024, "Debiased collaborative filtering with kernel-based causal balancing").

    Args:
        features: `[F,B]`, x.
        centres: `[F,J]`, x_j.
        kernel: which of the two.
        bandwidth: what the distance is multiplied by.

    >>> x, centre = torch.tensor([[0.0, 2.0]]), torch.zeros(1, 1)
    >>> kernel_values(x, centre, "gaussian", 0.5).log(), kernel_values(x, centre, "exponential", 0.5).log()
    (tensor([[ 0., -2.]]), tensor([[ 0., -1.]]))
    """
    norms = centres.square().sum(-2)[..., :, None] + features.square().sum(-2)[..., None, :]
    squares = (norms - 2 * centres.transpose(-1, -2) @ features).clamp_min(0)
    return (-of_matrix(bandwidth) * (squares if kernel == "gaussian" else squares.sqrt())).exp()


def kernel_spread(values: Tensor) -> Tensor:
    """Return the standard deviation of a kernel over pairs, the mean over its centres: `[J,B]` to a scalar.

    >>> kernel_spread(torch.tensor([[1.0, 0.5], [1.0, 1.0]]))
    tensor(0.1250)
    """
    return values.std(-1, correction=0).mean(-1)


def kernel_coefficients(values: Tensor, target: Tensor, weight: Tensor, ridge: float | Tensor) -> Tensor:
    """Return the alpha that minimises `mean of weight * (target - sum_j alpha_j K_j)^2 + ridge * |alpha|^2`, `[J]`.

    In closed form and in float64: kernels of near centres are nearly the same.

    Args:
        values: `[J,B]`, K.
        target: `[B]`, what is fitted; not read where the weight is 0.
        weight: `[B]`, 0 of unobserved pairs.
        ridge: of the coefficients.

    >>> kernel_coefficients(torch.tensor([[1.0, 0.5]]), torch.tensor([3.0, 9.0]), torch.tensor([2.0, 0.0]), 0.5)
    tensor([2.], dtype=torch.float64)
    """
    values, weight = values.double(), weight.double()
    count = batch_sum(torch.ones_like(weight))
    weighted = values * weight[..., None, :]
    moments = (weighted @ torch.where(weight > 0, target, 0.0).double()[..., None])[..., 0]
    gram = batch_sum((weighted @ values.transpose(-1, -2))[..., None])[..., 0] / count[..., None]
    identity = torch.eye(values.shape[-2], dtype=torch.float64, device=values.device)
    coefficients: Tensor = torch.linalg.solve(
        gram + of_matrix(ridge) * identity, batch_sum(moments[..., None])[..., 0] / count
    )
    return coefficients


def largest_rows(values: Tensor, coefficients: Tensor, count: int) -> Tensor:
    """Return the rows of a kernel, `[J,B]`, whose coefficients are the largest in absolute value: `[count,B]`.

    >>> largest_rows(torch.tensor([[1.0], [2.0], [3.0]]), torch.tensor([0.5, -4.0, 1.0]), 2)
    tensor([[2.],
            [3.]])
    """
    chosen = coefficients.abs().topk(min(count, values.shape[-2]), -1).indices
    return values.gather(-2, chosen[..., None].expand(*chosen.shape, values.shape[-1]))


def moment_hinges(
    values: Tensor, observed: Tensor, weight: Tensor, row_weight: Tensor, tolerance: float | Tensor, *, summed: bool
) -> Tensor:
    """Return rows `[B]` whose mean is the sum over centres of `max(0, |mean K_j - mean over O of v K_j| - C)`.

    A centre within the tolerance adds nothing, and has no gradient.

    Args:
        values: `[J,B]`, K.
        observed: `[B]`, o in {0, 1}.
        weight: `[B]`, v of observed pairs, which carries the gradient.
        row_weight: `[B]`, what a row of the batch stands for; means are weighted by it.
        tolerance: C.
        summed: one hinge of the summed moments, as public code has it: moments of opposite sign cancel.
    """
    share = batch_mean(observed, row_weight).clamp_min(1e-12)
    moments = values * (1 - observed * weight / share)[..., None, :]
    moments = moments.sum(-2, keepdim=True) if summed else moments
    gaps = batch_mean(moments, row_weight[..., None, :])
    tolerance = of_matrix(tolerance)
    return ((gaps.abs() > tolerance) * (gaps.sign() * moments - tolerance)).sum(-2)


def of_matrix(number: float | Tensor) -> float | Tensor:
    """Return a setting as it meets matrices: of stacked fits, `[R,1]`, each fit's own."""
    return number[..., None] if isinstance(number, Tensor) else number
