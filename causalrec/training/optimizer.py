"""Thin typed constructors in front of torch's optimizers, whose signatures no validator can read."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Annotated, Any

import torch
from pydantic import Field
from torch import Tensor

from causalrec.training.stepper import AbstractStepper, FusedAdamW, TorchStepper

Rate = Annotated[float, Field(gt=0)]
Decay = Annotated[float, Field(ge=0)]


class AbstractOptimizer(ABC):
    """Builds a torch optimizer over one role's parameters."""

    @abstractmethod
    def build(self, parameters: Iterable[Tensor], axes: int = 0) -> torch.optim.Optimizer:
        """Return the optimizer, elementwise in every parameter; scalars (global biases) are never decayed.

        `axes`: how many leading axes count replicas, and are no part of a parameter's own shape.
        """

    def stepper(self, parameters: Sequence[Tensor], axes: int) -> AbstractStepper:
        """Return what updates slices of stacked parameters as the optimizer would."""
        return TorchStepper(parameters, self.build(parameters, axes))


def groups(parameters: Iterable[Tensor], weight_decay: float, axes: int) -> list[dict[str, Any]]:
    """Split parameters into those that decay and the scalars, which do not."""
    listed = list(parameters)
    decayed = {"params": [p for p in listed if p.ndim > axes], "weight_decay": weight_decay}
    return [decayed, {"params": [p for p in listed if p.ndim == axes], "weight_decay": 0.0}]


@dataclass(frozen=True, kw_only=True)
class AdamW(AbstractOptimizer):
    """AdamW with decoupled decay (Loshchilov & Hutter, ICLR 2019): each step shrinks weights by `lr * weight_decay`."""

    lr: Rate = 0.01
    weight_decay: Decay = 0.1

    def build(self, parameters: Iterable[Tensor], axes: int = 0) -> torch.optim.Optimizer:
        return torch.optim.AdamW(groups(parameters, self.weight_decay, axes), lr=self.lr, fused=True)

    def stepper(self, parameters: Sequence[Tensor], axes: int) -> AbstractStepper:
        still = [place for place, parameter in enumerate(parameters) if parameter.ndim == axes]
        return FusedAdamW(parameters, still, self.lr, self.weight_decay)


@dataclass(frozen=True, kw_only=True)
class SGD(AbstractOptimizer):
    """Stochastic gradient descent with momentum and coupled L2."""

    lr: Rate = 0.1
    weight_decay: Decay = 1e-4
    momentum: Annotated[float, Field(ge=0, lt=1)] = 0.9

    def build(self, parameters: Iterable[Tensor], axes: int = 0) -> torch.optim.Optimizer:
        return torch.optim.SGD(groups(parameters, self.weight_decay, axes), lr=self.lr, momentum=self.momentum)
