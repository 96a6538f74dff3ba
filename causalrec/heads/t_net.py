"""A network of its own for each treatment (the T-learner; Kuenzel et al., PNAS 2019)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

from torch import Tensor, nn

from causalrec.heads.base import AbstractHead
from causalrec.heads.layers import MLP, join_inputs, stack_outputs
from causalrec.types import ARMS, Count, Role


class TNet(AbstractHead):
    """`arms[B,A+1] = h_a(x)`: `layers` ELU layers of `width` for each treatment. What the encoder learns, arms share:
    read numbers alone, or a frozen encoder, for T-learners that share nothing.
    """

    vectorizable: ClassVar[bool] = True
    reads_width: ClassVar[bool] = True
    head_outputs: ClassVar[frozenset[Role]] = frozenset({ARMS})

    def __init__(
        self, num_features: int, vector_width: int, arms: int, *, width: Count = 100, layers: Count = 2
    ) -> None:
        super().__init__()
        self.outcome_heads = nn.ModuleList(
            MLP([vector_width + num_features, *[width] * layers, 1]) for _ in range(arms)
        )

    def forward(self, user: Tensor, item: Tensor, features: Tensor) -> Mapping[Role, Tensor]:
        return {ARMS: stack_outputs(self.outcome_heads, join_inputs(user, item, features))}
