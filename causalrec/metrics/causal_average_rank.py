"""Causal average rank: where in a user's ranking the true effects stand."""

from __future__ import annotations

import torch
from torch import Tensor

from causalrec.metrics.ranks import RankedRows, rank_rows
from causalrec.metrics.user_mean import AbstractUserMean


def causal_average_rank_by_user(prediction: Tensor, effect: Tensor, user: Tensor, num_users: int) -> Tensor:
    """Return CAR `[U]`, in ranks x the outcome's unit, lower better.

    `CAR = mean of effect x rank` over all the user's rows, rank from 1: small where positive effects stand high and
    negative ones low. Equal predictions share their mean effect.

    Args:
        prediction: `[N]`, scores.
        effect: `[N]`, true effects, in the outcome's unit.
        user: int64[N], the user of each row.
        num_users: U.

    Source: Sato, Takemori, Singh & Ohkuma (RecSys 2020).

    >>> score, effect = torch.tensor([0.9, 0.8, 0.1]), torch.tensor([1.0, 0.0, -1.0])
    >>> causal_average_rank_by_user(score, effect, torch.tensor([0, 0, 0]), 1)
    tensor([-0.6667], dtype=torch.float64)
    """
    return causal_average_rank_of(rank_rows(prediction, effect, user), num_users)


def causal_average_rank_of(rows: RankedRows, num_users: int) -> Tensor:
    """Return CAR `[U]` of ranked rows."""
    count = torch.bincount(rows.user, minlength=num_users).clamp_min(1)
    return rows.per_user(rows.gain * (rows.rank + 1), num_users) / count


class CausalAverageRank(AbstractUserMean):
    """Mean over users of the mean of true effect x rank."""

    labels = frozenset({"effect"})
    labels_are_gains = False  # effects may be negative
    at_k = False
    higher_is_better = False
    under_affine = "scales"

    def __init__(self, num_clusters: int) -> None:
        super().__init__(num_clusters)

    def by_user(self, rows: RankedRows, num_users: int) -> tuple[Tensor, Tensor]:
        return causal_average_rank_of(rows, num_users), torch.ones(num_users, dtype=torch.bool)
