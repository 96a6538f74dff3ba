"""A network of its own for each treatment (the T-learner; Kuenzel et al., PNAS 2019)."""

from __future__ import annotations

from collections.abc import Mapping

from torch import Tensor, nn

from causalrec.heads.layers import MLP, join_inputs, stack_outputs
from causalrec.heads.treatment_head import AbstractTreatmentHead
from causalrec.types import ARMS, Count, Depth, Role


class TNet(AbstractTreatmentHead):
    """`arms[B,A+1] = h_a(x)`, a network for each treatment.

    The arms share what the encoder learns: read numbers alone, or a frozen encoder, for T-learners that share nothing.

    Args:
        num_features: number of the view's numbers of a row.
        vector_width: size of the vectors of user and item.
        arms: number of treatments, control counted.
        width: size of the layers.
        layers: number of ELU layers of each network.
    """

    def __init__(
        self, num_features: int, vector_width: int, arms: int, *, width: Count = 100, layers: Depth = 2
    ) -> None:
        super().__init__()
        self.outcome_heads = nn.ModuleList(
            MLP([vector_width + num_features, *[width] * layers, 1]) for _ in range(arms)
        )

    def forward(self, user: Tensor, item: Tensor, features: Tensor) -> Mapping[Role, Tensor]:
        return {ARMS: stack_outputs(self.outcome_heads, join_inputs(user, item, features))}
