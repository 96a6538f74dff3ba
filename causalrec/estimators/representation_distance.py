"""How far the representations of treated rows are from those of the others: penalties of counterfactual regression."""

from __future__ import annotations

import torch
from torch import Tensor


def arm_masses(treatment: Tensor, arm: int, weight: Tensor | None = None) -> tuple[Tensor, Tensor, Tensor]:
    """Return the mass of each row in arm `arm` and in arm 0, `[B]` each summing to 1, and whether both have rows.

    `weight[B]`, at least 0, is what masses are proportional to; None: equal ones.
    """
    rows = torch.ones_like(treatment).float() if weight is None else weight
    treated, control = (treatment == arm) * rows, (treatment == 0) * rows
    totals = treated.sum(-1, keepdim=True), control.sum(-1, keepdim=True)
    both = ((totals[0] > 0) & (totals[1] > 0))[..., 0]
    shares = [mass / total.where(total > 0, 1.0) for mass, total in zip((treated, control), totals, strict=True)]
    return shares[0], shares[1], both


def squared_distances(phi: Tensor) -> Tensor:
    """Return the squared distance of all rows of `phi[B,D]`, `[B,B]`."""
    norm = phi.square().sum(-1)
    return (norm[..., :, None] + norm[..., None, :] - 2 * phi @ phi.transpose(-1, -2)).clamp_min(0)


def mmd(
    phi: Tensor, treatment: Tensor, arm: int = 1, *, bandwidth: float | Tensor = 1.0, weight: Tensor | None = None
) -> Tensor:
    """Return the squared maximum mean discrepancy between the rows of an arm and of arm 0, a scalar.

    `m' K m`, `m` the difference of masses, `K = exp(-d^2 / (2 bandwidth^2))`; 0 where one of the arms has no row.
    Source: Gretton et al. (JMLR 2012), biased estimate.

    Args:
        phi: `[B,D]`, representations.
        treatment: int64[B].
        arm: compared with arm 0.
        bandwidth: of the Gaussian kernel, in the unit of phi.
        weight: `[B]`, at least 0, how much each row counts within its arm; None: alike.

    >>> float(mmd(torch.tensor([[0.0], [0.0]]), torch.tensor([0, 1])))
    0.0
    """
    treated, control, both = arm_masses(treatment, arm, weight)
    mass = (treated - control).to(phi.dtype)
    width = bandwidth[..., None] if isinstance(bandwidth, Tensor) else bandwidth  # of stacked fits: each its own
    kernel = (-squared_distances(phi) / (2 * width**2)).exp()
    value = (mass[..., None, :] @ kernel @ mass[..., :, None])[..., 0, 0]
    return value.clamp_min(0) * both


def wasserstein(phi: Tensor, treatment: Tensor, arm: int = 1, *, sharpness: float = 10.0, rounds: int = 10) -> Tensor:
    """Return the entropic transport distance between the rows of an arm and of arm 0, a scalar.

    Sinkhorn's scaling of `exp(-sharpness d / mean d)`, d the Euclidean distance; the plan carries no gradient. It is 0
    where one of the arms has no row. Source: Cuturi (NIPS 2013); Shalit et al. (ICML 2017), Algorithm 1, published
    settings.

    Args:
        phi: `[B,D]`, representations.
        treatment: int64[B].
        arm: compared with arm 0.
        sharpness: how little the entropy counts; the larger, the nearer to the transport distance.
        rounds: scalings.

    >>> round(float(wasserstein(torch.tensor([[0.0], [3.0]]), torch.tensor([0, 1]))), 3)
    3.0
    """
    treated, control, both = arm_masses(treatment, arm)
    treated, control = treated.to(phi.dtype), control.to(phi.dtype)
    cost = (squared_distances(phi) + 1e-12).sqrt()
    with torch.no_grad():
        pairs = treated[..., :, None] * control[..., None, :]
        scale = (pairs * cost).sum((-2, -1), keepdim=True).clamp_min(1e-12)
        kernel = (-sharpness * cost / scale).exp() + 1e-6
        left = torch.ones_like(treated)
        for _ in range(rounds):
            right = control / (kernel.transpose(-1, -2) @ (treated * left)[..., None])[..., 0].clamp_min(1e-30)
            left = 1 / (kernel @ right[..., None])[..., 0].clamp_min(1e-30)
        plan = (treated * left)[..., :, None] * kernel * right[..., None, :]
    value: Tensor = (plan * cost).sum((-2, -1))
    return value * both
