"""The weights of a network for more ids than it was trained on: a new one is read at the mean of the others."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import torch
from torch import Tensor

from causalrec.data.log import InteractionLog
from causalrec.encoders.base import AbstractIdRows
from causalrec.errors import RequestError
from causalrec.models import CausalModel
from causalrec.types import Entity


@torch.no_grad()
def grow_weights(trained: CausalModel, larger: CausalModel, log: InteractionLog, choice: str) -> None:
    """Give a model of more ids the weights of a trained one; a new id has the mean of the ids with a training row.

    Args:
        trained: the model.
        larger: the same but for further ids, behind those of the log; its weights are set.
        log: the training rows.
        choice: the encoder, for messages.

    Raises:
        RequestError: Where other weights than tables of ids grow with the number of ids.
    """
    counts = {"user": (log.users, log.num_users), "item": (log.item, log.num_items)}
    entities: dict[int, Entity] = {
        id(table): module.entity
        for module in trained.modules()
        if isinstance(module, AbstractIdRows)
        for table in module.id_rows()
    }
    target, state = larger.state_dict(), dict[str, Tensor]()
    for name, weight in trained.state_dict(keep_vars=True).items():
        entity, more = entities.get(id(weight)), len(target[name]) - len(weight) if weight.ndim else 0
        if entity is not None and more > 0:
            ids, count = counts[entity]
            state[name] = _grow(weight.detach(), torch.from_numpy(np.bincount(ids, minlength=count) > 0), more)
        else:
            state[name] = weight.detach()
    _require_shapes(state, target, choice)
    larger.load_state_dict(state)


def _grow(table: Tensor, is_trained: Tensor, more: int) -> Tensor:
    """Insert rows behind those of the ids, each the mean of the trained ones.

    >>> _grow(torch.tensor([1.0, 3.0, 9.0, 7.0]), torch.tensor([True, True, False]), 2).tolist()
    [1.0, 3.0, 9.0, 2.0, 2.0, 7.0]
    """
    ids = table[: len(is_trained)]
    mean = ids[is_trained].mean(0, keepdim=True)
    return torch.cat([ids, mean.expand(more, *mean.shape[1:]), table[len(is_trained) :]])


def _require_shapes(state: Mapping[str, Tensor], target: Mapping[str, Tensor], choice: str) -> None:
    for name, weight in state.items():
        if weight.shape != target[name].shape:
            raise RequestError(
                f"{choice}: {name} has a weight for each id that stands for no average one, so that new users and "
                f"items cannot be predicted"
            )
