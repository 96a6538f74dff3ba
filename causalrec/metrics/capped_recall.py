"""Recall at K as a share of the positives that fit into K."""

from __future__ import annotations

from torch import Tensor

from causalrec.metrics.ranks import RankedRows, rank_rows
from causalrec.metrics.recall import recall_of
from causalrec.metrics.user_mean import AbstractUserMean


def capped_recall_by_user(
    prediction: Tensor, label: Tensor, user: Tensor, num_users: int, k: int
) -> tuple[Tensor, Tensor, Tensor]:
    """Return (capped Recall@k, whether the user has a positive, whether the user has a row), each `[U]`.

    `positives among the k best / min(k, all positives)`, a share: 1 is attainable however many positives a user has.

    Args:
        prediction: `[N]`, scores.
        label: `[N]`, outcomes.
        user: int64[N], the user of each row.
        num_users: U.
        k: length of the list.

    >>> import torch
    >>> scores, labels = torch.tensor([0.9, 0.5, 0.1]), torch.tensor([1.0, 1.0, 1.0])
    >>> float(capped_recall_by_user(scores, labels, torch.zeros(3, dtype=torch.int64), 1, 2)[0])
    1.0
    """
    rows = rank_rows(prediction, label, user)
    return *capped_recall_of(rows, num_users, k), rows.present(num_users)


def capped_recall_of(rows: RankedRows, num_users: int, k: int) -> tuple[Tensor, Tensor]:
    """Return capped Recall@k and whether the user has a positive, each `[U]`, of ranked rows."""
    share, positives = recall_of(rows, num_users, k)
    return share * positives / positives.clamp(1, k), positives > 0


class CappedRecall(AbstractUserMean):
    """Mean capped Recall@k over users, as much public debiasing code has it (with `empty="one"`)."""

    labels = frozenset({"binary"})
    under_affine = "undefined"

    def by_user(self, rows: RankedRows, num_users: int) -> tuple[Tensor, Tensor]:
        return capped_recall_of(rows, num_users, self.k)
