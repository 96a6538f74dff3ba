"""Layers that also run on stacked parameters `[R,...]`, so that heads made of them pack."""

from __future__ import annotations

import itertools
from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional

from causalrec.encoders.base import affine


class MLP(nn.Module):
    """Affine maps through `widths`, an ELU between them, and after the last one where `activate_last`."""

    def __init__(self, widths: Sequence[int], *, activate_last: bool = False) -> None:
        super().__init__()
        self.maps = nn.ModuleList(nn.Linear(a, b) for a, b in itertools.pairwise(widths))
        self.activate_last = activate_last
        for layer in self.maps:
            nn.init.zeros_(layer.bias)  # type: ignore[arg-type]

    def forward(self, value: Tensor) -> Tensor:
        for index, layer in enumerate(self.maps):
            value = affine(layer, value)  # type: ignore[arg-type]
            if self.activate_last or index < len(self.maps) - 1:
                value = functional.elu(value)
        return value


def join_inputs(user: Tensor, item: Tensor, features: Tensor) -> Tensor:
    """Return the input of a head of layers, `[B,D+F]`: `user * item` (of a pair read together, its vector), then the
    view's numbers.
    """
    return torch.cat([user * item, features], -1)


def stack_outputs(networks: nn.ModuleList, value: Tensor) -> Tensor:
    """Return the outputs of the networks side by side, `[B,len(networks)]`."""
    return torch.cat([network(value) for network in networks], -1)
