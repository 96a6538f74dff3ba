"""What updates slices of stacked parameters, with as little of Python between them as can be."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from functools import cache
from typing import Any

import torch
from torch import Tensor


class AbstractStepper(ABC):
    """Updates its parameters in place by gradients it is handed; a parameter without one is left alone."""

    @abstractmethod
    def step(self, gradients: Sequence[Tensor | None]) -> None:
        """Update every parameter by its gradient."""

    @abstractmethod
    def state(self, place: int) -> dict[str, Any]:
        """Return what is remembered of one parameter: tensors of its shape, and values of all replicas alike."""

    @abstractmethod
    def load(self, place: int, state: Mapping[str, Any]) -> None:
        """Go on from `state` of one parameter."""


class TorchStepper(AbstractStepper):
    """Any optimizer of torch."""

    def __init__(self, parameters: Sequence[Tensor], optimizer: torch.optim.Optimizer) -> None:
        self.parameters, self.optimizer = parameters, optimizer

    def step(self, gradients: Sequence[Tensor | None]) -> None:
        for parameter, gradient in zip(self.parameters, gradients, strict=True):
            parameter.grad = gradient
        self.optimizer.step()

    def state(self, place: int) -> dict[str, Any]:
        return dict(self.optimizer.state.get(self.parameters[place], {}))

    def load(self, place: int, state: Mapping[str, Any]) -> None:
        if state:
            self.optimizer.state[self.parameters[place]] = dict(state)


class FusedAdamW(AbstractStepper):
    """torch's fused AdamW kernel itself: `torch.optim.AdamW(fused=True)` takes four times as long around it, which
    counts where a stack has many settings. Parameters in `still` do not decay.
    """

    def __init__(self, parameters: Sequence[Tensor], still: Sequence[int], lr: float, weight_decay: float) -> None:
        self.parameters = parameters
        self.means = [torch.zeros_like(parameter) for parameter in parameters]
        self.squares = [torch.zeros_like(parameter) for parameter in parameters]
        self.counts = [0] * len(parameters)
        decaying = [place for place in range(len(parameters)) if place not in still]
        settings: dict[str, Any] = {"lr": lr, "beta1": 0.9, "beta2": 0.999, "eps": 1e-8}
        settings |= {"amsgrad": False, "maximize": False}
        self.groups: list[tuple[list[int], dict[str, Any]]] = [
            (places, settings | {"weight_decay": decay})
            for places, decay in ((decaying, weight_decay), (list(still), 0.0))
        ]

    def step(self, gradients: Sequence[Tensor | None]) -> None:
        for places, settings in self.groups:
            live = [place for place in places if gradients[place] is not None]
            for place in live:
                self.counts[place] += 1
            if live:
                counts = [counted(self.counts[place], self.parameters[place].device) for place in live]
                columns: Any = (self.parameters, gradients, self.means, self.squares)
                kernel: Any = torch._fused_adamw_
                kernel(*([column[place] for place in live] for column in columns), [], counts, **settings)

    def state(self, place: int) -> dict[str, Any]:
        return {"mean": self.means[place], "square": self.squares[place], "count": self.counts[place]}

    def load(self, place: int, state: Mapping[str, Any]) -> None:
        self.means[place], self.squares[place], self.counts[place] = state["mean"], state["square"], state["count"]


@cache
def counted(steps: int, device: torch.device) -> Tensor:
    """Return a number of steps as the kernel wants it."""
    return torch.tensor(float(steps), device=device)
