"""The pointwise error every objective weighs, and the safe inverse propensity."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

from causalrec.types import Link


def mean_of(raw: Tensor, link: Link) -> Tensor:
    """Turn a head's raw output into a mean outcome, `[B]`: probability for logit, count for log, expected class of
    `raw[B,C]` for softmax, the outcome's unit else.

    >>> mean_of(torch.tensor([[0.0, 0.0, 0.0]]), "softmax")
    tensor([1.])
    """
    if link == "softmax":
        return raw.softmax(-1) @ torch.arange(raw.shape[-1], dtype=raw.dtype, device=raw.device)
    if link == "logit":
        return torch.sigmoid(raw)
    return raw.exp() if link == "log" else raw


def raw_mean(mean: Tensor, link: Link) -> Tensor:
    """Return the raw output of a mean outcome, the inverse of `mean_of` of one number; kept off 0 and 1 of clicks.

    >>> raw_mean(torch.tensor(0.5), "logit"), raw_mean(torch.tensor(3.0), "identity")
    (tensor(0.), tensor(3.))
    """
    if link == "logit":
        return torch.logit(mean, eps=1e-4)
    return mean.clamp_min(1e-4).log() if link == "log" else mean


def soft_label(raw: Tensor, link: Link) -> Tensor:
    """Return the label that a head's raw output stands for: the mean outcome `[B]`, or each class's chance `[B,C]`.

    >>> soft_label(torch.tensor([[0.0, 0.0]]), "softmax")
    tensor([[0.5000, 0.5000]])
    """
    return raw.softmax(-1) if link == "softmax" else mean_of(raw, link)


def pointwise_error(raw: Tensor, label: Tensor, link: Link) -> Tensor:
    """Return the error of each row, `[B]`: cross-entropy in nats (logit, softmax), Poisson loss (log), squared error
    (identity).

    `label[B]` may be soft (an imputed mean outcome). Under softmax `raw[B,C]` meets a class `label[B]`, or a soft one
    `label[B,C]` (an imputed distribution).

    >>> pointwise_error(torch.zeros(1), torch.ones(1), "logit")
    tensor([0.6931])
    >>> pointwise_error(torch.zeros(1, 3), torch.tensor([2.0]), "softmax")
    tensor([1.0986])
    """
    if link == "softmax":
        classes = torch.arange(raw.shape[-1], dtype=label.dtype, device=raw.device)
        label_shares = label if label.ndim == raw.ndim else (label[..., None] == classes).to(raw.dtype)
        return -(label_shares * raw.log_softmax(-1)).sum(-1)
    if link == "logit":
        return functional.binary_cross_entropy_with_logits(raw, label, reduction="none")
    if link == "log":
        return functional.poisson_nll_loss(raw, label, log_input=True, reduction="none")
    return (raw - label).square()


def dynamic_propensity(propensity: Tensor, dynamic: float | None) -> Tensor:
    """Return what a dynamic estimator divides by in place of `p`: `min(1, max(f(p), 2 r (1 - p)))`, f(p) = log2(1 + p).

    The paper divides by `d = f(p)^alpha`, with `alpha = ln(2 r (1 - p)) / ln f(p)` held to [0, 1]: where alpha is
    inside, a row's `bias + r variance = 1 - p / d + r p (1 - p) / d^2`, of an error of one, is least. The form here is
    the same number without an exponent, so that p = 1 needs no care. Small propensities all get about `2 r`: where a
    log is sparse this mostly switches the weighting off. Biased by design, by the factor `p / d`. Source: the paper of
    D-IPS and D-DR (NeurIPS 2024), which has f and alpha; the closed form follows from them.

    Args:
        propensity: `[B]`, p in (0, 1].
        dynamic: r, what variance counts against bias, w2 / w1 (the paper: 0.1); None gives p itself.

    >>> dynamic_propensity(torch.tensor([0.04, 0.5, 1.0]), 0.1)
    tensor([0.1920, 0.5850, 1.0000])
    """
    if dynamic is None:
        return propensity
    return torch.maximum(torch.log2(1 + propensity), 2 * dynamic * (1 - propensity)).clamp_max(1)


def inverse_propensity(observed: Tensor, propensity: Tensor, clip: float) -> Tensor:
    """Return `o / max(p, clip)`, `[B]`; the propensity of unobserved rows is never read, so it may be anything.

    >>> inverse_propensity(torch.tensor([1.0, 0.0]), torch.tensor([0.25, float("nan")]), 0.0)
    tensor([4., 0.])
    """
    safe = torch.where(observed > 0, propensity, torch.ones_like(propensity))
    return observed / safe.clamp_min(clip)
