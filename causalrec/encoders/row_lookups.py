"""What a step looks up in a table of ids, in place of the table itself."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn


class RowLookups:
    """Hands rows of a table to the graph as leaves of their own, so that no gradient of the table's size is ever made.

    Ids that are the same tensor are looked up once, so that what reads them twice adds to one gradient.

    Attributes:
        table: float[N,...], row k that of id k.
        decay_due: ids int64[K] (None: all) -> what rows shrink by before they are read, float[K]; None: nothing is due.
        looked_up: the ids of each look-up since the last step, and their rows, whose `grad` is that of the rows.
    """

    def __init__(self, table: nn.Parameter) -> None:
        self.table = table
        self.decay_due: Callable[[Tensor | None], Tensor | None] = lambda ids: None
        self.looked_up: list[tuple[Tensor, Tensor]] = []

    def __call__(self, ids: Tensor) -> Tensor:
        """Return the rows of ids int64[...], float[...,D] (of a table `[N]`, float[...,1])."""
        for known, rows in self.looked_up:
            if known is ids:
                return rows
        flat = ids.flatten()
        due, values = self.decay_due(flat), self.table.detach().index_select(0, flat)
        if due is not None:
            values.mul_(self._by_row(due))
        values = values.view(*ids.shape, *(self.table.shape[1:] or (1,)))
        if torch.is_grad_enabled():
            self.looked_up.append((ids, values.requires_grad_()))
        return values

    @torch.no_grad()
    def caught_up(self) -> Tensor:
        """Return the table with the decay that is due, which the table itself does not get by this."""
        due = self.decay_due(None)
        return self.table.detach() if due is None else self.table * self._by_row(due)

    def take(self) -> list[tuple[Tensor, Tensor]]:
        """Return the ids and gradients of the look-ups that have one, and forget all look-ups."""
        taken = [(ids, rows.grad) for ids, rows in self.looked_up if rows.grad is not None]
        self.looked_up = []
        return taken

    def _by_row(self, values: Tensor) -> Tensor:
        return values.view(-1, *[1] * (self.table.ndim - 1))
