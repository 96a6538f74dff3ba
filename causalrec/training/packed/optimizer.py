"""The optimizers of a stack: each replica keeps its own rates and moments."""

from __future__ import annotations

import copy
import itertools
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from causalrec.training.optimizer import AbstractOptimizer


class JointOptimizer:
    """One torch optimizer per run of equal settings, over its replicas' slices of the stacked parameters."""

    def __init__(self, settings: Sequence[AbstractOptimizer], parameters: Sequence[Tensor]) -> None:
        self.parameters = parameters
        self.parts: list[tuple[slice, list[Tensor], torch.optim.Optimizer]] = []
        for setting, members in itertools.groupby(enumerate(settings), key=lambda pair: pair[1]):
            places = [place for place, _ in members]
            rows = slice(places[0], places[-1] + 1)
            handles = [parameter.data[rows] for parameter in parameters]
            self.parts.append((rows, handles, setting.build(handles, axes=1)))

    def step(self) -> None:
        """Update every slice by its gradient, and forget the gradients."""
        for rows, handles, optimizer in self.parts:
            for handle, parameter in zip(handles, self.parameters, strict=True):
                handle.grad = None if parameter.grad is None else parameter.grad[rows]
            optimizer.step()
        for parameter in self.parameters:
            parameter.grad = None

    def state_of(self, places: Sequence[int]) -> list[list[dict[str, tuple[bool, Any]]]]:
        """Return the optimizer's state by replica and parameter."""
        return [[self._own(place, k) for k in range(len(self.parameters))] for place in places]

    def _own(self, place: int, k: int) -> dict[str, tuple[bool, Any]]:
        """Return one replica's state of one parameter: by name, whether it has a replica axis, and its own value."""
        rows, handles, optimizer = next(part for part in self.parts if part[0].start <= place < part[0].stop)
        found = {}
        for name, value in optimizer.state.get(handles[k], {}).items():
            apart = isinstance(value, Tensor) and value.shape == handles[k].shape
            found[name] = (apart, value[place - rows.start].clone() if apart else copy.deepcopy(value))
        return found

    def load(self, kept: list[list[dict[str, tuple[bool, Any]]]]) -> None:
        """Take over the state of `state_of`, in the order of this optimizer's replicas."""
        for rows, handles, optimizer in self.parts:
            for k, handle in enumerate(handles):
                own = [replica[k] for replica in kept[rows]]
                optimizer.state[handle] = {
                    name: torch.stack([one[name][1] for one in own]) if apart else value
                    for name, (apart, value) in own[0].items()
                }
