"""Outcomes under each treatment: the one that was seen, effects, and pseudo-effects made of both."""

from __future__ import annotations

import torch
from torch import Tensor

from causalrec.estimators.pointwise_error import mean_of
from causalrec.types import Batch, Link


def gather_factual(arms: Tensor, treatment: Tensor) -> Tensor:
    """Return what was predicted for the treatment received, `[B]`, from `arms[B,A+1]` and `treatment[B]`.

    >>> gather_factual(torch.tensor([[1.0, 2.0], [3.0, 4.0]]), torch.tensor([1, 0]))
    tensor([2., 3.])
    """
    return arms.gather(-1, treatment[..., None])[..., 0]


def effects_of(arms: Tensor, link: Link) -> Tensor:
    """Return the effect of each arm against none, `[B,A]`, in the outcome's unit, from raw `arms[B,A+1]`.

    >>> effects_of(torch.tensor([[0.0, 100.0]]), "logit")
    tensor([[0.5000]])
    """
    means = mean_of(arms, link)
    return means[..., 1:] - means[..., :1]


def treatment_one_hot(treatment: Tensor, arms: int) -> Tensor:
    """Return which of the arms 1..A was received, float32 `[B,A]` in {0, 1}.

    >>> treatment_one_hot(torch.tensor([0, 2]), 2)
    tensor([[0., 0.],
            [0., 1.]])
    """
    return (treatment[..., None] == torch.arange(1, arms + 1, device=treatment.device)).float()


def arm_probabilities(batch: Batch, arms: int) -> Tensor:
    """Return the probability of each treatment, `[B,A+1]`; with one arm, where the batch has none, what the propensity
    of the treatment received leaves. ValueError where it cannot be known.
    """
    if batch.arm_propensities is not None:
        return batch.arm_propensities
    if arms > 1:
        raise ValueError("this batch has no arm_propensities: the objective must say reads_arm_propensities")
    treated = torch.where(batch.treatment > 0, batch.propensity, 1 - batch.propensity)
    return torch.stack([1 - treated, treated], -1)


def doubly_robust_effects(means: Tensor, outcome: Tensor, treatment: Tensor, inverse: Tensor) -> Tensor:
    """Return the pseudo-effect of each arm, `[B,A]`.

    `m_a - m_0 + (1[T=a] - 1[T=0]) (y - m_T) / p_T`. Its mean given x is the effect where the means or the
    probabilities are right. Source: Robins, Rotnitzky & Zhao (JASA 1994); as a regression target, Kennedy (EJS 2023).

    Args:
        means: `[B,A+1]`, the mean outcome m under each arm.
        outcome: `[B]`, y.
        treatment: int64[B], T in 0..A.
        inverse: `[B]`, one over the probability of the arm received.

    >>> outcome = torch.ones(1)
    >>> doubly_robust_effects(torch.tensor([[0.25, 0.5]]), outcome, torch.tensor([1]), 2 * outcome)
    tensor([[1.2500]])
    """
    residual = (outcome - gather_factual(means, treatment)) * inverse
    sign = treatment_one_hot(treatment, means.shape[-1] - 1) - (treatment == 0).to(means.dtype)[..., None]
    return means[..., 1:] - means[..., :1] + sign * residual[..., None]


def crossfit_fold(user: Tensor, item: Tensor) -> Tensor:
    """Return which half of the rows a pair belongs to, float32 `[B]` in {0, 1}: a hash of its ids, the same whenever
    it is met, so that what is learnt from one half is used on the other (cross-fitting; Chernozhukov et al., 2018).
    """
    mixed = (user * 0x9E3779B1 + item * 0x85EBCA77 + 0x27D4EB2F) % (1 << 32)
    mixed = (mixed ^ (mixed >> 15)) * 0x2C1B3C6D % (1 << 32)
    return ((mixed >> 13) & 1).float()
