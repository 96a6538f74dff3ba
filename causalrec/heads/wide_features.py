"""A batch's numbers of which many are one-hot levels: products with them look rows up in place of multiplying by 0."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from causalrec.encoders.base import rows_of


@dataclass(frozen=True, eq=False)
class WideFeatures:
    """Stands for the tensor `[...,B,F]` of a view with wide categories, in what heads do with it: its product with a
    matrix, `sum_d numbers_d M[dense_d] + sum_k M[levels_k]`, and `torch.cat` along the last axis.

    Attributes:
        numbers: float32[...,B,D].
        levels: int64[...,B,K], which of the other columns are 1; -1: none.
        dense: int64[D], which columns the numbers are.
        width: F.
    """

    numbers: Tensor
    levels: Tensor
    dense: Tensor
    width: int

    @property
    def shape(self) -> torch.Size:
        return torch.Size((*self.numbers.shape[:-1], self.width))

    @property
    def dtype(self) -> torch.dtype:
        return self.numbers.dtype

    @property
    def device(self) -> torch.device:
        return self.numbers.device

    def __matmul__(self, matrix: Tensor) -> Tensor:
        """Return `[...,B,O]` of a matrix `[F,O]`, or with stacked parameters `[R,F,O]`."""
        looked_up = rows_of(matrix, self.levels.clamp_min(0)) * (self.levels >= 0)[..., None]
        return self.numbers @ matrix.index_select(-2, self.dense) + looked_up.sum(-2)

    @classmethod
    def __torch_function__(
        cls, function: Callable[..., Any], types: Sequence[type], args: Any = (), kwargs: Any = None
    ) -> Any:
        if function is not torch.cat:
            raise TypeError(f"{function.__name__}: a head reads wide categories by products and torch.cat alone")
        return _join(args[0])


def _join(columns: Sequence[Tensor | WideFeatures]) -> WideFeatures:
    """Return columns side by side."""
    numbers, levels, dense, width = [], [], [], 0
    for each in columns:
        if isinstance(each, WideFeatures):
            numbers.append(each.numbers)
            levels.append(torch.where(each.levels >= 0, each.levels + width, each.levels))
            dense.append(each.dense + width)
        else:
            numbers.append(each)
            dense.append(torch.arange(width, width + each.shape[-1], device=each.device))
        width += each.shape[-1]
    return WideFeatures(torch.cat(numbers, -1), torch.cat(levels, -1), torch.cat(dense), width)
