"""Precision at K."""

from __future__ import annotations

import torch
from torch import Tensor

from causalrec.metrics.ranks import RankedRows, rank_rows
from causalrec.metrics.user_mean import AbstractUserMean


def precision_by_user(
    prediction: Tensor, label: Tensor, user: Tensor, num_users: int, k: int
) -> tuple[Tensor, Tensor, Tensor]:
    """Return (Precision@k, whether the user has a positive, whether the user has a row), each `[U]`.

    `Precision@k = positives among the k best / k`, a share; a user with fewer than k rows is divided by k too. Equal
    scores share their mean label.

    Args:
        prediction: `[N]`, scores.
        label: `[N]`, 0 or 1.
        user: int64[N], the user of each row.
        num_users: U.
        k: length of the list.

    >>> value, _, _ = precision_by_user(torch.tensor([0.9, 0.1]), torch.tensor([0.0, 1.0]), torch.tensor([0, 0]), 1, 2)
    >>> float(value)
    0.5
    """
    rows = rank_rows(prediction, label, user)
    return *precision_of(rows, num_users, k), rows.present(num_users)


def precision_of(rows: RankedRows, num_users: int, k: int) -> tuple[Tensor, Tensor]:
    """Return Precision@k and whether the user has a positive, each `[U]`, of ranked rows."""
    hits = rows.per_user(torch.where(rows.rank < k, rows.gain, 0.0), num_users)
    return hits / k, rows.per_user(rows.gain, num_users) > 0


class Precision(AbstractUserMean):
    """Mean Precision@k over users; `empty` as in NDCG."""

    labels = frozenset({"binary", "ranking"})
    under_affine = "undefined"

    def by_user(self, rows: RankedRows, num_users: int) -> tuple[Tensor, Tensor]:
        return precision_of(rows, num_users, self.k)
