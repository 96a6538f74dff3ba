"""Causal DCG: true effects, discounted by rank, over a user's whole ranking."""

from __future__ import annotations

import torch
from torch import Tensor

from causalrec.metrics.ranks import RankedRows, rank_rows
from causalrec.metrics.user_mean import AbstractUserMean


def cdcg_by_user(prediction: Tensor, effect: Tensor, user: Tensor, num_users: int) -> Tensor:
    """Return CDCG `[U]`, in the outcome's unit.

    `CDCG = sum of effect / log2(1 + rank)` over all the user's rows, rank from 1, not normalised: it grows with their
    number. Equal predictions share their mean effect.

    Args:
        prediction: `[N]`, scores.
        effect: `[N]`, true effects, in the outcome's unit.
        user: int64[N], the user of each row.
        num_users: U.

    Source: Sato, Takemori, Singh & Ohkuma (RecSys 2020).

    >>> cdcg_by_user(torch.tensor([0.9, 0.8, 0.1]), torch.tensor([1.0, 0.0, -1.0]), torch.tensor([0, 0, 0]), 1)
    tensor([0.5000], dtype=torch.float64)
    """
    return cdcg_of(rank_rows(prediction, effect, user), num_users)


def cdcg_of(rows: RankedRows, num_users: int) -> Tensor:
    """Return CDCG `[U]` of ranked rows."""
    return rows.per_user(rows.gain / torch.log2(rows.rank.double() + 2), num_users)


class CDCG(AbstractUserMean):
    """Mean over users of their discounted true effects."""

    labels = frozenset({"effect"})
    labels_are_gains = False  # effects may be negative
    at_k = False
    under_affine = "scales"

    def __init__(self, num_clusters: int) -> None:
        super().__init__(num_clusters)

    def by_user(self, rows: RankedRows, num_users: int) -> tuple[Tensor, Tensor]:
        return cdcg_of(rows, num_users), torch.ones(num_users, dtype=torch.bool)
