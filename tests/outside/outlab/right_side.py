"""A metric: how often a prediction is on the right side of one half."""

from __future__ import annotations

import torch
from torch import Tensor

from causalrec.metrics.base import AbstractRatio, Scored


class RightSide(AbstractRatio):
    """The share of rows whose prediction is on the side of one half that the click is on."""

    labels = frozenset({"binary"})
    higher_is_better = True
    under_affine = "undefined"

    def ratio_terms(self, scored: Scored) -> tuple[Tensor, Tensor, Tensor]:
        right = ((scored.prediction > 0.5) == (scored.label > 0.5)).to(scored.prediction.dtype)
        return right, torch.ones_like(right), scored.cluster
