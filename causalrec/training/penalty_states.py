"""The numbers that penalties keep from step to step, and what a checkpoint holds of them."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

from causalrec.estimators.penalty.base import AbstractPenalty


class PenaltyStates:
    """The states of penalties by name; those without one are not in it.

    Attributes:
        by_name: the states.
    """

    def __init__(self) -> None:
        self.by_name: dict[str, dict[str, Tensor]] = {}

    def combine(self, name: str, penalty: AbstractPenalty, values: Mapping[str, Tensor]) -> Tensor:
        """Return a penalty of its reduced ratios, its state moved by them first."""
        state = self.by_name.get(name) or {**penalty.start_state()}
        if not state:
            return penalty.combine(values)
        plain = {key: value.detach() for key, value in values.items()}
        device = next(iter(plain.values())).device
        moved = penalty.next_state({key: value.to(device) for key, value in state.items()}, plain)
        self.by_name[name] = {**moved}
        return penalty.combine_with_state(values, moved)

    def load(self, saved: Mapping[str, Mapping[str, Tensor]]) -> None:
        """Take what a checkpoint held."""
        self.by_name = {name: {key: torch.as_tensor(v) for key, v in state.items()} for name, state in saved.items()}
