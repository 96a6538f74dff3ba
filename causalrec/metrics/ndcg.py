"""Normalised discounted cumulative gain at K, with an explicit convention for users without positives."""

from __future__ import annotations

import torch
from torch import Tensor

from causalrec.metrics.ranks import RankedRows, rank_rows
from causalrec.metrics.user_mean import AbstractUserMean


def ndcg_by_user(
    prediction: Tensor, label: Tensor, user: Tensor, num_users: int, k: int
) -> tuple[Tensor, Tensor, Tensor]:
    """Return (NDCG@k, whether the user has a positive, whether the user has a row), each `[U]`.

    `DCG@k = sum of label / log2(1 + rank)` over the user's candidates, rank from 1, linear gain; divided by the best
    possible.

    Args:
        prediction: `[N]`, scores.
        label: `[N]`, outcomes.
        user: int64[N], the user of each row.
        num_users: U.
        k: length of the list.

    Source: Jarvelin & Kekalainen (TOIS 2002).

    >>> value, _, _ = ndcg_by_user(torch.tensor([0.9, 0.1]), torch.tensor([0.0, 1.0]), torch.tensor([0, 0]), 1, 5)
    >>> round(float(value), 4)
    0.6309
    """
    rows = rank_rows(prediction, label, user)
    return *ndcg_of(rows, num_users, k), rows.present(num_users)


def ndcg_of(rows: RankedRows, num_users: int, k: int) -> tuple[Tensor, Tensor]:
    """Return NDCG@k and whether the user has a positive, each `[U]`, of ranked rows."""
    discount = torch.where(rows.rank < k, 1 / torch.log2(rows.rank.double() + 2), 0.0)
    gained = rows.per_user(discount * rows.gain, num_users)
    best = rows.per_user(discount * rows.ideal, num_users)
    return gained / torch.where(best > 0, best, 1.0), best > 0


class NDCG(AbstractUserMean):
    """Mean NDCG@k over users. `empty`: a user without positives is skipped, counts 0, or counts 1 (as much published
    code has it, which flatters every method); published tables differ in it, so all three are reported.
    """

    labels = frozenset({"binary", "graded", "ranking"})
    under_affine = "undefined"

    def by_user(self, rows: RankedRows, num_users: int) -> tuple[Tensor, Tensor]:
        return ndcg_of(rows, num_users, self.k)
