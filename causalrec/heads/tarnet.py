"""TARNet: outcomes under each treatment from one representation (Shalit, Johansson & Sontag, ICML 2017)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

from torch import Tensor, nn
from torch.nn import functional

from causalrec.heads.layers import MLP, join_inputs, stack_outputs
from causalrec.heads.treatment_head import AbstractTreatmentHead
from causalrec.types import ARMS, REPRESENTATION, Count, Depth, Role


class TARNet(AbstractTreatmentHead):
    """`arms[B,A+1] = h_a(phi(x))`. Default widths and depths are the paper's.

    Args:
        num_features: number of the view's numbers of a row.
        vector_width: size of the vectors of user and item.
        arms: number of treatments, control counted.
        width: size of the layers of phi.
        arm_width: size of the layers of each h_a.
        layers: number of ELU layers of phi, and of each h_a.
        normalised: phi is divided by its length, as the published code of CFR does.
    """

    head_outputs: ClassVar[frozenset[Role]] = frozenset({ARMS, REPRESENTATION})

    def __init__(
        self,
        num_features: int,
        vector_width: int,
        arms: int,
        *,
        width: Count = 200,
        arm_width: Count = 100,
        layers: Depth = 3,
        normalised: bool = False,
    ) -> None:
        super().__init__()
        self.trunk = MLP([vector_width + num_features, *[width] * layers], activate_last=True)
        self.outcome_heads = nn.ModuleList(MLP([width, *[arm_width] * layers, 1]) for _ in range(arms))
        self.normalised = normalised

    def forward(self, user: Tensor, item: Tensor, features: Tensor) -> Mapping[Role, Tensor]:
        phi = self.trunk(join_inputs(user, item, features))
        phi = functional.normalize(phi, dim=-1) if self.normalised else phi
        return {ARMS: stack_outputs(self.outcome_heads, phi), REPRESENTATION: phi}
