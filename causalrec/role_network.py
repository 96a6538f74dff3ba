"""What a role of the causal model is made of: an encoder and a head of its own, or parameters alone."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Literal, cast

import torch
from torch import Tensor, nn

from causalrec.encoders.base import AbstractEncoder, AbstractPairEncoder
from causalrec.features.views import FeatureMatrix
from causalrec.heads.base import AbstractHead
from causalrec.heads.wide_features import WideFeatures
from causalrec.types import ITEM_ONLY, USER_ONLY, Batch, Role

TowerInput = Literal["pair", "user", "item"]
ROLE_INPUTS: Mapping[Role, TowerInput] = {USER_ONLY: "user", ITEM_ONLY: "item"}  # every other role sees the pair


class RoleNetwork(nn.Module):
    """One role's encoder and head.

    Args:
        encoder: of users and items, or of pairs. A pair encoder gives one vector for both: it stands in place of the
            user's, and the item's is held at one.
        head: what turns vectors into outputs.
        inputs: the pair, or the user or the item alone (the other side is held at one).
        features: whose numbers the head reads; it must be told where categories are wide.
    """

    dense: Tensor | None

    def __init__(
        self,
        encoder: AbstractEncoder | AbstractPairEncoder,
        head: AbstractHead,
        inputs: TowerInput = "pair",
        features: FeatureMatrix | None = None,
    ) -> None:
        super().__init__()
        wide = features is not None and features.dense is not None
        self.width = len(features) if features is not None else 0
        dense = torch.from_numpy(features.dense) if wide else None  # type: ignore[union-attr]
        self.register_buffer("dense", dense, persistent=False)
        self.encoder = encoder
        self.head = head
        self.inputs = inputs

    def forward(self, batch: Batch) -> Tensor | Mapping[Role, Tensor]:
        return self.head_outputs(self.embed(batch), batch.features, batch.levels)

    def embed(self, batch: Batch, items: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Return the user and item vectors `[B,D]`, given every item's vector `items[I,D]` where encoded beforehand."""
        if isinstance(self.encoder, AbstractPairEncoder):
            pair = self.encoder.pairs(batch)
            return pair, torch.ones_like(pair)
        user = self.encoder.users(batch)
        item = self.encoder.items(batch.item) if items is None else items[batch.item]
        if self.inputs == "user":
            return user, torch.ones_like(user)
        return (torch.ones_like(item), item) if self.inputs == "item" else (user, item)

    def with_candidates(self, batch: Batch) -> tuple[tuple[Tensor, Tensor], Tensor]:
        """Return the vectors of `embed`, and the raw outputs `[B,C]` of each user with each of the batch's candidates.

        The items of rows and candidates are encoded in one call: a text is read once.
        """
        assert batch.candidates is not None and batch.user_features is not None and batch.candidate_features is not None
        encoder = cast(AbstractEncoder, self.encoder)
        user, rows = encoder.users(batch), batch.item.shape[-1]
        both = encoder.items(torch.cat([batch.item, batch.candidates], -1))
        item, others = both[..., :rows, :], both[..., rows:, :]
        of_users = self.head.user_factors(user, self.columns(batch.user_features, batch.user_levels))
        of_items = self.head.item_factors(others, self.columns(batch.candidate_features, batch.candidate_levels))
        assert of_users is not None and of_items is not None, "a head without factors is refused before"
        return (user, item), of_users @ of_items.transpose(-1, -2)

    def trained_parameters(self) -> Iterator[tuple[str, nn.Parameter]]:
        """Return the parameters that are trained, by name."""
        return ((name, parameter) for name, parameter in self.named_parameters() if parameter.requires_grad)

    def rates(self) -> list[float | None]:
        """Return the learning rate of each trained parameter, None where it takes the optimizer's."""
        encoder_rates = self.encoder.rates()
        return [encoder_rates.get(name.removeprefix("encoder.")) for name, _ in self.trained_parameters()]

    def head_outputs(
        self, vectors: tuple[Tensor, Tensor], features: Tensor, levels: Tensor | None = None
    ) -> Tensor | Mapping[Role, Tensor]:
        """Return raw outputs `[B]`, of classes `[B,C]`, or the head's components by role.

        The view's numbers describe pairs: a network that reads one side alone reads none.
        """
        raw: Tensor | Mapping[Role, Tensor]
        raw = self.head(*vectors, self.columns(features, levels))
        return raw

    def columns(self, numbers: Tensor, levels: Tensor | None) -> Tensor:
        """Return what the head reads as `[B,F]`: the numbers, or what stands for them and wide categories; zeros where
        the network reads one side alone.
        """
        if self.inputs != "pair":
            numbers, levels = torch.zeros_like(numbers), None
        if self.dense is None:
            return numbers
        none = torch.zeros(*numbers.shape[:-1], 0, dtype=torch.int64, device=numbers.device)
        return cast(Tensor, WideFeatures(numbers, none if levels is None else levels, self.dense, self.width))


class FreeParameters(nn.Module):
    """Parameters of a role without a network. Each is kept flat, so that optimizers decay it as they do biases.

    Args:
        start: by name; scalars are never decayed.
    """

    def __init__(self, start: Mapping[str, Tensor]) -> None:
        super().__init__()
        self.shapes = {name: tuple(value.shape) for name, value in start.items()}
        for name, value in start.items():
            self.register_parameter(name, nn.Parameter(value.flatten() if value.ndim else value.clone()))

    def forward(self) -> dict[str, Tensor]:
        """Return each as it started, `[...]`, stacked `[R,...]`; a scalar as `[1]` or `[R,1]`."""
        return {name: self._view(getattr(self, name), shape) for name, shape in self.shapes.items()}

    def _view(self, value: Tensor, shape: tuple[int, ...]) -> Tensor:
        return value.view(*value.shape[:-1], *shape) if shape else value[..., None]
