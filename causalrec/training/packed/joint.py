"""Models, objectives and losses of several replicas as one."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from dataclasses import fields, replace
from typing import Any

import torch
from torch import Tensor

from causalrec.estimators.objective.base import AbstractObjective
from causalrec.models import CausalModel
from causalrec.types import Batch, Term


def stacked(models: Sequence[CausalModel]) -> CausalModel:
    """Return one model whose every parameter `[R,...]` holds the models' own."""
    together = copy.deepcopy(models[0])
    owned = [dict(model.named_parameters()) for model in models]
    for name, parameter in together.named_parameters():
        parameter.data = torch.stack([own[name].data for own in owned])
    return together


def joint(objectives: Sequence[AbstractObjective], like: Tensor) -> AbstractObjective:
    """Return one objective whose numbers, where they differ, are `[R,1]` tensors."""
    first: Any = objectives[0]
    changed = {}
    for name in (field.name for field in fields(first)):
        values = [getattr(objective, name) for objective in objectives]
        if any(value != values[0] for value in values):
            changed[name] = torch.tensor(values, dtype=like.dtype, device=like.device)[:, None]
    made: AbstractObjective = replace(first, **changed) if changed else first
    return made


def reduced(term: Term, batch: Batch) -> Tensor:
    """Return `[R]`: each replica's `sum(weight * value) / sum(weight * normaliser)`, squared if asked."""
    rows = batch.item.shape[-1]
    total = rows if term.normaliser is None else (batch.weight * term.normaliser.detach()).sum(-1)
    ratio: Tensor = (batch.weight * term.value).sum(-1) / total
    return ratio.square() if term.squared else ratio
