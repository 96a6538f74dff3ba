"""The pointwise error every objective weighs, and the safe inverse propensity."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

from causalrec.types import Link


def mean_of(raw: Tensor, link: Link) -> Tensor:
    """Turn a head's raw output into a mean outcome: probability for logit, count for log, the outcome's unit else."""
    if link == "logit":
        return torch.sigmoid(raw)
    return raw.exp() if link == "log" else raw


def pointwise_error(raw: Tensor, label: Tensor, link: Link) -> Tensor:
    """Return the error of each row, `[B]`: cross-entropy in nats (logit), Poisson loss (log), squared error (identity).

    `label[B]` may be soft (an imputed mean outcome).

    >>> pointwise_error(torch.zeros(1), torch.ones(1), "logit")
    tensor([0.6931])
    """
    if link == "logit":
        return functional.binary_cross_entropy_with_logits(raw, label, reduction="none")
    if link == "log":
        return functional.poisson_nll_loss(raw, label, log_input=True, reduction="none")
    return (raw - label).square()


def inverse_propensity(observed: Tensor, propensity: Tensor, clip: float) -> Tensor:
    """Return `o / max(p, clip)`, `[B]`; the propensity of unobserved rows is never read, so it may be anything.

    >>> inverse_propensity(torch.tensor([1.0, 0.0]), torch.tensor([0.25, float("nan")]), 0.0)
    tensor([4., 0.])
    """
    safe = torch.where(observed > 0, propensity, torch.ones_like(propensity))
    return observed / safe.clamp_min(clip)
