"""The second forward that a penalty asks for: heads at vectors moved by the gradient of the objective's loss."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

import torch
from torch import Tensor

from causalrec.estimators.objective.base import AbstractObjective
from causalrec.estimators.penalty.base import AbstractPenalty, RoleVectors
from causalrec.models import CausalModel
from causalrec.types import Batch, Outputs, Role


def with_moved_vectors(
    model: CausalModel,
    objective: AbstractObjective,
    penalty: AbstractPenalty,
    batch: Batch,
    outputs: Outputs,
    loss: Tensor,
) -> Outputs:
    """Return the outputs at the vectors that a penalty moves to, with the objective's terms there.

    Encoders are not called again: their vectors are moved by what is without a gradient, so that what the heads give
    there still trains them. The outputs before stand in `unmoved`. A user of a triple is moved alike on both sides, by
    the sum of the gradients.

    Args:
        model: that gave the outputs, or a stack of models.
        objective: whose terms are computed.
        penalty: whose `roles` are moved.
        batch: that the outputs are of.
        outputs: with the objective's terms.
        loss: of the objective, a scalar, or of each replica `[R]`.
    """
    sides = [outputs, *([] if outputs.negatives is None else [outputs.negatives])]
    vectors = [{role: side.vectors[role] for role in penalty.roles if role in side.vectors} for side in sides]
    gradients = [_without_biases(model, each) for each in _gradients(loss, vectors)]
    if len(gradients) == 2:
        gradients = _with_common_users(gradients)
    moved = [penalty.move(where, slope) for where, slope in zip(vectors, gradients, strict=True)]
    batches = [batch, batch.with_negative_items()] if len(sides) == 2 else [batch]
    heads = [model.with_vectors(*each) for each in zip(batches, sides, moved, strict=True)]
    result = replace(heads[0], negatives=heads[1]) if len(heads) == 2 else heads[0]
    return replace(result, terms=objective.terms(batch, result), unmoved=outputs)


def _gradients(loss: Tensor, vectors: Sequence[RoleVectors]) -> list[RoleVectors]:
    """Return the gradients of a loss by vectors, zeros by those that no parameter is behind (a pair encoder's ones)."""
    every = [vector for side in vectors for pair in side.values() for vector in pair]
    trained = [vector for vector in every if vector.requires_grad]
    slopes = torch.autograd.grad(loss.sum(), trained, retain_graph=True, allow_unused=True)
    of_each = {id(vector): slope for vector, slope in zip(trained, slopes, strict=True)}

    def slope_of(vector: Tensor) -> Tensor:
        slope = of_each.get(id(vector))
        return torch.zeros_like(vector) if slope is None else slope

    return [{role: (slope_of(user), slope_of(item)) for role, (user, item) in side.items()} for side in vectors]


def _without_biases(model: CausalModel, gradients: RoleVectors) -> Mapping[Role, tuple[Tensor, Tensor]]:
    """Return the gradients with zeros where vectors hold biases and ones."""
    masked = {}
    for role, (user, item) in gradients.items():
        size = user.shape[-1] - model.network(role).encoder.bias_dimensions
        masked[role] = tuple(
            torch.cat([slope[..., :size], torch.zeros_like(slope[..., size:])], -1) for slope in (user, item)
        )
    return masked  # type: ignore[return-value]


def _with_common_users(gradients: list[RoleVectors]) -> list[RoleVectors]:
    first, second = gradients
    users = {role: first[role][0] + second[role][0] for role in first}
    return [{role: (users[role], item) for role, (_, item) in side.items()} for side in gradients]
