"""The vectors that a trained network has of users and of items."""

from __future__ import annotations

from typing import cast

import numpy as np
import torch
from torch import Tensor

from causalrec.data.log import InteractionLog
from causalrec.encoders.base import AbstractEncoder, AbstractIdRows, AbstractPairEncoder
from causalrec.encoders.history import Histories
from causalrec.errors import RequestError
from causalrec.features.views import FeatureMatrix
from causalrec.learners.network_predictor import NetworkPredictor
from causalrec.learners.predictor import AbstractPredictor
from causalrec.models import inference_batch
from causalrec.role_network import RoleNetwork
from causalrec.types import OUTCOME, Bools, Entity, Floats, Ints


@torch.inference_mode()
def id_vectors(predictor: AbstractPredictor, features: FeatureMatrix, fitted: InteractionLog) -> dict[Entity, Floats]:
    """Return the outcome network's vectors of users, float32[U,D], and of items, float32[I,D]; none without users.

    A row of NaN is that of an id that the network knows by a parameter of its own and that had no training row: the
    parameter is what it started from. Users of encoders of histories have that of all their events.

    Args:
        predictor: of the run.
        features: the numbers of its outcome view.
        fitted: the rows that it was fitted on.

    Raises:
        RequestError: Where the run has no network, or one that reads user and item together.
    """
    network = _outcome_network(predictor)
    network.eval()
    device = next(network.parameters()).device
    encoder = cast(AbstractEncoder, network.encoder)
    items = encoder.items(torch.arange(fitted.num_items, device=device))
    vectors: dict[Entity, Tensor] = {"item": items}
    if fitted.user is not None:
        users, other = np.arange(fitted.num_users), _items_not_met(network, fitted)
        chunks = np.split(users, range(encoder.rows_at_once, len(users), encoder.rows_at_once))
        batches = (inference_batch(ids, other[ids], features).to(device) for ids in chunks)
        vectors["user"] = torch.cat([encoder.users(batch) for batch in batches])
    met: dict[Entity, Ints] = {"user": fitted.users, "item": fitted.item}
    return {
        side: _hide_unmet(network, side, values.float().cpu().numpy(), met[side]) for side, values in vectors.items()
    }


def _outcome_network(predictor: AbstractPredictor) -> RoleNetwork:
    if not isinstance(predictor, NetworkPredictor) or str(OUTCOME) not in predictor.model.networks:
        raise RequestError("vectors: the run has no outcome network; name a run of encoder=mf or another of two towers")
    network = predictor.model.network(OUTCOME)
    if isinstance(network.encoder, AbstractPairEncoder):
        raise RequestError(
            "vectors: the run's encoder reads user and item together, so that neither has a vector; name a run of "
            "encoder=mf or another of two towers"
        )
    return network


def _items_not_met(network: RoleNetwork, fitted: InteractionLog) -> Ints:
    """Return the first item of each user that no history of theirs holds (the last, where all do), int64[U]: a history
    never holds the row's own item.
    """
    modules = [module for module in network.modules() if isinstance(module, Histories)]
    items = [module.get_buffer("event_items").cpu().numpy() for module in modules]
    codes = [module.event_users * fitted.num_items + held for module, held in zip(modules, items, strict=True)]
    user, item = np.divmod(np.unique(np.concatenate([np.zeros(0, np.int64), *codes])), fitted.num_items)
    rank = np.arange(len(user)) - np.searchsorted(user, user)
    first: Ints = np.bincount(user[item == rank], minlength=fitted.num_users)
    return np.minimum(first, fitted.num_items - 1)


def _hide_unmet(network: RoleNetwork, side: Entity, values: Floats, met: Ints) -> Floats:
    tables = [module for module in network.modules() if isinstance(module, AbstractIdRows)]
    if not any(table.entity == side and table.id_rows() for table in tables):
        return values
    seen: Bools = np.bincount(met, minlength=len(values)) > 0
    hidden: Floats = np.where(seen[:, None], values, np.float32(np.nan))
    return hidden
