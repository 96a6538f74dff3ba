"""One network that reads the treatment beside the rest (the S-learner; Kuenzel et al., PNAS 2019)."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, nn

from causalrec.heads.layers import MLP, join_inputs
from causalrec.heads.treatment_head import AbstractTreatmentHead
from causalrec.types import ARMS, Count, Depth, Role


class SNet(AbstractTreatmentHead):
    """`arms[B,A+1] = h(x, a)`, a one-hot. Weight decay shrinks the effect.

    Args:
        num_features: number of the view's numbers of a row.
        vector_width: size of the vectors of user and item.
        arms: number of treatments, control counted.
        width: size of the layers.
        layers: number of ELU layers.
    """

    def __init__(
        self, num_features: int, vector_width: int, arms: int, *, width: Count = 100, layers: Depth = 2
    ) -> None:
        super().__init__()
        self.arms = arms
        self.outcome_heads = nn.ModuleList([MLP([vector_width + num_features + arms, *[width] * layers, 1])])

    def forward(self, user: Tensor, item: Tensor, features: Tensor) -> Mapping[Role, Tensor]:
        read = join_inputs(user, item, features)
        one_hot = torch.eye(self.arms, dtype=read.dtype, device=read.device)
        each = [
            self.outcome_heads[0](torch.cat([read, one_hot[a].expand(*read.shape[:-1], self.arms)], -1))
            for a in range(self.arms)
        ]
        return {ARMS: torch.cat(each, -1)}
