"""Logarithmic loss of predicted probabilities."""

import torch
from torch import Tensor

from causalrec.metrics.base import AbstractRatio, Scored


def log_loss(probability: Tensor, label: Tensor, epsilon: float = 1e-7) -> Tensor:
    """Return the cross-entropy of each row in nats, `[N]`; probabilities are kept `epsilon` away from 0 and 1.

    >>> log_loss(torch.tensor([0.5]), torch.tensor([1.0]))
    tensor([0.6931])
    """
    safe = probability.clamp(epsilon, 1 - epsilon)
    return -(label * safe.log() + (1 - label) * (1 - safe).log())


class LogLoss(AbstractRatio):
    """Mean cross-entropy over rows, in nats."""

    labels = frozenset({"binary", "rate"})
    higher_is_better = False
    under_affine = "undefined"

    def ratio_terms(self, scored: Scored) -> tuple[Tensor, Tensor, Tensor]:
        loss = log_loss(scored.prediction, scored.label)
        return loss, torch.ones_like(loss), scored.cluster
