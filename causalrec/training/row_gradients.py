"""The gradients of rows that look-ups read, joined by row, over look-ups and ranks."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor

from causalrec.training.row_kernels import join_kernel
from causalrec.types import Ints

RowGradients = tuple[Tensor, Tensor]  # rows int64[M], each once, and their gradients float[M,...]


class RowJoin:
    """Joins the gradients of one table's look-ups. `table`: float[N,...]."""

    def __init__(self, table: Tensor) -> None:
        self.table, self.width = table, math.prod(table.shape[1:])
        self._slots: Ints | None = None  # int64[N], -1 between joins

    def __call__(self, lookups: Sequence[tuple[Tensor, Tensor]]) -> RowGradients | None:
        """Return the rows that a batch reads, and their gradients' mean over ranks, as DDP has it of dense gradients.

        None where no rank reads anything. `lookups`: ids int64[...] and gradients float[...,D], of this process.
        """
        local = self._join(lookups) if lookups else None
        if torch.distributed.is_available() and torch.distributed.is_initialized():
            return self._over_ranks(local)
        return local

    def _join(self, lookups: Sequence[tuple[Tensor, Tensor]]) -> RowGradients:
        pairs = [(ids.flatten(), gradients.reshape(-1, self.width)) for ids, gradients in lookups]
        on_processor = self.table.device.type == "cpu"
        rows, gradients = self.join_compiled(pairs) if on_processor else join_by_tensors(pairs)
        return rows, gradients.view(len(rows), *self.table.shape[1:])

    def join_compiled(self, pairs: Sequence[tuple[Tensor, Tensor]]) -> RowGradients:
        """Join ids int64[K] and gradients float[K,D], in one pass of each; rows come in the order they were met."""
        if self._slots is None:
            self._slots = torch.full((len(self.table),), -1).numpy()
        most, count = sum(len(ids) for ids, _ in pairs), 0
        rows, sums = pairs[0][0].new_empty(most), pairs[0][1].new_empty(most, pairs[0][1].shape[1])
        outputs, join = (self._slots, rows.numpy(), sums.numpy()), join_kernel()
        for ids, gradients in pairs:
            count = join(ids.numpy(), gradients.contiguous().numpy(), *outputs, count)
        self._slots[outputs[1][:count]] = -1
        return rows[:count], sums[:count]

    def _over_ranks(self, local: RowGradients | None) -> RowGradients | None:
        world = torch.distributed.get_world_size()
        empty = (
            torch.zeros(0, dtype=torch.int64, device=self.table.device),
            self.table.new_zeros(0, *self.table.shape[1:]),
        )
        rows, gradients = local or empty
        (counts,) = _gather([rows.new_tensor([-1 if local is None else len(rows)])], world)
        sizes = [int(count) for count in counts]
        if max(sizes) <= 0:
            return empty if max(sizes) == 0 else None
        padding = max(sizes) - len(rows)
        padded = [torch.cat([each, each.new_zeros(padding, *each.shape[1:])]) for each in (rows, gradients)]
        by_rank = zip(*_gather(padded, world), sizes, strict=True)
        joined, sums = self._join([(ids[:size], values[:size]) for ids, values, size in by_rank if size > 0])
        return joined, sums / world


def join_by_tensors(pairs: Sequence[tuple[Tensor, Tensor]]) -> RowGradients:
    """Join ids int64[K] and gradients float[K,D] on any device; rows come in their order."""
    rows, position = torch.unique(torch.cat([ids for ids, _ in pairs]), return_inverse=True)
    gradients = torch.cat([gradient for _, gradient in pairs])
    return rows, gradients.new_zeros(len(rows), gradients.shape[1]).index_add_(0, position, gradients)


def _gather(values: Sequence[Tensor], world: int) -> list[list[Tensor]]:
    """Return each tensor as every rank has it; of equal shapes."""
    gathered = [[torch.empty_like(value) for _ in range(world)] for value in values]
    for value, every in zip(values, gathered, strict=True):
        torch.distributed.all_gather(every, value)
    return gathered
