"""The dot product of two towers, a linear term of the view's numbers, and a global bias."""

import torch
from torch import Tensor, nn

from causalrec.heads.base import AbstractHead


class Dot(AbstractHead):
    """`raw = user . item + coefficients . features + bias`; `features[B,F]` are standardised columns."""

    def __init__(self, num_features: int) -> None:
        super().__init__()
        self.coefficients = nn.Parameter(torch.zeros(num_features))
        self.bias = nn.Parameter(torch.zeros(()))

    def forward(self, user: Tensor, item: Tensor, features: Tensor) -> Tensor:
        raw = (user * item).sum(-1) + self.bias
        return raw + features @ self.coefficients if len(self.coefficients) else raw
