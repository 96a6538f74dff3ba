"""Mean reciprocal rank at K."""

from __future__ import annotations

import torch
from torch import Tensor

from causalrec.metrics.ranks import RankedRows, rank_rows
from causalrec.metrics.user_mean import AbstractUserMean


def reciprocal_rank_by_user(
    prediction: Tensor, label: Tensor, user: Tensor, num_users: int, k: int
) -> tuple[Tensor, Tensor, Tensor]:
    """Return (RR@k, whether the user has a positive, whether the user has a row), each `[U]`.

    `RR@k = 1 / rank of the first positive`, rank from 1; 0 where it is not among the k best. Equal scores: the mean of
    1 / rank over random orders of the tied rows, which is not 1 over their mean rank.

    Args:
        prediction: `[N]`, scores.
        label: `[N]`, 0 or 1.
        user: int64[N], the user of each row.
        num_users: U.
        k: length of the list.

    Source: Voorhees (TREC 1999); ties: McSherry & Najork (ECIR 2008).

    >>> scores, labels = torch.tensor([0.5, 0.5]), torch.tensor([0.0, 1.0])
    >>> float(reciprocal_rank_by_user(scores, labels, torch.tensor([0, 0]), 1, 2)[0])
    0.75
    """
    rows = rank_rows(prediction, label, user)
    return *reciprocal_rank_of(rows, num_users, k), rows.present(num_users)


def reciprocal_rank_of(rows: RankedRows, num_users: int, k: int) -> tuple[Tensor, Tensor]:
    """Return RR@k and whether the user has a positive, each `[U]`, of ranked rows."""
    reciprocal = torch.where(rows.rank < k, rows.first_positive / (rows.rank + 1), 0.0)
    return rows.per_user(reciprocal, num_users), rows.per_user(rows.gain, num_users) > 0


class MRR(AbstractUserMean):
    """Mean over users of 1 / rank of the first positive, 0 beyond rank k; `empty` as in NDCG."""

    labels = frozenset({"binary", "ranking"})
    under_affine = "undefined"

    def by_user(self, rows: RankedRows, num_users: int) -> tuple[Tensor, Tensor]:
        return reciprocal_rank_of(rows, num_users, self.k)
