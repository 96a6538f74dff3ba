"""A trained network as a module of tensors alone: rows of users and items in, the run's number out."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor, nn

from causalrec.data.pair_columns import DENSE
from causalrec.encoders.base import AbstractEncoder, AbstractPairEncoder, rows_of, user_ids
from causalrec.encoders.history import PAD, Histories
from causalrec.errors import RequestError
from causalrec.features.feature_matrix import FeatureMatrix
from causalrec.learners.network_predictor import NetworkPredictor
from causalrec.memory import gigabytes
from causalrec.models import CausalModel, inference_batch
from causalrec.role_network import RoleNetwork
from causalrec.types import Batch, Floats, Ints

MOST_BYTES = 1 << 30  # of the vectors that users have beside a candidate of their own history


class IdVectors(AbstractEncoder):
    """Two towers as the vectors that they gave of each id, so that texts, histories and language models stay behind.

    A history never holds the row's own item: where the model reads histories, a user has one vector more for each item
    among the latest events, read where that item is asked for.

    Args:
        users: float32[U(H+1),D], of users, then of each user without each of the H recent items.
        items: float32[I,D].
        recent: int64[U,H], the items of users' latest events, -1 where there are fewer; None without histories.
    """

    recent: Tensor | None

    def __init__(self, users: Tensor, items: Tensor, recent: Tensor | None) -> None:
        super().__init__()
        for name, values in (("user_vectors", users), ("item_vectors", items), ("recent", recent)):
            self.register_buffer(name, values)

    def users(self, batch: Batch) -> Tensor:
        ids, recent = user_ids(batch), self.recent
        if recent is not None:
            is_own = recent[ids] == batch.item[:, None]
            without_item = len(recent) + ids * recent.shape[1] + is_own.to(torch.int64).argmax(1)
            ids = torch.where(is_own.any(1), without_item, ids)
        return rows_of(self.get_buffer("user_vectors"), ids)

    def items(self, ids: Tensor) -> Tensor:
        return rows_of(self.get_buffer("item_vectors"), ids)


class FeatureTables(nn.Module):
    """The numbers of a view as tables, `numbers_and_levels` of a feature matrix in torch; columns of pairs `[U,I]`.

    Raises RequestError where a column of pairs is too large for a table.
    """

    def __init__(self, features: FeatureMatrix, num_items: int) -> None:
        super().__init__()
        users, items = np.arange(len(features.user_block)), np.arange(num_items)
        if features.pairs and len(users) * len(items) > DENSE:
            raise RequestError(
                f"export: the model reads a column of pairs, and {len(users):,} x {len(items):,} numbers are more than "
                f"a table may hold; leave it out of the graph"
            )
        pairs = [np.ravel(pair(users[:, None], items[None, :])) for pair in features.pairs]
        self.num_items = num_items
        tables: dict[str, Floats | Ints | None] = {"user_block": features.user_block, "item_block": features.item_block}
        tables |= {"pair_block": np.stack(pairs, 1) if pairs else None}
        tables |= {"user_levels": features.user_levels, "item_levels": features.item_levels}
        for name, values in tables.items():
            if values is not None and values.shape[1]:
                self.register_buffer(name, torch.from_numpy(values))

    def forward(self, user: Tensor, item: Tensor) -> tuple[Tensor, Tensor | None]:
        """Return the dense numbers float32[N,D] of pairs, and the levels int64[N,K] of wide categories."""
        tables, keys = dict(self.named_buffers()), {"user": user, "item": item, "pair": user * self.num_items + item}
        numbers = [rows_of(tables[f"{side}_block"], ids) for side, ids in keys.items() if f"{side}_block" in tables]
        levels = [tables[f"{side}_levels"][ids] for side, ids in keys.items() if f"{side}_levels" in tables]
        numbers = numbers or [torch.zeros(user.shape[0], 0)]
        return torch.cat(numbers, -1), torch.cat(levels, -1) if levels else None


class PairScores(nn.Module):
    """The number of (user, item) rows as a run predicts it: float32[N], of several treatments' effects float32[N,A].

    Of classes it is the expected class.

    Args:
        predictor: of the run.
        num_items: I.

    Raises:
        RequestError: Where the networks read pairs of texts, or columns that no table can hold.
    """

    def __init__(self, predictor: NetworkPredictor, num_items: int) -> None:
        super().__init__()
        model, self.objective = predictor.model.eval(), predictor.objective
        networks = {
            role: _with_tables(model.network(role), predictor.features, num_items)
            for role in self.objective.prediction_roles
        }
        unit = None if model.unit is None else (float(model.unit[0]), float(model.unit[1]))
        self.model = CausalModel(networks, model.link, unit)
        self.features = FeatureTables(predictor.features, num_items)
        self.requires_grad_(False).eval()

    def forward(self, user: Tensor, item: Tensor) -> Tensor:
        """Score rows int64[N] of users and int64[N] of items."""
        numbers, levels = self.features(user, item)
        unit_weight = torch.ones_like(item, dtype=torch.float32)
        batch = Batch(
            user=user,
            item=item,
            treatment=torch.ones_like(item),
            outcome=unit_weight - 1,
            observed=unit_weight - 1,
            propensity=unit_weight,
            weight=unit_weight,
            features=numbers,
            levels=levels,
        )
        predicted = self.model.predict_batch(batch, self.objective)
        if self.model.link == "softmax":
            return predicted @ torch.arange(predicted.shape[1], dtype=torch.float32)
        return predicted[:, 0] if predicted.ndim == 2 and predicted.shape[1] == 1 else predicted


@torch.no_grad()
def _with_tables(network: RoleNetwork, features: FeatureMatrix, num_items: int) -> RoleNetwork:
    """Return a network whose towers are vectors of ids; itself where it reads user and item together, by their ids."""
    encoder = network.encoder
    if encoder.reads_pair_text:
        raise RequestError(
            "export: the run's encoder reads the texts of each pair by a language model, which a graph of ids does not "
            "hold; name a run of encoder=bert, hybrid, mf or another whose users and items have vectors"
        )
    if isinstance(encoder, AbstractPairEncoder):
        return network
    recent = _recent_items(network, features)
    pairs = _user_rows(recent, num_items)
    items = torch.arange(num_items)
    step = max(1, encoder.rows_at_once)
    chunks = [(pairs[0][k : k + step], pairs[1][k : k + step]) for k in range(0, len(pairs[0]), step)]
    item_vectors = encoder.items(items).float()
    _check_size(len(recent), recent.shape[1], item_vectors.shape[1])
    users = torch.cat([encoder.users(inference_batch(*chunk, features)) for chunk in chunks])
    vectors = IdVectors(users.float(), item_vectors, torch.from_numpy(recent) if recent.shape[1] else None)
    return RoleNetwork(vectors, network.head, network.inputs, features)


def _recent_items(network: RoleNetwork, features: FeatureMatrix) -> Ints:
    """Return the items of each user's latest events, int64[U,H], -1 where there are fewer; H is 0 without histories."""
    users = np.arange(len(features.user_block))
    histories = [module for module in network.modules() if isinstance(module, Histories)]
    batch = inference_batch(users, np.full(len(users), PAD), features)  # of no item, so that none is left out
    recent = [module(batch).items.numpy() for module in histories]
    return np.concatenate([np.zeros((len(users), 0), np.int64), *recent], axis=1)


def _user_rows(recent: Ints, num_items: int) -> tuple[Ints, Ints]:
    """Return the pairs whose user vectors are held: each user with an item that its history lacks, then without each
    recent item.
    """
    users, count = np.arange(len(recent)), recent.shape[1]
    ascending = np.sort(recent, axis=1)
    unmet = np.zeros(len(recent), np.int64)
    for column in ascending.T:
        unmet += column == unmet
    unmet = np.minimum(unmet, num_items - 1)
    left_out = np.where(recent == PAD, unmet[:, None], recent)
    return np.concatenate([users, np.repeat(users, count)]), np.concatenate([unmet, left_out.ravel()])


def _check_size(users: int, events: int, width: int) -> None:
    """Raise RequestError where the vectors beside each recent event are more than a graph should hold."""
    needed = 4 * users * events * width
    if needed > MOST_BYTES:
        raise RequestError(
            f"export: the run's encoder reads histories, and {users:,} users x {events} events x {width} numbers are "
            f"{gigabytes(needed)}; train it with a shorter encoder.length (history_length), or export another run"
        )
