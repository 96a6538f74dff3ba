"""DESCN: outcomes, treatment and effect from one representation (Zhong et al., KDD 2022)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

from torch import Tensor, nn

from causalrec.encoders.base import affine
from causalrec.heads.layers import MLP, join_inputs, stack_outputs
from causalrec.heads.treatment_head import AbstractTreatmentHead
from causalrec.types import ARMS, EFFECT, PROPENSITY, REPRESENTATION, Count, Role


class DESCN(AbstractTreatmentHead):
    """`arms[B,A+1] = h_a(phi(x))`, `propensity[B,A+1]` affine in phi(x), and `effect[B,A]`, pseudo effects that are
    added to a raw output to give another arm's.

    Args:
        num_features: number of the view's numbers of a row.
        vector_width: size of the vectors of user and item.
        arms: number of treatments, control counted.
        width: size of the layers of phi.
        arm_width: size of the layers of each h_a and of each effect.
    """

    head_outputs: ClassVar[frozenset[Role]] = frozenset({ARMS, PROPENSITY, REPRESENTATION, EFFECT})

    def __init__(
        self, num_features: int, vector_width: int, arms: int, *, width: Count = 128, arm_width: Count = 64
    ) -> None:
        super().__init__()
        self.trunk = MLP([vector_width + num_features, width, width], activate_last=True)
        self.outcome_heads = nn.ModuleList(MLP([width, arm_width, arm_width, 1]) for _ in range(arms))
        self.effect_heads = nn.ModuleList(MLP([width, arm_width, arm_width, 1]) for _ in range(arms - 1))
        self.propensity_head = nn.Linear(width, arms)

    def forward(self, user: Tensor, item: Tensor, features: Tensor) -> Mapping[Role, Tensor]:
        phi = self.trunk(join_inputs(user, item, features))
        return {
            ARMS: stack_outputs(self.outcome_heads, phi),
            EFFECT: stack_outputs(self.effect_heads, phi),
            PROPENSITY: affine(self.propensity_head, phi),
            REPRESENTATION: phi,
        }
