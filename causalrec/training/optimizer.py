"""Thin typed constructors in front of torch's optimizers, whose signatures no validator can read."""

from __future__ import annotations

import itertools
from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Any, ClassVar, Self

import torch
from pydantic import Field
from torch import Tensor

from causalrec.training.stacked_optimizer import AbstractStackedOptimizer, StackedAdamW, StackedTorchOptimizer

Rate = Annotated[float, Field(gt=0)]
Decay = Annotated[float, Field(ge=0)]


class AbstractOptimizer(ABC):
    """Builds a torch optimizer over one role's parameters.

    Attributes:
        candidates: numbers that `selection.candidates=auto` tries, by the name of the setting.
    """

    candidates: ClassVar[Mapping[str, tuple[float, ...]]] = {}

    @abstractmethod
    def build(
        self, parameters: Iterable[Tensor], axes: int = 0, rates: Sequence[float | None] = ()
    ) -> torch.optim.Optimizer:
        """Return the optimizer, elementwise in every parameter; scalars (global biases) are never decayed.

        `axes`: how many leading axes count replicas, and are no part of a parameter's own shape. `rates`: the learning
        rate of each parameter where it has one of its own (None: the optimizer's).
        """

    @classmethod
    def stacked_optimizers(
        cls, settings: Sequence[Self], parameters: Sequence[Tensor]
    ) -> list[tuple[slice, AbstractStackedOptimizer]]:
        """Return what updates stacked parameters `[R,...]`, replica r by setting r; here by runs of equal ones."""
        optimizers: list[tuple[slice, AbstractStackedOptimizer]] = []
        for setting, members in itertools.groupby(range(len(settings)), key=lambda index: settings[index]):
            indices = list(members)
            rows = slice(indices[0], indices[-1] + 1)
            slices = [parameter[rows] for parameter in parameters]
            optimizers.append((rows, StackedTorchOptimizer(slices, setting.build(slices, axes=1))))
        return optimizers


def groups(
    parameters: Iterable[Tensor], weight_decay: float, axes: int, rates: Sequence[float | None] = ()
) -> list[dict[str, Any]]:
    """Split parameters into those that decay and the scalars, which do not, and each of these by learning rate.

    Args:
        parameters: of one role.
        weight_decay: of all but scalars.
        axes: how many leading axes count replicas.
        rates: learning rate of each parameter; None: the one of the optimizer.
    """
    listed = list(parameters)
    rate_of_each = list(rates) or [None] * len(listed)
    built_groups: list[dict[str, Any]] = []
    for rate in dict.fromkeys([None, *rate_of_each]):
        alike = [p for p, of in zip(listed, rate_of_each, strict=True) if of == rate]
        rated: dict[str, Any] = {} if rate is None else {"lr": rate}
        built_groups.append({"params": [p for p in alike if p.ndim > axes], "weight_decay": weight_decay, **rated})
        built_groups.append({"params": [p for p in alike if p.ndim == axes], "weight_decay": 0.0, **rated})
    return [group for index, group in enumerate(built_groups) if index < 2 or group["params"]]


@dataclass(frozen=True, kw_only=True)
class AdamW(AbstractOptimizer):
    """AdamW with decoupled decay (Loshchilov & Hutter, ICLR 2019): each step shrinks weights by `lr * weight_decay`."""

    candidates: ClassVar[Mapping[str, tuple[float, ...]]] = {"weight_decay": (0.1, 0.3, 1.0)}

    lr: Rate = 0.01
    weight_decay: Decay = 0.1

    def build(
        self, parameters: Iterable[Tensor], axes: int = 0, rates: Sequence[float | None] = ()
    ) -> torch.optim.Optimizer:
        return torch.optim.AdamW(groups(parameters, self.weight_decay, axes, rates), lr=self.lr, fused=True)

    @classmethod
    def stacked_optimizers(
        cls, settings: Sequence[Self], parameters: Sequence[Tensor]
    ) -> list[tuple[slice, AbstractStackedOptimizer]]:
        undecayed = [index for index, parameter in enumerate(parameters) if parameter.ndim == 1]
        numbers = torch.tensor([(setting.lr, setting.weight_decay) for setting in settings], dtype=torch.float64)
        rates, decays = numbers.to(parameters[0]).unbind(1)
        return [(slice(0, len(settings)), StackedAdamW(parameters, undecayed, rates, decays))]


@dataclass(frozen=True, kw_only=True)
class SGD(AbstractOptimizer):
    """Stochastic gradient descent with momentum and coupled L2."""

    candidates: ClassVar[Mapping[str, tuple[float, ...]]] = {"weight_decay": (1e-5, 1e-4, 1e-3)}

    lr: Rate = 0.1
    weight_decay: Decay = 1e-4
    momentum: Annotated[float, Field(ge=0, lt=1)] = 0.9

    def build(
        self, parameters: Iterable[Tensor], axes: int = 0, rates: Sequence[float | None] = ()
    ) -> torch.optim.Optimizer:
        return torch.optim.SGD(groups(parameters, self.weight_decay, axes, rates), lr=self.lr, momentum=self.momentum)
