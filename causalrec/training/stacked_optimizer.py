"""What updates slices of stacked parameters, with as little of Python between them as can be."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from functools import cache
from typing import Any

import torch
from torch import Tensor


class AbstractStackedOptimizer(ABC):
    """Updates its parameters in index by gradients it is handed; a parameter without one is left alone."""

    @abstractmethod
    def step(self, gradients: Sequence[Tensor | None]) -> None:
        """Update every parameter by its gradient."""

    @abstractmethod
    def state(self, index: int) -> dict[str, Any]:
        """Return what is remembered of one parameter: tensors of its shape, and values of all replicas alike."""

    @abstractmethod
    def load(self, index: int, state: Mapping[str, Any]) -> None:
        """Go on from `state` of one parameter."""


class StackedTorchOptimizer(AbstractStackedOptimizer):
    """Any optimizer of torch."""

    def __init__(self, parameters: Sequence[Tensor], optimizer: torch.optim.Optimizer) -> None:
        self.parameters, self.optimizer = parameters, optimizer

    def step(self, gradients: Sequence[Tensor | None]) -> None:
        for parameter, gradient in zip(self.parameters, gradients, strict=True):
            parameter.grad = gradient
        self.optimizer.step()

    def state(self, index: int) -> dict[str, Any]:
        return dict(self.optimizer.state.get(self.parameters[index], {}))

    def load(self, index: int, state: Mapping[str, Any]) -> None:
        if state:
            self.optimizer.state[self.parameters[index]] = dict(state)


class StackedAdamW(AbstractStackedOptimizer):
    """AdamW of every replica at its own rate, `rates[R]` and `decays[R]`, by one call of torch's fused kernel.

    The kernel knows one rate alone: at rate 1 it adds Adam's step to `-decay * p`, which `p` then takes `rate` of.
    Source: Loshchilov & Hutter (ICLR 2019, algorithm 2).

    Args:
        parameters: `[R,...]` each.
        rates: `[R]` learning rates.
        decays: of each parameter, `[R]` weight decays.
    """

    def __init__(self, parameters: Sequence[Tensor], rates: Tensor, decays: Sequence[Tensor]) -> None:
        self.parameters = parameters
        self.means = [torch.zeros_like(parameter) for parameter in parameters]
        self.squares = [torch.zeros_like(parameter) for parameter in parameters]
        self.changes = [torch.empty_like(parameter) for parameter in parameters]
        self.counts = [0] * len(parameters)
        shapes = [(-1, *[1] * (parameter.ndim - 1)) for parameter in parameters]
        self.rates = [rates.view(shape) for shape in shapes]
        self.shrink = [(-decay).view(shape) for decay, shape in zip(decays, shapes, strict=True)]

    def step(self, gradients: Sequence[Tensor | None]) -> None:
        kernel: Any = torch._fused_adamw_
        for index, gradient in enumerate(gradients):
            if gradient is None:
                continue
            self.counts[index] += 1
            parameter, change = self.parameters[index], self.changes[index]
            torch.mul(parameter, self.shrink[index], out=change)
            moments: Any = (
                [self.means[index]],
                [self.squares[index]],
                [],
                [step_count(self.counts[index], change.device)],
            )
            kernel([change], [gradient], *moments, **KERNEL)
            parameter.addcmul_(change, self.rates[index])

    def state(self, index: int) -> dict[str, Any]:
        return {"mean": self.means[index], "square": self.squares[index], "count": self.counts[index]}

    def load(self, index: int, state: Mapping[str, Any]) -> None:
        self.means[index], self.squares[index], self.counts[index] = state["mean"], state["square"], state["count"]


KERNEL = {
    "lr": 1.0,
    "beta1": 0.9,
    "beta2": 0.999,
    "weight_decay": 0.0,
    "eps": 1e-8,
    "amsgrad": False,
    "maximize": False,
}


@cache
def step_count(steps: int, device: torch.device) -> Tensor:
    """Return a number of steps as the kernel wants it."""
    return torch.tensor(float(steps), device=device)
