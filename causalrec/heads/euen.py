"""EUEN: an outcome network and an effect network, summed (Ke et al., ICDM 2021)."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, nn

from causalrec.heads.layers import MLP, join_inputs, stack_outputs
from causalrec.heads.treatment_head import AbstractTreatmentHead
from causalrec.types import ARMS, Count, Depth, Role


class EUEN(AbstractTreatmentHead):
    """`arms[B,A+1] = [h(x), h(x) + u_1(x), ..]`: a sum of raw outputs, of log-odds where outcomes are clicks.

    Args:
        num_features: number of the view's numbers of a row.
        vector_width: size of the vectors of user and item.
        arms: number of treatments, control counted.
        width: size of the layers of h and of each u.
        layers: number of ELU layers of h and of each u.
    """

    def __init__(
        self, num_features: int, vector_width: int, arms: int, *, width: Count = 100, layers: Depth = 2
    ) -> None:
        super().__init__()
        widths = [vector_width + num_features, *[width] * layers, 1]
        self.outcome_heads = nn.ModuleList([MLP(widths)])
        self.effect_heads = nn.ModuleList(MLP(widths) for _ in range(arms - 1))

    def forward(self, user: Tensor, item: Tensor, features: Tensor) -> Mapping[Role, Tensor]:
        read = join_inputs(user, item, features)
        control = self.outcome_heads[0](read)
        return {ARMS: torch.cat([control, control + stack_outputs(self.effect_heads, read)], -1)}
