"""Adversarial personalised ranking: the loss must not rise much where vectors are moved against it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, ClassVar

import torch
from pydantic import Field
from torch import Tensor

from causalrec.estimators.penalty.base import AbstractPenalty, RoleVectors, Weight
from causalrec.types import Batch, Outputs, Term

SMALLEST_NORM = 1e-12  # below it a gradient has no direction


@dataclass(frozen=True, kw_only=True)
class Adversarial(AbstractPenalty):
    """`L(vectors + D) - L(vectors)`, D = epsilon * g / |g| of each user's and item's vector, g the gradient of L there.

    L is the objective's loss of the outcome network, whatever the objective; D is held fixed in the gradient. The
    second loss reads the moved vectors (a public implementation reads the clean ones, and trains the loss twice).
    With a weight w the sum is (1 - w) times that of the paper, L(vectors) + l L(vectors + D), where l = w / (1 - w):
    the paper's l = 1 is w = 0.5, and the scale is one that AdamW does not see. At epsilon 0 the loss does not rise,
    and the fit is that without the penalty, bit for bit.

    D moves the vectors of a batch's rows; biases stay. Norms are of each row's own vector, where the paper's are of the
    sum over the rows of a batch that share an id. Source: He, He, Du & Chua (SIGIR 2018), equations 6 to 9.

    Args:
        epsilon: Length of D, in the unit of the vectors (0.5 in the paper).
        weight: w above, below 1 for what the paper has.

    >>> user, slope = torch.zeros(1, 2), torch.tensor([[3.0, -4.0]])
    >>> step(user, slope, 0.5)
    tensor([[ 0.3000, -0.4000]])
    """

    reads_terms: ClassVar[bool] = True
    moves: ClassVar[bool] = True
    vectorizable: ClassVar[bool] = True

    epsilon: Annotated[float, Field(ge=0)] = 0.5
    weight: Weight = 0.5

    def move(self, vectors: RoleVectors, gradients: RoleVectors) -> RoleVectors:
        return {
            role: (step(user, gradients[role][0], self.epsilon), step(item, gradients[role][1], self.epsilon))
            for role, (user, item) in vectors.items()
        }

    def ratios(self, batch: Batch, outputs: Outputs) -> Mapping[str, Term]:
        assert outputs.unmoved is not None, "the trainer moves the vectors first"
        clean = outputs.unmoved.terms
        rises = {}
        for name, term in outputs.terms.items():
            if term.trains in self.roles:
                rise = term.value - clean[name].value if self.epsilon else torch.zeros_like(term.value)
                rises[name] = Term(rise, term.trains, normaliser=term.normaliser)
        return rises


def step(vector: Tensor, gradient: Tensor, length: float) -> Tensor:
    """Return `vector + length * gradient / |gradient|`, `[...,D]`; the vector where the gradient is 0."""
    norm = torch.linalg.vector_norm(gradient, dim=-1, keepdim=True)
    moved: Tensor = vector + length * gradient / norm.clamp_min(SMALLEST_NORM)
    return moved
