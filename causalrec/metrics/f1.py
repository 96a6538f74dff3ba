"""F1 at K."""

from __future__ import annotations

import torch
from torch import Tensor

from causalrec.metrics.ranks import RankedRows
from causalrec.metrics.recall import recall_of
from causalrec.metrics.user_mean import AbstractUserMean


def f1(precision: Tensor, recall: Tensor) -> Tensor:
    """Return the harmonic mean `2 P R / (P + R)`, 0 where both are 0; shares of any one shape.

    >>> f1(torch.tensor([0.5, 0.0]), torch.tensor([0.25, 0.0]))
    tensor([0.3333, 0.0000])
    """
    return 2 * precision * recall / (precision + recall).clamp_min(1e-30)


class F1(AbstractUserMean):
    """F1@k: the harmonic mean of mean Precision@k (hits / k) and mean Recall@k over users, as public debiasing code has
    it; not the mean of F1 by user. There a user without positives has precision and recall 0 (`empty="zero"`).
    """

    labels = frozenset({"binary"})
    under_affine = "undefined"

    def by_user(self, rows: RankedRows, num_users: int) -> tuple[Tensor, Tensor]:
        recall, positives = recall_of(rows, num_users, self.k)
        return torch.stack([recall * positives / self.k, recall]), positives > 0

    def finish(self, means: Tensor) -> Tensor:
        return f1(means[0], means[1])
