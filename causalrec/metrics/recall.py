"""Recall at K."""

from __future__ import annotations

import torch
from torch import Tensor

from causalrec.metrics.ranks import RankedRows, rank_rows
from causalrec.metrics.user_mean import AbstractUserMean


def recall_by_user(
    prediction: Tensor, label: Tensor, user: Tensor, num_users: int, k: int
) -> tuple[Tensor, Tensor, Tensor]:
    """Return (Recall@k, whether the user has a positive, whether the user has a row), each `[U]`.

    `Recall@k = positives among the k best / all positives` (a share; some published "Recall" is the bare count).

    Args:
        prediction: `[N]`, scores.
        label: `[N]`, outcomes.
        user: int64[N], the user of each row.
        num_users: U.
        k: length of the list.

    >>> value, _, _ = recall_by_user(torch.tensor([0.9, 0.1]), torch.tensor([0.0, 1.0]), torch.tensor([0, 0]), 1, 1)
    >>> float(value)
    0.0
    """
    rows = rank_rows(prediction, label, user)
    share, positives = recall_of(rows, num_users, k)
    return share, positives > 0, rows.present(num_users)


def recall_of(rows: RankedRows, num_users: int, k: int) -> tuple[Tensor, Tensor]:
    """Return Recall@k and the number of positives, each `[U]`, of ranked rows."""
    hits = rows.per_user(torch.where(rows.rank < k, rows.gain, 0.0), num_users)
    positives = rows.per_user(rows.gain, num_users)
    return hits / torch.where(positives > 0, positives, 1.0), positives


class Recall(AbstractUserMean):
    """Mean Recall@k over users; `empty` as in NDCG."""

    labels = frozenset({"binary", "ranking"})
    under_affine = "undefined"

    def by_user(self, rows: RankedRows, num_users: int) -> tuple[Tensor, Tensor]:
        share, positives = recall_of(rows, num_users, self.k)
        return share, positives > 0
