"""Causal precision at K: the mean true effect of what a user would be recommended."""

from __future__ import annotations

from typing import Annotated

import torch
from pydantic import Field
from torch import Tensor

from causalrec.metrics.ranks import RankedRows, rank_rows
from causalrec.metrics.user_mean import AbstractUserMean


def causal_precision_by_user(prediction: Tensor, effect: Tensor, user: Tensor, num_users: int, k: int) -> Tensor:
    """Return CP@k `[U]`, in the outcome's unit.

    `CP@k = mean effect of the user's k best rows` (all, where there are fewer). Equal predictions share their mean
    effect.

    Args:
        prediction: `[N]`, scores.
        effect: `[N]`, true effects, in the outcome's unit.
        user: int64[N], the user of each row.
        num_users: U.
        k: length of the list.

    Source: Sato, Takemori, Singh & Ohkuma (RecSys 2020).

    >>> score, effect = torch.tensor([0.9, 0.8, 0.1]), torch.tensor([1.0, 0.0, -1.0])
    >>> causal_precision_by_user(score, effect, torch.tensor([0, 0, 0]), 1, 2)
    tensor([0.5000], dtype=torch.float64)
    """
    return ranked_causal_precision(rank_rows(prediction, effect, user), num_users, k)


def ranked_causal_precision(rows: RankedRows, num_users: int, k: int) -> Tensor:
    """Return CP@k `[U]` of ranked rows."""
    best = (rows.rank < k).double()
    return rows.per_user(best * rows.gain, num_users) / rows.per_user(best, num_users).clamp_min(1)


class CausalPrecision(AbstractUserMean):
    """Mean over users of the mean true effect of their `k` best rows."""

    labels = frozenset({"effect"})
    labels_are_gains = False  # effects may be negative
    under_affine = "scales"

    def __init__(self, num_clusters: int, *, k: Annotated[int, Field(gt=0)] = 10) -> None:
        super().__init__(num_clusters, k=k)

    def by_user(self, rows: RankedRows, num_users: int) -> tuple[Tensor, Tensor]:
        return ranked_causal_precision(rows, num_users, self.k), torch.ones(num_users, dtype=torch.bool)
