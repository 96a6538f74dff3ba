"""Thin typed constructors in front of torch's optimizers, whose signatures no validator can read."""

from __future__ import annotations

import itertools
from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Any, ClassVar, Self

import torch
from pydantic import AfterValidator, Field
from torch import Tensor

from causalrec.encoders.row_lookups import RowLookups
from causalrec.errors import RequestError
from causalrec.training.row_sparse import RowSparseAdamW
from causalrec.training.stacked_optimizer import AbstractStackedOptimizer, StackedAdamW, StackedTorchOptimizer

Rate = Annotated[float, Field(gt=0)]
Decay = Annotated[float, Field(ge=0)]


def _refuse_rows(value: bool) -> bool:
    if value:
        raise ValueError(
            "coupled L2 is part of every row's gradient at each step, so that no row can wait for a batch; set "
            "optimizer=adamw_rows, whose decay is decoupled"
        )
    return value


NoRows = Annotated[bool, AfterValidator(_refuse_rows)]


class AbstractOptimizer(ABC):
    """Builds a torch optimizer over one role's parameters.

    Attributes:
        candidates: numbers that `selection.candidates=auto` tries, by the name of the setting.
        row_sparse: of tables of ids it steps the rows of a batch alone: it is handed their `lookups`.
    """

    candidates: ClassVar[Mapping[str, tuple[float, ...]]] = {}
    row_sparse: ClassVar[bool] = False

    @abstractmethod
    def build(
        self,
        parameters: Iterable[Tensor],
        axes: int = 0,
        rates: Sequence[float | None] = (),
        lookups: Sequence[RowLookups] = (),
    ) -> torch.optim.Optimizer:
        """Return the optimizer, elementwise in every parameter; scalars (global biases) are never decayed.

        Args:
            parameters: of one role.
            axes: how many leading axes count replicas, and are no part of a parameter's own shape.
            rates: the learning rate of each parameter where it has one of its own (None: the optimizer's).
            lookups: of those parameters that are tables of ids; none unless it is `row_sparse`.
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
    parameters: Iterable[Tensor],
    weight_decay: float,
    bias_decay: float,
    axes: int,
    rates: Sequence[float | None] = (),
) -> list[dict[str, Any]]:
    """Split parameters by their decay, and each of these by learning rate.

    Tables and matrices take `weight_decay`; what has one axis of its own (biases of users and items, coefficients of
    standardised columns, norms) takes `bias_decay`; scalars (global biases) do not decay.

    Args:
        parameters: of one role.
        weight_decay: of parameters of two or more axes.
        bias_decay: of parameters of one axis.
        axes: how many leading axes count replicas.
        rates: learning rate of each parameter; None: the one of the optimizer.
    """
    listed = list(parameters)
    rate_of_each = list(rates) or [None] * len(listed)
    decays = {0: 0.0, 1: bias_decay}
    members: dict[tuple[float | None, float], list[Tensor]] = {}
    for parameter, rate in zip(listed, rate_of_each, strict=True):
        members.setdefault((rate, decays.get(parameter.ndim - axes, weight_decay)), []).append(parameter)
    return [
        {"params": alike, "weight_decay": decay, **({} if rate is None else {"lr": rate})}
        for (rate, decay), alike in members.items()
    ]


@dataclass(frozen=True, kw_only=True)
class AdamW(AbstractOptimizer):
    """AdamW with decoupled decay (Loshchilov & Hutter, ICLR 2019): each step shrinks weights by `lr * weight_decay`.

    Attributes:
        lr: learning rate.
        weight_decay: of tables and matrices.
        bias_decay: of biases and of coefficients of columns; a decay that suits factors would shrink them away.
    """

    candidates: ClassVar[Mapping[str, tuple[float, ...]]] = {"weight_decay": (0.3, 1.0, 3.0, 10.0)}

    lr: Rate = 0.01
    weight_decay: Decay = 0.1
    bias_decay: Decay = 0.01

    def build(
        self,
        parameters: Iterable[Tensor],
        axes: int = 0,
        rates: Sequence[float | None] = (),
        lookups: Sequence[RowLookups] = (),
    ) -> torch.optim.Optimizer:
        members = groups(parameters, self.weight_decay, self.bias_decay, axes, rates)
        return torch.optim.AdamW(members, lr=self.lr, fused=True)

    @classmethod
    def stacked_optimizers(
        cls, settings: Sequence[Self], parameters: Sequence[Tensor]
    ) -> list[tuple[slice, AbstractStackedOptimizer]]:
        numbers = [(setting.lr, setting.weight_decay, setting.bias_decay) for setting in settings]
        rates, weights, biases = torch.tensor(numbers, dtype=torch.float64).to(parameters[0]).unbind(1)
        decays = {0: torch.zeros_like(weights), 1: biases}
        of_each = [decays.get(parameter.ndim - 1, weights) for parameter in parameters]
        return [(slice(0, len(settings)), StackedAdamW(parameters, rates, of_each))]


@dataclass(frozen=True, kw_only=True)
class AdamWRows(AbstractOptimizer):
    """AdamW that steps, in tables of ids, the rows of a batch alone (`training/row_sparse.py`); the rest as `AdamW`.

    A row that a batch does not read keeps its moments; its decay is caught up when it is read next, and that of all
    rows before each validation. Fits are not packed: calls of torch, which a stack spares, are a quarter of a step of
    2,048 rows; where batches are small and tables too, `AdamW` packs.

    Attributes:
        lr: learning rate.
        weight_decay: of tables and matrices.
        bias_decay: of biases and of coefficients of columns.
    """

    candidates: ClassVar[Mapping[str, tuple[float, ...]]] = AdamW.candidates
    row_sparse: ClassVar[bool] = True

    lr: Rate = 0.01
    weight_decay: Decay = 0.1
    bias_decay: Decay = 0.01

    def __post_init__(self) -> None:
        for name in ("weight_decay", "bias_decay"):
            if self.lr * getattr(self, name) > 1:
                raise RequestError(
                    f"optimizer.{name}={getattr(self, name):g} (asked for, or one of selection.candidates): times "
                    f"lr={self.lr:g} is more than 1, so that one step turns every weight round; lower optimizer.lr, or "
                    f"name selection.candidates={{optimizer.{name}: [..]}} of at most {1 / self.lr:g}"
                )

    def build(
        self,
        parameters: Iterable[Tensor],
        axes: int = 0,
        rates: Sequence[float | None] = (),
        lookups: Sequence[RowLookups] = (),
    ) -> torch.optim.Optimizer:
        members = groups(parameters, self.weight_decay, self.bias_decay, axes, rates)
        return RowSparseAdamW(members, self.lr, lookups)


@dataclass(frozen=True, kw_only=True)
class Adam(AbstractOptimizer):
    """Adam with coupled L2, as the public code of most debiasing papers: the decay is part of the gradient.

    Kingma & Ba (ICLR 2015). The gradient's own scale divides the decay too, so that it shrinks little where gradients
    are large.

    Attributes:
        lr: learning rate.
        weight_decay: of tables and matrices.
        bias_decay: of biases and of coefficients of columns.
        rows: step the rows of a batch alone, which coupled L2 does not allow; `optimizer=adamw_rows` does.
    """

    candidates: ClassVar[Mapping[str, tuple[float, ...]]] = {"weight_decay": (1e-5, 1e-4, 1e-3)}

    lr: Rate = 0.01
    weight_decay: Decay = 1e-4
    bias_decay: Decay = 1e-5
    rows: NoRows = False

    def build(
        self,
        parameters: Iterable[Tensor],
        axes: int = 0,
        rates: Sequence[float | None] = (),
        lookups: Sequence[RowLookups] = (),
    ) -> torch.optim.Optimizer:
        members = groups(parameters, self.weight_decay, self.bias_decay, axes, rates)
        return torch.optim.Adam(members, lr=self.lr, fused=True)


@dataclass(frozen=True, kw_only=True)
class SGD(AbstractOptimizer):
    """Stochastic gradient descent with momentum and coupled L2.

    Attributes:
        lr: learning rate.
        weight_decay: of tables and matrices.
        bias_decay: of biases and of coefficients of columns.
        momentum: share of the last step that is taken again.
        rows: step the rows of a batch alone, which coupled L2 does not allow; `optimizer=adamw_rows` does.
    """

    candidates: ClassVar[Mapping[str, tuple[float, ...]]] = {"weight_decay": (1e-5, 1e-4, 1e-3)}

    lr: Rate = 0.1
    weight_decay: Decay = 1e-4
    bias_decay: Decay = 1e-5
    momentum: Annotated[float, Field(ge=0, lt=1)] = 0.9
    rows: NoRows = False

    def build(
        self,
        parameters: Iterable[Tensor],
        axes: int = 0,
        rates: Sequence[float | None] = (),
        lookups: Sequence[RowLookups] = (),
    ) -> torch.optim.Optimizer:
        members = groups(parameters, self.weight_decay, self.bias_decay, axes, rates)
        return torch.optim.SGD(members, lr=self.lr, momentum=self.momentum)
