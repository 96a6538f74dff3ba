"""The events of each user before a row, as tensors: the histories that encoders read."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn

from causalrec.data.log import InteractionLog
from causalrec.encoders.base import user_ids
from causalrec.errors import RequestError
from causalrec.types import Batch, Ints

PAD = -1


@dataclass(frozen=True)
class History:
    """The latest events of each row's user, oldest first, aligned at the right.

    Attributes:
        items: int64[B,H], -1 where there are fewer events.
        outcomes: float32[B,H] in the outcome's unit, 0 where there are fewer events.
    """

    items: Tensor
    outcomes: Tensor

    @property
    def mask(self) -> Tensor:
        """Return bool[B,H], where there is an event."""
        return self.items != PAD

    def trim(self) -> History:
        """Return the history without the first columns in which no row has an event."""
        met = self.mask.any(0)
        first = int(met.long().argmax()) if met.any() else self.items.shape[1]
        return History(self.items[:, first:], self.outcomes[:, first:])


@dataclass(frozen=True)
class SharedWindows:
    """Stretches of users' events, each read once for several rows.

    Attributes:
        history: of M windows, `[M,H]`.
        window: int64[B], the window of each row.
        column: int64[B], how many columns of the window end with the row's latest event; 0: it has none.
        reads_itself: bool[B], rows whose own item, or negative, stands among the events that they would read.
    """

    history: History
    window: Tensor
    column: Tensor
    reads_itself: Tensor


class Histories(nn.Module):
    """Finds the exposed training events of a user that a row may read.

    Only events strictly older than the row are read (`Batch.time`; without it, as for a pair that is not logged, all
    events), so that neither the row itself, nor an event of the same time, nor a later one is ever in its history. In a
    log without times all other events of the user are read, in the order of the log. An event of the row's own item, or
    of its negative, is never read: where a pair repeats, the latest `2 length` events are searched for `length` others.
    Raises RequestError without events.
    """

    def __init__(self, history_log: InteractionLog | None, length: int) -> None:
        super().__init__()
        if history_log is None or history_log.user is None:
            raise RequestError(
                "encoder: histories need users in the data and in the outcome view; add user to the graph"
            )
        self.length, self.timed = length, history_log.time is not None
        rows = np.flatnonzero(history_log.treatment > 0)
        time = np.zeros(len(rows), np.int64) if history_log.time is None else history_log.time[rows]
        times, rank = np.unique(time, return_inverse=True)
        self.ranks = max(len(times), 1)
        keys = history_log.user[rows] * self.ranks + rank  # one integer sorts by user, then time
        order = np.argsort(keys, kind="stable")
        _, repeats = np.unique(history_log.codes[rows], return_counts=True)
        self.window = length + min(int(repeats.max(initial=1)), length)  # room to leave out the own item
        self._register("times", times)
        self._register("keys", keys[order])
        self._register("event_items", history_log.item[rows][order])
        self._register("event_outcomes", history_log.outcome[rows][order])

    def _register(self, name: str, values: np.ndarray) -> None:
        self.register_buffer(name, torch.from_numpy(values), persistent=False)

    @property
    def event_users(self) -> Ints:
        """The user of each event, int64[E], in the order of the events."""
        users: Ints = self.get_buffer("keys").cpu().numpy() // self.ranks
        return users

    def forward(self, batch: Batch) -> History:
        """Return the history of each row, `[B,length]`."""
        positions, _, first = self._event_windows(batch)
        return self._history(positions, _exclude_items(self._items_at(positions, first), _row_items(batch)))

    def distinct_histories(self, batch: Batch) -> tuple[History, Tensor]:
        """Return the histories that differ, `[M,length]`, and the index of each row's history among them, int64[B].

        Many rows of a batch are late pairs of the same user.
        """
        positions, end, first = self._event_windows(batch)
        items = self._items_at(positions, first)
        excluded_items = [
            torch.where((items == row_item[:, None]).any(1), row_item, PAD) for row_item in _row_items(batch)
        ]
        marks = torch.stack([torch.where(end > first, end, PAD), *excluded_items], dim=1)
        distinct_marks, rows = torch.unique(marks, dim=0, return_inverse=True)
        example = rows.new_zeros(len(distinct_marks)).scatter_(0, rows, torch.arange(len(rows), device=rows.device))
        return self._history(positions[example], _exclude_items(items, _row_items(batch))[example]), rows

    def shared_windows(self, batch: Batch) -> SharedWindows:
        """Return windows of `length` events that end where a user's latest row of the batch does, and others before it.

        Each row reads the events of its window that are older than itself: 1 to `length` of them where it has any. A
        user's latest row reads the history of `forward`.
        """
        _, end, first = self._event_windows(batch)
        users, of_user = torch.unique(user_ids(batch), return_inverse=True)
        latest = end.new_zeros(len(users)).scatter_reduce(0, of_user, end, "amax")[of_user]
        stop = latest - (latest - end) // self.length * self.length
        marks, window = torch.unique(torch.stack([first, stop], 1), dim=0, return_inverse=True)
        positions = marks[:, 1:] + torch.arange(-self.length, 0, device=end.device)
        items = self._items_at(positions, marks[:, 0])
        column = torch.where(end > first, self.length - (stop - end), 0)
        is_older = torch.arange(self.length, device=end.device) < column[:, None]
        matches = torch.stack([(items[window] == row_item[:, None]) & is_older for row_item in _row_items(batch)])
        return SharedWindows(self._history(positions, items), window, column, matches.any(2).any(0))

    def _event_windows(self, batch: Batch) -> tuple[Tensor, Tensor, Tensor]:
        """Return the positions of the events before each row `[B,window]`, and where they end and begin `[B]`."""
        start, keys = user_ids(batch) * self.ranks, self.get_buffer("keys")
        first, end = torch.searchsorted(keys, start), torch.searchsorted(keys, start + self._rank(batch))
        return end[:, None] + torch.arange(-self.window, 0, device=end.device), end, first

    def _rank(self, batch: Batch) -> Tensor:
        """Return how many of the times are before each row's."""
        if batch.time is None or not self.timed:
            return torch.full_like(batch.item, self.ranks)
        return torch.searchsorted(self.get_buffer("times"), batch.time)

    def _items_at(self, positions: Tensor, first: Tensor) -> Tensor:
        """Return the items at these positions, -1 before the user's first event."""
        return torch.where(positions >= first[:, None], self._events_at("event_items", positions), PAD)

    def _history(self, positions: Tensor, items: Tensor) -> History:
        right = torch.argsort((items != PAD).to(torch.int8), dim=1, stable=True)[:, -self.length :]
        items = items.gather(1, right)
        outcomes = self._events_at("event_outcomes", positions.gather(1, right))
        return History(items, torch.where(items == PAD, 0.0, outcomes))

    def _events_at(self, name: str, positions: Tensor) -> Tensor:
        """Return a buffer's values at these positions, any value where there is no event."""
        values = self.get_buffer(name)
        return values[positions.clamp_min(0)] if len(values) else values.new_zeros(positions.shape)


def _row_items(batch: Batch) -> list[Tensor]:
    return [batch.item] if batch.negative is None else [batch.item, batch.negative]


def _exclude_items(items: Tensor, excluded_items: list[Tensor]) -> Tensor:
    for row_item in excluded_items:
        items = torch.where(items == row_item[:, None], PAD, items)
    return items
