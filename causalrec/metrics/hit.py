"""Hit rate at K."""

from __future__ import annotations

import torch
from torch import Tensor

from causalrec.metrics.ranks import RankedRows, rank_rows
from causalrec.metrics.user_mean import AbstractUserMean


def hit_by_user(
    prediction: Tensor, label: Tensor, user: Tensor, num_users: int, k: int
) -> tuple[Tensor, Tensor, Tensor]:
    """Return (Hit@k, whether the user has a positive, whether the user has a row), each `[U]`.

    `Hit@k = 1 if a positive is among the k best, else 0`. Where scores tie across rank k it is the probability of that
    over random orders of the tied rows: of n that tie, p of them positives, m of which fit, `1 - C(n-p, m) / C(n, m)`.

    Args:
        prediction: `[N]`, scores.
        label: `[N]`, 0 or 1.
        user: int64[N], the user of each row.
        num_users: U.
        k: length of the list.

    >>> value, _, _ = hit_by_user(torch.tensor([0.5, 0.5]), torch.tensor([0.0, 1.0]), torch.tensor([0, 0]), 1, 1)
    >>> float(value)
    0.5
    """
    rows = rank_rows(prediction, label, user)
    return *hit_of(rows, num_users, k), rows.present(num_users)


def hit_of(rows: RankedRows, num_users: int, k: int) -> tuple[Tensor, Tensor]:
    """Return Hit@k and whether the user has a positive, each `[U]`, of ranked rows."""
    first = torch.where(rows.rank < k, rows.first_positive, 0.0)
    return rows.per_user(first, num_users), rows.per_user(rows.gain, num_users) > 0


class Hit(AbstractUserMean):
    """Share of users with a positive among their k best; `empty` as in NDCG."""

    labels = frozenset({"binary", "ranking"})
    under_affine = "undefined"

    def by_user(self, rows: RankedRows, num_users: int) -> tuple[Tensor, Tensor]:
        return hit_of(rows, num_users, self.k)
