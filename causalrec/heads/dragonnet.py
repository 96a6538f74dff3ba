"""DragonNet: TARNet whose representation also tells the treatment (Shi, Blei & Veitch, NeurIPS 2019)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

import torch
from torch import Tensor, nn

from causalrec.encoders.base import affine
from causalrec.heads.layers import MLP, join_inputs, stack_outputs
from causalrec.heads.treatment_head import AbstractTreatmentHead
from causalrec.types import ARMS, EPSILON, PROPENSITY, REPRESENTATION, Count, Role


class DragonNet(AbstractTreatmentHead):
    """`arms[B,A+1] = h_a(phi(x))`, `propensity[B,A+1]` affine in phi(x), and one number `epsilon`.

    Three ELU layers for phi and two for each h_a, as in the paper.

    Args:
        num_features: number of the view's numbers of a row.
        vector_width: size of the vectors of user and item.
        arms: number of treatments, control counted.
        width: size of the layers of phi.
        arm_width: size of the layers of each h_a.
    """

    head_outputs: ClassVar[frozenset[Role]] = frozenset({ARMS, PROPENSITY, REPRESENTATION, EPSILON})

    def __init__(
        self,
        num_features: int,
        vector_width: int,
        arms: int,
        *,
        width: Count = 200,
        arm_width: Count = 100,
    ) -> None:
        super().__init__()
        self.trunk = MLP([vector_width + num_features, width, width, width], activate_last=True)
        self.outcome_heads = nn.ModuleList(MLP([width, arm_width, arm_width, 1]) for _ in range(arms))
        self.propensity_head = nn.Linear(width, arms)
        self.epsilon = nn.Parameter(torch.zeros(()))

    def forward(self, user: Tensor, item: Tensor, features: Tensor) -> Mapping[Role, Tensor]:
        phi = self.trunk(join_inputs(user, item, features))
        epsilon = self.epsilon[..., None].expand(phi.shape[:-1])
        return {
            ARMS: stack_outputs(self.outcome_heads, phi),
            PROPENSITY: affine(self.propensity_head, phi),
            REPRESENTATION: phi,
            EPSILON: epsilon,
        }
