"""The optimizers of a stack: each replica keeps its own rates and moments."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from causalrec.training.optimizer import AbstractOptimizer

ReplicaState = dict[
    str, tuple[bool, Any]
]  # one replica's state of one parameter: whether it has a replica axis, and its value


class ReplicaOptimizers:
    """The optimizers of the replicas' settings, over their slices of the stacked parameters."""

    def __init__(self, settings: Sequence[AbstractOptimizer], parameters: Sequence[Tensor]) -> None:
        self.parameters = parameters
        self.slices = type(settings[0]).stacked_optimizers(settings, [parameter.data for parameter in parameters])

    @torch.no_grad()
    def step(self) -> None:
        """Update every slice by its gradient, and forget the gradients."""
        gradients = [parameter.grad for parameter in self.parameters]
        for rows, optimizer in self.slices:
            optimizer.step([None if gradient is None else gradient[rows] for gradient in gradients])
        for parameter in self.parameters:
            parameter.grad = None

    def state_of(self, replicas: Sequence[int]) -> list[list[ReplicaState]]:
        """Return the optimizer's state by replica and parameter."""
        return [[self._state(replica, k) for k in range(len(self.parameters))] for replica in replicas]

    def _state(self, replica: int, k: int) -> ReplicaState:
        rows, optimizer = next(held for held in self.slices if held[0].start <= replica < held[0].stop)
        state = {}
        for name, value in optimizer.state(k).items():
            apart = isinstance(value, Tensor) and value.shape == self.parameters[k][rows].shape
            state[name] = (apart, value[replica - rows.start].clone() if apart else copy.deepcopy(value))
        return state

    def load(self, states: list[list[ReplicaState]]) -> None:
        """Take over the state of `state_of`, in the order of this optimizer's replicas."""
        for rows, optimizer in self.slices:
            for k in range(len(self.parameters)):
                own_states = [replica[k] for replica in states[rows]]
                joined = {
                    name: torch.stack([each[name][1] for each in own_states]) if apart else value
                    for name, (apart, value) in own_states[0].items()
                }
                optimizer.load(k, joined)
