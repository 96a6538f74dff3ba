"""All items for a block of users by a trained network: one product where its head is one, else pair by pair."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import cast

import numpy as np
import torch
from torch import Tensor

from causalrec.data.pair_lists import PairLists
from causalrec.encoders.base import AbstractEncoder, AbstractPairEncoder
from causalrec.encoders.history import Histories
from causalrec.estimators.objective.base import AbstractObjective
from causalrec.evaluation.catalogue_predictions import ScoreBuffer
from causalrec.evaluation.slice.catalogue import CatalogueData
from causalrec.features.views import FeatureMatrix
from causalrec.models import CausalModel, inference_batch, tensor_of_levels
from causalrec.role_network import RoleNetwork
from causalrec.types import Batch, Floats, Ints, Outputs, Role


@dataclass(frozen=True, kw_only=True)
class TowerScorer:
    """Scores all items of users by one product of user and item factors for each role.

    A history never holds the row's own item: a user's vector is made for an item that the history lacks, and the few
    candidates that it holds are scored pair by pair.

    Attributes:
        model: the networks.
        features: the numbers of the outcome view, none of them of pairs.
        objective: what the networks were trained by.
        data: the slice.
        items: the factors of all items by role, float32[I,E].
        histories: what histories hold, where the networks read some.
        buffers: what the products are written to, by role.
    """

    model: CausalModel
    features: FeatureMatrix
    objective: AbstractObjective
    data: CatalogueData
    items: Mapping[Role, Tensor]
    histories: PairLists | None
    buffers: Mapping[Role, ScoreBuffer]

    @torch.no_grad()
    def __call__(self, users: Ints) -> Tensor:
        """Return the predictions of all items for users int64[B], float32[B,I]."""
        self.model.eval()
        raw = {role: self._product(role, users) for role in self.items}
        score = raw[self.objective.prediction_roles[0]]
        if not self._raw_ranks:
            outputs = Outputs({role: values.reshape(-1) for role, values in raw.items()}, self.model.link)
            predicted = self.objective.predict(outputs).float()
            score = self._means(predicted).reshape(score.shape)
        return score if self.histories is None else self._correct(score, users, self.histories)

    @cached_property
    def _raw_ranks(self) -> bool:
        """Whether the raw output ranks as the prediction does, which is the mean that it rises with."""
        default, objective = AbstractObjective, type(self.objective)
        unchanged = (objective.score, objective.predict) == (default.score, default.predict)
        return unchanged and self.data.kind == "ranking" and self.model.link != "softmax"

    def _product(self, role: Role, users: Ints) -> Tensor:
        network, at_once = self.model.network(role), self.model.rows_at_once
        chunks = [users[start : start + at_once] for start in range(0, len(users), at_once)]
        factors, items = torch.cat([self._user_factors(network, chunk) for chunk in chunks]), self.items[role]
        return torch.mm(factors, items.T, out=self.buffers[role](len(users), len(items), items.device))

    def _user_factors(self, network: RoleNetwork, users: Ints) -> Tensor:
        item = np.zeros_like(users) if self.histories is None else self._unmet_items(users, self.histories)
        batch = inference_batch(users, item, self.features).to(self.items[Role(next(iter(self.items)))].device)
        vectors = _user_vectors(network, batch)
        factors = network.head.user_factors(
            vectors, _columns_of(network, self.features.of_users(users), vectors.device)
        )
        assert factors is not None
        return factors

    def _means(self, predicted: Tensor) -> Tensor:
        """Return mean outcomes, `[N]`; the expected class of chances `[N,C]`."""
        return predicted if predicted.ndim == 1 else predicted @ torch.arange(predicted.shape[1]).to(predicted)

    def _unmet_items(self, users: Ints, histories: PairLists) -> Ints:
        """Return an item of each user that the history lacks; any where it holds all, as none is then scored by it."""
        _, item = histories.of_users(users)
        first = np.concatenate([[0], np.cumsum(histories.counts[users])])
        lists = (item[first[k] : first[k + 1]] for k in range(len(users)))
        unmet = [int(np.searchsorted(held - np.arange(len(held)), 0, side="right")) for held in lists]
        return np.minimum(np.array(unmet, np.int64), self.data.num_items - 1)

    def _correct(self, score: Tensor, users: Ints, histories: PairLists) -> Tensor:
        """Score the candidates that a history holds, each without itself in it."""
        position, item = histories.of_users(users)
        if self.data.excluded is not None:
            excluded_position, excluded_item = self.data.excluded.of_users(users)
            codes, width = position * self.data.num_items + item, self.data.num_items
            candidate = ~np.isin(codes, excluded_position * width + excluded_item)
            position, item = position[candidate], item[candidate]
        if len(item):
            extract = (lambda outputs: outputs[self.objective.prediction_roles[0]]) if self._raw_ranks else None
            pairs = self.model.predict(users[position], item, self.features, self.objective, None, extract)
            score[position, item] = self._means(torch.from_numpy(pairs)).to(score.device)
        return score


def tower_scorer(
    model: CausalModel, features: FeatureMatrix, objective: AbstractObjective, data: CatalogueData
) -> TowerScorer | None:
    """Return what scores all items of users by products; None where the networks are none of towers and products.

    Args:
        model: the networks.
        features: the numbers of the outcome view.
        objective: what the networks were trained by.
        data: the slice.
    """
    if features.pairs or features.rows:
        return None
    items: dict[Role, Tensor] = {}
    with torch.no_grad():
        model.eval()
        for role in objective.prediction_roles:
            factors = _item_factors(model.network(role), features, data.num_items)
            if factors is None:
                return None
            items[role] = factors
    histories = _histories(model, data) if model.reads_time else None
    if model.reads_time and histories is None:
        return None
    return TowerScorer(
        model=model,
        features=features,
        objective=objective,
        data=data,
        items=items,
        histories=histories,
        buffers={role: ScoreBuffer() for role in items},
    )


def _item_factors(network: RoleNetwork, features: FeatureMatrix, num_items: int) -> Tensor | None:
    if isinstance(network.encoder, AbstractPairEncoder):
        return None
    device = next(network.parameters()).device
    vectors = network.encoder.items(torch.arange(num_items, device=device))
    vectors = torch.ones_like(vectors) if network.inputs == "user" else vectors
    of_items = features.of_items(np.arange(num_items))
    return network.head.item_factors(vectors, _columns_of(network, of_items, device))


def _user_vectors(network: RoleNetwork, batch: Batch) -> Tensor:
    vectors = cast(AbstractEncoder, network.encoder).users(batch)
    return torch.ones_like(vectors) if network.inputs == "item" else vectors


def _columns_of(network: RoleNetwork, columns: tuple[Floats, Ints | None], device: torch.device) -> Tensor:
    """Return the view's columns as a network reads them: one that reads one side alone reads none."""
    numbers, levels = columns
    held = tensor_of_levels(levels)
    return network.columns(torch.from_numpy(numbers).to(device), None if held is None else held.to(device))


def _histories(model: CausalModel, data: CatalogueData) -> PairLists | None:
    """Return the pairs of all events that histories may hold; None where they are not ours to look into."""
    modules = [module for module in model.modules() if isinstance(module, Histories)]
    if not modules:
        return None
    codes = [module.event_users * data.num_items + module.get_buffer("event_items").cpu().numpy() for module in modules]
    return PairLists.of(np.concatenate(codes), data.num_users, data.num_items)
