"""Means over the population whose expectation is known to be 0: what of an estimate's noise they tell is taken off it.

An estimate that is linear in who was exposed and how it ended loses all its noise, so that the smallest of its biases
shows; one that is not loses a part. Source: Owen, "Monte Carlo theory, methods and examples", section 8.9.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from causalrec.estimators.certificate.world import Draw, World
from causalrec.types import Truth

RowValues = Callable[[Truth], Tensor]  # what each pair adds to the judged quantities, `[n,K]`, were this the truth


class ControlVariates:
    """The controls of K judged quantities.

    Weights are what a pair adds to the ideal quantity, how that moves with its mean outcomes, and these over its
    propensity or over that of the opposite; they multiply exposure less its probability, and outcomes less their means.

    Args:
        world: the population.
        row_values: of the ideal loss.
    """

    def __init__(self, world: World, row_values: RowValues) -> None:
        self.world, truth = world, world.truth
        ideal, p = row_values(truth), truth.propensity[:, None]
        slopes = [row_values(_with_arm(truth, arm, 1.0)) - row_values(_with_arm(truth, arm, 0.0)) for arm in (0, 1)]
        exposed = [ideal, *(slope * factor for arm, slope in enumerate(slopes) for factor in (1, truth.arms[:, [arm]]))]
        self.weights = (
            torch.stack([value * each for value in exposed for each in (torch.ones_like(p), 1 / p, 1 / (1 - p))], -1),
            torch.stack([slopes[1], slopes[1] / p], -1),
            torch.stack([slopes[0], slopes[0] / (1 - p)], -1),
        )

    def values(self, draw: Draw) -> Tensor:
        """Return the controls of a draw, `[K,C]`."""
        arms = self.world.arms
        deviations = (
            draw.hit - self.world.propensity,
            draw.hit * (draw.good - arms[:, 1]),
            (1 - draw.hit) * (draw.good - arms[:, 0]),
        )
        return torch.cat(
            [torch.einsum("n,nkc->kc", d, w) / len(arms) for d, w in zip(deviations, self.weights, strict=True)], -1
        )


def _with_arm(truth: Truth, arm: int, mean: float) -> Truth:
    """Return the truth with another mean outcome under one treatment, the same for all."""
    arms = truth.arms.clone()
    arms[:, arm] = mean
    return Truth(arms[:, 1], arms, truth.propensity)


def take_off(samples: Tensor, controls: Tensor) -> tuple[Tensor, Tensor]:
    """Return the mean of samples, `[K]`, less what their controls explain, and its standard error.

    Args:
        samples: `[R,K]`.
        controls: `[R,K,C]`, of expectation 0.

    >>> control = torch.tensor([1.0, -1.0, 2.0, -3.0])[:, None, None].double()
    >>> mean, error = take_off(5 + 2 * control[..., 0], control)
    >>> round(float(mean), 6), float(error) < 1e-9
    (5.0, True)
    """
    columns = controls / controls.std(0).clamp_min(1e-300)
    design = torch.cat([torch.ones_like(columns[..., :1]), columns], -1).transpose(0, 1)  # [K,R,1+C]
    fitted = torch.linalg.lstsq(design, samples.T[..., None], driver="gelsd").solution
    residual = samples.T - (design @ fitted)[..., 0]
    freedom = len(samples) - torch.linalg.matrix_rank(design)
    return fitted[:, 0, 0], (residual.square().sum(-1) / freedom / len(samples)).sqrt()
