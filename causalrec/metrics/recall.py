"""Recall at K."""

from __future__ import annotations

from typing import Annotated

import torch
from pydantic import Field
from torch import Tensor

from causalrec.metrics.base import AbstractRatio, Scored
from causalrec.metrics.ranking import EmptyUsers, averaged, per_user, ranked


def recall_by_user(
    prediction: Tensor, label: Tensor, user: Tensor, num_users: int, k: int
) -> tuple[Tensor, Tensor, Tensor]:
    """Return (Recall@k, whether the user has a positive, whether the user has a row), each `[U]`.

    `Recall@k = positives among the k best / all positives` (a share; some published "Recall" is the bare count).

    >>> value, _, _ = recall_by_user(torch.tensor([0.9, 0.1]), torch.tensor([0.0, 1.0]), torch.tensor([0, 0]), 1, 1)
    >>> float(value)
    0.0
    """
    rows = ranked(prediction, label, user)
    found = per_user(torch.where(rows.rank < k, rows.gain, 0.0), rows.user, num_users)
    positives = per_user(rows.gain, rows.user, num_users)
    present = torch.bincount(user, minlength=num_users) > 0
    return found / torch.where(positives > 0, positives, 1.0), positives > 0, present


class Recall(AbstractRatio):
    """Mean Recall@k over users; `empty` as in NDCG."""

    labels = frozenset({"binary"})
    higher_is_better = True

    def __init__(self, num_clusters: int, *, k: Annotated[int, Field(gt=0)] = 5, empty: EmptyUsers = "skip") -> None:
        super().__init__(num_clusters)
        self.num_clusters, self.k, self.empty = num_clusters, k, empty

    def parts(self, scored: Scored) -> tuple[Tensor, Tensor, Tensor]:
        by_user = recall_by_user(scored.prediction, scored.label, scored.cluster, self.num_clusters, self.k)
        return averaged(*by_user, self.empty)
