"""Ranks within users, batched, with the expected gain where scores tie."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True)
class RankedRows:
    """Rows sorted by user, then falling score.

    Tied scores share their mean gain: the expectation over random tie-breaks, so that a constant ranks like chance and
    not like the row order. Source: McSherry & Najork (ECIR 2008).

    Attributes:
        rank: int64[N], the rank of each row among its user's, from 0.
        gain: float64[N], the label, averaged over ties.
        ideal: float64[N], the labels sorted by user, then falling.
        user: int64[N], the user of each row.
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

    def of_users(self, inside: Tensor) -> RankedRows:
        """Return the rankings of the users of a mask, bool[U]."""
        rows = inside[self.user]
        return RankedRows(self.rank[rows], self.gain[rows], self.ideal[rows], self.user[rows])


def rank_rows(prediction: Tensor, label: Tensor, user: Tensor) -> RankedRows:
    """Rank each user's rows; all arguments `[N]`."""
    order = order_of(prediction, user)
    return rank_sorted_rows(prediction[order], label[order], label[order_of(label, user)], user[order])


def order_of(score: Tensor, user: Tensor) -> Tensor:
    """Return the order of rows by user, then falling score, `[N]`."""
    falling = torch.argsort(score, descending=True, stable=True)
    return falling[torch.argsort(user[falling], stable=True)]


def rank_sorted_rows(score: Tensor, label: Tensor, ideal: Tensor, user: Tensor) -> RankedRows:
    """Rank rows that are sorted by user, then falling score.

    Args:
        score: `[N]`, scores.
        label: `[N]`, labels of the same rows.
        ideal: `[N]`, the labels sorted by user, then falling.
        user: int64[N], the user of each row.
    """
    position = torch.arange(len(user))
    new_user = torch.ones_like(user, dtype=torch.bool)
    new_user[1:] = user[1:] != user[:-1]
    start = torch.cummax(torch.where(new_user, position, 0), 0).values
    new_run = new_user.clone()
    new_run[1:] |= score[1:] != score[:-1]
    run = new_run.long().cumsum(0) - 1
    runs = int(run[-1]) + 1 if len(run) else 0
    totals = torch.zeros(runs, dtype=torch.float64).index_add_(0, run, label.double())
    return RankedRows(position - start, (totals / torch.bincount(run, minlength=runs))[run], ideal.double(), user)
