"""Finite differences of an expression with stop-gradients: what it detaches is held at its value."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping

import torch
from torch import Tensor
from torch.overrides import TorchFunctionMode

DETACHING = {Tensor.detach, Tensor.data.__get__}  # type: ignore[attr-defined]  # a descriptor of C


class HeldFixed(TorchFunctionMode):
    """Records what is cut off from the gradient (by `detach`, `data` or `no_grad`), or gives the same again.

    Args:
        recorded: of an earlier evaluation, which is given again; None: this one is recorded.

    >>> x, recording = torch.ones(1), HeldFixed()
    >>> with recording:
    ...     value = x * x.detach()
    >>> with HeldFixed(recording.values):
    ...     moved = (x + 1) * (x + 1).detach()
    >>> moved
    tensor([2.])
    """

    def __init__(self, recorded: Iterable[Tensor] | None = None) -> None:
        super().__init__()
        self.values: list[Tensor] = []
        self._replayed = None if recorded is None else iter(recorded)

    def __torch_function__(
        self,
        func: Callable[..., object],
        types: object,
        args: tuple[object, ...] = (),
        kwargs: Mapping[str, object] | None = None,
    ) -> object:
        result = func(*args, **(kwargs or {}))
        if not isinstance(result, Tensor) or (func not in DETACHING and torch.is_grad_enabled()):
            return result
        if self._replayed is not None:
            return next(self._replayed, result)
        self.values.append(result)
        return result
