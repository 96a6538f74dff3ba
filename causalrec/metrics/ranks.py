"""Ranks within users, batched, with the expected gain where scores tie."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True)
class Ranked:
    """Rows sorted by user, then falling score: `rank[N]` from 0, `gain[N]`, `ideal[N]` (gains sorted on their own),
    `user[N]`.

    Tied scores share their mean gain: the expectation over random tie-breaks (McSherry & Najork, ECIR 2008), so that a
    constant ranks like chance and not like the row order.
    """

    rank: Tensor
    gain: Tensor
    ideal: Tensor
    user: Tensor

    def per_user(self, value: Tensor, count: int) -> Tensor:
        """Sum `value[N]` by user: float64[count]."""
        return torch.zeros(count, dtype=torch.float64).index_add_(0, self.user, value.double())

    def present(self, count: int) -> Tensor:
        """Tell which users have a row: bool[count]."""
        return torch.bincount(self.user, minlength=count) > 0


def ranked(prediction: Tensor, label: Tensor, user: Tensor) -> Ranked:
    """Rank each user's rows; all arguments `[N]`."""
    order = order_of(prediction, user)
    return ranked_in_order(prediction[order], label[order], label[order_of(label, user)], user[order])


def order_of(score: Tensor, user: Tensor) -> Tensor:
    """Return the order of rows by user, then falling score, `[N]`."""
    falling = torch.argsort(score, descending=True, stable=True)
    return falling[torch.argsort(user[falling], stable=True)]


def ranked_in_order(score: Tensor, label: Tensor, ideal: Tensor, user: Tensor) -> Ranked:
    """Rank rows that are in order already; `ideal[N]`: the labels sorted by user, then falling."""
    place = torch.arange(len(user))
    new_user = torch.ones_like(user, dtype=torch.bool)
    new_user[1:] = user[1:] != user[:-1]
    start = torch.cummax(torch.where(new_user, place, 0), 0).values
    new_run = new_user.clone()
    new_run[1:] |= score[1:] != score[:-1]
    run = new_run.long().cumsum(0) - 1
    runs = int(run[-1]) + 1 if len(run) else 0
    totals = torch.zeros(runs, dtype=torch.float64).index_add_(0, run, label.double())
    return Ranked(place - start, (totals / torch.bincount(run, minlength=runs))[run], ideal.double(), user)
