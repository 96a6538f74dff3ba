"""Ids without a training row are read at the mean of those that have one: an average user, not a random vector."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import torch
from torch import Tensor, nn

from causalrec.data.log import InteractionLog
from causalrec.encoders.base import AbstractIdRows
from causalrec.types import Entity, Space

TrainedIds = Mapping[Entity, Tensor]  # bool[N], of stacked fits bool[R,N]: which ids have a training row
ENTITIES_OF_SPACE: Mapping[Space, tuple[Entity, ...]] = {"logged": ("user", "item"), "triples": ("user",)}


def trained_ids(log: InteractionLog, space: Space) -> TrainedIds:
    """Return which users and items have a training row, where effects are learnt; empty of exposure, where all count.

    Args:
        log: the training rows.
        space: kind of rows that the objective averages over; pairs that were never logged train ids without a row.
    """
    if not log.has_arms:
        return {}
    ids = {"user": (log.user, log.num_users), "item": (log.item, log.num_items)}
    masks: dict[Entity, Tensor] = {}
    for entity in ENTITIES_OF_SPACE.get(space, ()):
        rows, count = ids[entity]
        if rows is not None:
            masks[entity] = torch.from_numpy(np.bincount(rows, minlength=count) > 0)
    return masks


def stack_trained_ids(masks: Sequence[TrainedIds]) -> TrainedIds:
    """Return the ids of several fits side by side, `[R,N]`."""
    return {entity: torch.stack([each[entity] for each in masks]) for entity in masks[0]}


@torch.no_grad()
def set_unseen_to_mean(model: nn.Module, trained: TrainedIds) -> None:
    """Set the rows of ids without a training row to the mean of the others, in every table of ids of a model.

    Args:
        model: whose parameters are changed; of stacked fits `[R,...]`.
        trained: as `trained_ids` gives them, stacked where the model is.
    """
    for module in model.modules():
        if isinstance(module, AbstractIdRows) and (mask := trained.get(module.entity)) is not None:
            for table in () if mask.all() else module.id_rows():
                _set_to_mean(table.data, mask.to(table.device))


def _set_to_mean(table: Tensor, trained: Tensor) -> None:
    axis = trained.ndim - 1
    rows = table.narrow(axis, 0, trained.shape[-1])  # a view: what comes after the ids stays
    weight = trained.view(*trained.shape, *[1] * (rows.ndim - trained.ndim)).to(rows.dtype)
    mean = (rows * weight).sum(axis, keepdim=True) / weight.sum(axis, keepdim=True)
    rows.copy_(torch.where(weight > 0, rows, mean))
