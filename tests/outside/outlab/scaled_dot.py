"""A head: the product of two vectors, scaled, beside a coefficient for each number."""

from __future__ import annotations

from typing import ClassVar

import torch
from torch import Tensor, nn

from causalrec.heads.base import AbstractHead


class ScaledDot(AbstractHead):
    """`scale * user . item + coefficients . features + bias`."""

    vectorizable: ClassVar[bool] = True

    def __init__(self, num_features: int, *, scale: float = 2.0) -> None:
        super().__init__()
        self.scale = scale
        self.coefficients, self.bias = nn.Parameter(torch.zeros(num_features)), nn.Parameter(torch.zeros(()))

    def forward(self, user: Tensor, item: Tensor, features: Tensor) -> Tensor:
        raw = self.scale * (user * item).sum(-1) + self.bias[..., None]
        return raw + (features @ self.coefficients[..., None])[..., 0] if features.shape[-1] else raw
