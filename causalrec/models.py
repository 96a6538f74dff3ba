"""The causal model: for each role an encoder and a head of its own, in plain torch."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import cast

import numpy as np
import torch
from torch import Tensor, nn

from causalrec.encoders.base import AbstractEncoder
from causalrec.estimators.error import mean_of
from causalrec.features.views import FeatureMatrix
from causalrec.heads.base import AbstractHead
from causalrec.types import OUTCOME, Batch, Floats, Ints, Link, Outputs, Role


class RoleNetwork(nn.Module):
    """One role's encoder and head."""

    def __init__(self, encoder: AbstractEncoder, head: AbstractHead) -> None:
        super().__init__()
        self.encoder = encoder
        self.head = head

    def forward(self, batch: Batch) -> Tensor:
        raw: Tensor = self.head(self.encoder.users(batch), self.encoder.items(batch.item), batch.features)
        return raw

    def with_items(self, batch: Batch, items: Tensor) -> Tensor:
        """Return raw outputs `[B]` given every item's vector, `items[I,D]`, encoded beforehand."""
        raw: Tensor = self.head(self.encoder.users(batch), items[batch.item], batch.features)
        return raw


class CausalModel(nn.Module):
    """Networks by role; roles share no parameter."""

    def __init__(self, networks: Mapping[Role, RoleNetwork], link: Link) -> None:
        super().__init__()
        self.networks = nn.ModuleDict({str(role): network for role, network in networks.items()})
        self.link = link

    def forward(self, batch: Batch) -> Outputs:
        return Outputs({Role(name): network(batch) for name, network in self.networks.items()}, self.link)

    def parameters_of(self, role: Role) -> Iterator[nn.Parameter]:
        """Return the parameters that a role owns."""
        return cast(RoleNetwork, self.networks[role]).parameters()

    @torch.inference_mode()
    def predict(self, user: Ints, item: Ints, features: FeatureMatrix, chunk: int = 1 << 18) -> Floats:
        """Return the predicted mean outcome float32[N] of (user, item) pairs, in the outcome's unit."""
        device = next(self.parameters()).device
        network = cast(RoleNetwork, self.networks[OUTCOME])
        known = np.unique(item)  # each item is encoded once, however many pairs it is in
        encoded = network.encoder.items(torch.from_numpy(known).to(device))
        vectors = encoded.new_zeros(int(known[-1]) + 1, encoded.shape[-1]).index_copy_(
            0, torch.from_numpy(known).to(device), encoded
        )
        parts = []
        for start in range(0, len(item), chunk):
            batch = bare_batch(user[start : start + chunk], item[start : start + chunk], features).to(device)
            parts.append(mean_of(network.with_items(batch, vectors), self.link).float().cpu())
        return torch.cat(parts).numpy()


def bare_batch(user: Ints, item: Ints, features: FeatureMatrix) -> Batch:
    """Make a batch of pairs to score: nothing is observed, every weight is one."""
    ones = torch.ones(len(item))
    return Batch(
        user=torch.from_numpy(user),
        item=torch.from_numpy(item),
        treatment=torch.ones(len(item), dtype=torch.int64),
        outcome=torch.zeros(len(item)),
        observed=torch.zeros(len(item)),
        propensity=ones,
        weight=ones,
        features=torch.from_numpy(features(user, item)),
    )
