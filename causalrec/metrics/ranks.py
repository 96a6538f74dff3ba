"""Ranks within users, batched, with the expected gain where scores tie."""

from __future__ import annotations

from dataclasses import dataclass, fields
from functools import cached_property

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
        run_start: int64[N], the rank of the first of the rows that a row ties with.
        run_length: int64[N], how many rows tie with it, itself too.
    """

    rank: Tensor
    gain: Tensor
    ideal: Tensor
    user: Tensor
    run_start: Tensor
    run_length: Tensor

    @cached_property
    def run_positives(self) -> Tensor:
        """The positives among the rows that a row ties with, of labels 0 and 1: float64[N], whole numbers."""
        return (self.gain * self.run_length).round()

    @cached_property
    def positives_before(self) -> Tensor:
        """The user's positives that score higher than a row, of labels 0 and 1: float64[N], whole numbers."""
        before = self.gain.cumsum(0) - self.gain  # of all rows before, other users' too
        row = torch.arange(len(self.user))
        return (before[row - self.rank + self.run_start] - before[row - self.rank]).round()

    @cached_property
    def first_positive(self) -> Tensor:
        """The probability that a row's rank is the user's first with a positive, of labels 0 and 1: float64[N].

        Of n tied rows, p of them positives, the order being random, the j-th (from 0) comes after none and is one with
        probability `C(n-p, j) / C(n, j) * p / (n-j)`; 0 where a positive scores higher.
        """
        chance = torch.zeros_like(self.gain)
        rows = ((self.positives_before == 0) & (self.run_positives > 0)).nonzero().squeeze(1)
        n, p = self.run_length[rows].double(), self.run_positives[rows]
        j = (self.rank - self.run_start)[rows].double()
        others = (n - p - j).clamp_min(0)
        log_none = torch.lgamma(n - p + 1) - torch.lgamma(others + 1) - torch.lgamma(n + 1) + torch.lgamma(n - j + 1)
        chance[rows] = torch.where(j <= n - p, log_none.exp() * p / (n - j), 0.0)
        return chance

    def per_user(self, value: Tensor, count: int) -> Tensor:
        """Sum `value[N]` by user: float64[count]."""
        return torch.zeros(count, dtype=torch.float64).index_add_(0, self.user, value.double())

    def present(self, count: int) -> Tensor:
        """Tell which users have a row: bool[count]."""
        return torch.bincount(self.user, minlength=count) > 0

    def of_users(self, inside: Tensor) -> RankedRows:
        """Return the rankings of the users of a mask, bool[U]."""
        rows = inside[self.user]
        return RankedRows(*(getattr(self, f.name)[rows] for f in fields(self)))


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
    rank, length = position - start, torch.bincount(run, minlength=runs)
    gain, run_start = (totals / length)[run], rank[new_run][run]
    return RankedRows(rank, gain, ideal.double(), user, run_start, length[run])
