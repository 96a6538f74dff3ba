"""Models, objectives and losses of several replicas as one."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from dataclasses import fields, replace
from typing import Any

import torch
from torch import Tensor

from causalrec.estimators.objective.base import AbstractObjective
from causalrec.estimators.penalty.base import AbstractPenalty
from causalrec.models import CausalModel
from causalrec.types import Batch, Outputs, Term


def stack_models(models: Sequence[CausalModel]) -> CausalModel:
    """Return one model whose every parameter `[R,...]` holds the models' own."""
    merged = copy.deepcopy(models[0])
    parameters = [dict(model.named_parameters()) for model in models]
    for name, parameter in merged.named_parameters():
        parameter.data = torch.stack([by_name[name].data for by_name in parameters])
    return merged


def merge_objectives(objectives: Sequence[AbstractObjective], like: Tensor) -> AbstractObjective:
    """Return one objective whose numbers, where they differ, are `[R,1]` tensors."""
    first: Any = objectives[0]
    changed = {}
    for name in (field.name for field in fields(first)):
        values = [getattr(each, name) for each in objectives]
        if any(value != values[0] for value in values):
            changed[name] = torch.tensor(values, dtype=like.dtype, device=like.device)[:, None]
    objective: AbstractObjective = replace(first, **changed) if changed else first
    return objective


def reduce_term(term: Term, batch: Batch) -> Tensor:
    """Return `[R]`: each replica's `sum(weight * value) / sum(weight * normaliser)`, squared if asked."""
    rows = batch.item.shape[-1]
    total = rows if term.normaliser is None else (batch.weight * term.normaliser.detach()).sum(-1)
    ratio: Tensor = (batch.weight * term.value).sum(-1) / total
    return ratio.square() if term.squared else ratio


def penalty_value(penalty: AbstractPenalty, batch: Batch, outputs: Outputs) -> Tensor:
    """Return `[R]`: each replica's value of a penalty, before its weight."""
    ratios = penalty.ratios(batch, outputs)
    return penalty.combine({name: reduce_term(term, batch) for name, term in ratios.items()})


def clip_gradients(parameters: Sequence[Tensor], largest: float) -> None:
    """Scale the gradients of stacked parameters `[R,...]`, so that none of the replicas' norms is above `largest`.

    >>> parameter = torch.ones(2, 2, requires_grad=True)
    >>> (parameter * torch.tensor([[3.0, 4.0], [0.3, 0.4]])).sum().backward()
    >>> clip_gradients([parameter], 1.0)
    >>> parameter.grad.norm(dim=1).round(decimals=3).tolist()
    [1.0, 0.5]
    """
    gradients = [parameter.grad for parameter in parameters if parameter.grad is not None]
    if not gradients:
        return
    norm = torch.stack([gradient.reshape(len(gradient), -1).square().sum(1) for gradient in gradients]).sum(0).sqrt()
    share = (largest / (norm + 1e-6)).clamp_max(1.0)  # as torch.nn.utils.clip_grad_norm_ has it
    for gradient in gradients:
        gradient.mul_(share.view(-1, *[1] * (gradient.ndim - 1)))
