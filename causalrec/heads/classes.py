"""One raw output per class: multinomial logistic regression on how user and item meet."""

from typing import Annotated, ClassVar

import torch
from pydantic import Field
from torch import Tensor, nn

from causalrec.heads.base import AbstractHead
from causalrec.types import Link


class Classes(AbstractHead):
    """`raw = (user * item) W + features C + bias`, `[B,K]`: log-probabilities up to a constant of each row.

    `W[D,K]`, `C[F,K]`, `features[B,F]` standardised columns; a pair read together has its vector in place of
    `user * item`. `num_classes`: the number K of classes, that of the outcome.
    """

    reads_width: ClassVar[bool] = True
    links: ClassVar[frozenset[Link]] = frozenset({"softmax"})

    def __init__(self, num_features: int, width: int, *, num_classes: Annotated[int, Field(ge=2)]) -> None:
        super().__init__()
        self.met = nn.Linear(width, num_classes)
        nn.init.zeros_(self.met.bias)
        self.coefficients = nn.Parameter(torch.zeros(num_features * num_classes))  # one axis: it decays as a bias does

    @torch.no_grad()
    def start_at(self, raw: Tensor) -> None:
        self.met.bias.copy_(raw)

    def forward(self, user: Tensor, item: Tensor, features: Tensor) -> Tensor:
        raw: Tensor = self.met(user * item)
        return raw + features @ self.coefficients.view(features.shape[-1], -1) if features.shape[-1] else raw
