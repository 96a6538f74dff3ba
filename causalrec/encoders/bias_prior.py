"""What the biases of items are shrunk towards: a linear function of their columns, by a variance that is learnt."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import numpy as np
import torch
from torch import Tensor, nn

from causalrec.encoders.base import AbstractIdRows, EncoderInputs
from causalrec.errors import RequestError
from causalrec.estimators.reduction import batch_sum
from causalrec.types import Batch, Link

START: Final = 1.0  # variance of the free part before any step: that of a logit by which items differ much
PACE: Final = 0.02  # share of the way to its new value that a step moves the variance; biases move about as fast


class ItemBiasPrior(AbstractIdRows):
    """Item bias = `w'x + b`, x the item's numbers, the free part `b ~ N(0, s2)`, s2 learnt by empirical Bayes.

    The loss of a mean row gains `f * sum_i b_i^2 / (2 s2 N)`, as each observed row of item i adding `f b_i^2 / (2 s2
    n_i)`: N rows, n_i of item i, f what the loss is in log-likelihoods (1 of clicks and counts, twice the mean squared
    residual of numbers). So `b_i` is the mode of its posterior under the objective's own weights, scaled to a mean of 1
    each row. After each step s2 moves a share of the way to the mean of `b_i^2 + v_i` over items with rows, the M-step
    of EM, where `v_i = 1 / (n_i h / f + 1 / s2)` is the variance of b_i's posterior (Laplace; h the mean curvature of
    the loss). At s2 = infinity b is as free as without a prior.

    The decays of the optimizer stay: w, as coefficients of columns, and b, as a bias, both take `bias_decay`. Wide
    categories are no part of x. Source: empirical Bayes of a random effect (Efron & Morris, JASA 1973; EM: Laird &
    Ware, Biometrics 1982). Assumption: items are exchangeable given x.

    Args:
        inputs: what the run hands an encoder: numbers of items and the training rows.
    """

    features: Tensor

    def __init__(self, inputs: EncoderInputs) -> None:
        super().__init__()
        self.entity = "item"
        rows, numbers = inputs.history_log, inputs.item_features
        if rows is None or inputs.num_items == 0 or numbers is None or numbers.shape[1] == 0:
            missing = "no numbers of items (wide categories are none)" if rows is not None else "no users"
            raise RequestError(
                f"encoder.prior=features: the outcome view has {missing if inputs.num_items else 'no items'}; add "
                f"such columns to the graph as causes of the outcome, or set encoder.prior=none"
            )
        counts = np.bincount(rows.item, weights=rows.row_weights, minlength=len(numbers))
        self.register_buffer("features", torch.from_numpy(np.ascontiguousarray(numbers)), persistent=False)
        self.coefficients = nn.Parameter(torch.zeros(numbers.shape[1]))
        self.counts = nn.Parameter(torch.from_numpy(counts.astype(np.float32)), requires_grad=False)
        self.variance = nn.Parameter(torch.tensor(START), requires_grad=False)

    def id_rows(self) -> Sequence[Tensor]:
        return [self.counts]

    def means(self, ids: Tensor) -> Tensor:
        """Return w'x of items, `[...,1]` for ids `[...]`; stacked, `[R,...,1]`."""
        weights = self.coefficients[..., None]
        features = self.features[ids].to(weights.dtype)
        return features @ (weights if weights.ndim == 2 else weights.view(len(weights), *[1] * (ids.ndim - 2), -1, 1))

    def terms(self, bias: nn.Parameter, free: Tensor, batch: Batch, raw: Tensor, link: Link) -> Tensor:
        """Return what each row adds to the loss, `[B]`, and step the variance.

        Args:
            bias: the free parts of all items, `[I]`.
            free: those of the batch's items, `[B]`.
            batch: of training rows.
            raw: outputs of the network, `[B]`.
            link: of the outcome.
        """
        counts = self.look_up(self.counts, batch.item, scalar=True)[..., 0]
        share = torch.where(counts > 0, batch.observed / counts.clamp_min(1e-6), 0.0)
        scale, curvature = _scale_and_curvature(batch, raw.detach(), link)
        variance = self.variance.detach().clone()
        if self.training:
            self._step(bias.detach(), curvature / scale)
        return share * scale / (2 * variance[..., None]) * free.square()

    def _step(self, free: Tensor, information: Tensor) -> None:
        """Move the variance towards that of all items with rows; `information`: of one row, `[1]` or `[R,1]`."""
        precision = self.counts * information + 1 / self.variance[..., None]
        second_moment, met = free.square() + 1 / precision, (self.counts > 0).to(free.dtype)
        target = (second_moment * met).sum(-1) / met.sum(-1)
        self.variance.data.lerp_(target.to(self.variance.dtype), PACE)


def _scale_and_curvature(batch: Batch, raw: Tensor, link: Link) -> tuple[Tensor, Tensor]:
    """Return f and h of the observed rows of a batch, `[1]`, of stacked models `[R,1]`."""
    weight = batch.weight * batch.observed

    def mean(value: Tensor) -> Tensor:
        return batch_sum(weight * value) / batch_sum(weight).clamp_min(1e-12)

    if link == "identity":
        scale = 2 * mean((batch.outcome - raw).square()).clamp_min(1e-12)
        return scale, torch.full_like(scale, 2.0)
    expected = torch.sigmoid(raw) if link == "logit" else raw.exp()
    curvature = mean(expected * (1 - expected) if link == "logit" else expected)
    return torch.ones_like(curvature), curvature
