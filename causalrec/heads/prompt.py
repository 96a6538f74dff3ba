"""The answer of a language model as log-odds, with a scale and a shift that are trained or not."""

from collections.abc import Mapping
from typing import ClassVar

import torch
from torch import Tensor, nn

from causalrec.heads.base import AbstractHead
from causalrec.types import Link


class PromptHead(AbstractHead):
    """`raw = scale * x + shift` of a pair encoder's one number x (log-odds), scale 1 and shift 0 at first.

    Trained on logged rows this is Platt's scaling (1999): it makes the answer a probability of the rows that it is
    fitted on, weighted as the objective weights them; of an outcome that is no click it is a line in the log-odds
    (untrained it only ranks). Of two towers x is the product of their vectors.

    Args:
        num_features: numbers of the outcome view, which it does not read.
        trained: whether scale and shift are trained; else the answer stands as it is (zero-shot).
    """

    vectorizable: ClassVar[bool] = True
    links: ClassVar[frozenset[Link]] = frozenset({"logit", "identity"})

    def __init__(self, num_features: int, *, trained: bool = True) -> None:
        super().__init__()
        self.scale = nn.Parameter(torch.ones(()), requires_grad=trained)
        self.shift = nn.Parameter(torch.zeros(()), requires_grad=trained)

    @classmethod
    def has_weights(cls, settings: Mapping[str, object]) -> bool:
        return bool(settings.get("trained", True))

    def forward(self, user: Tensor, item: Tensor, features: Tensor) -> Tensor:
        return self.scale[..., None] * (user * item).sum(-1) + self.shift[..., None]
