"""Passes with dropout that an objective asks for: the same draws alone and in a stack, from (seed, epoch, step)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import torch
from torch import Tensor

from causalrec.estimators.objective.base import AbstractObjective
from causalrec.models import CausalModel
from causalrec.training.epoch_rows import generator_of
from causalrec.types import Batch, Outputs

DROPS = 103  # tells these draws of one seed and epoch from others


@torch.no_grad()
def with_passes(
    model: CausalModel, objective: AbstractObjective, batch: Batch, outputs: Outputs, draws: Sequence[torch.Generator]
) -> Outputs:
    """Return the outputs with those of the passes that the objective asks for, `[P,B]` by role.

    Args:
        model: that gave the outputs.
        objective: that reads them.
        batch: that they are of.
        outputs: of the model.
        draws: generators of the dropout, one for each replica where there are many.
    """
    if not objective.passes:
        return outputs
    passes = {}
    for role in objective.pass_roles:
        shape = outputs.vectors[role][0].shape
        masks = _draw_masks(objective, shape, draws).to(outputs.vectors[role][0])
        passes[role] = model.with_passes(role, batch, outputs, masks)
    return replace(outputs, passes=passes)


def _draw_masks(objective: AbstractObjective, shape: Sequence[int], draws: Sequence[torch.Generator]) -> Tensor:
    """Return what entries of user and item vectors are multiplied by, `[P,2,B,D]` or `[P,2,R,B,D]`."""
    shape_alone = (objective.passes, 2, *shape[-2:])
    shares = (1 - torch.as_tensor(objective.dropout, dtype=torch.float64)).flatten().expand(len(draws)).tolist()
    drops = [torch.empty(shape_alone).bernoulli_(s, generator=d) / s for s, d in zip(shares, draws, strict=True)]
    return drops[0] if len(shape) == 2 else torch.stack(drops, 2)


def draw_generators(seeds: Sequence[int], epoch: int, step: int, rank: int = 0) -> list[torch.Generator]:
    """Return the generators of a step's passes, one for each seed.

    Args:
        seeds: of the fits.
        epoch: from 0.
        step: of the epoch, from 0.
        rank: of the process.
    """
    return [generator_of(seed, epoch, step, rank, DROPS) for seed in seeds]
