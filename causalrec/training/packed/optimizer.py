"""The optimizers of a stack: each replica keeps its own rates and moments."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from causalrec.training.optimizer import AbstractOptimizer

Own = dict[str, tuple[bool, Any]]  # one replica's state of one parameter: whether it has a replica axis, and its value


class JointOptimizer:
    """The steppers of the replicas' settings, over their slices of the stacked parameters."""

    def __init__(self, settings: Sequence[AbstractOptimizer], parameters: Sequence[Tensor]) -> None:
        self.parameters = parameters
        self.parts = type(settings[0]).steppers(settings, [parameter.data for parameter in parameters])

    @torch.no_grad()
    def step(self) -> None:
        """Update every slice by its gradient, and forget the gradients."""
        gradients = [parameter.grad for parameter in self.parameters]
        for rows, stepper in self.parts:
            stepper.step([None if gradient is None else gradient[rows] for gradient in gradients])
        for parameter in self.parameters:
            parameter.grad = None

    def state_of(self, places: Sequence[int]) -> list[list[Own]]:
        """Return the optimizer's state by replica and parameter."""
        return [[self._own(place, k) for k in range(len(self.parameters))] for place in places]

    def _own(self, place: int, k: int) -> Own:
        rows, stepper = next(part for part in self.parts if part[0].start <= place < part[0].stop)
        found = {}
        for name, value in stepper.state(k).items():
            apart = isinstance(value, Tensor) and value.shape == self.parameters[k][rows].shape
            found[name] = (apart, value[place - rows.start].clone() if apart else copy.deepcopy(value))
        return found

    def load(self, kept: list[list[Own]]) -> None:
        """Take over the state of `state_of`, in the order of this optimizer's replicas."""
        for rows, stepper in self.parts:
            for k in range(len(self.parameters)):
                own = [replica[k] for replica in kept[rows]]
                whole = {
                    name: torch.stack([one[name][1] for one in own]) if apart else value
                    for name, (apart, value) in own[0].items()
                }
                stepper.load(k, whole)
