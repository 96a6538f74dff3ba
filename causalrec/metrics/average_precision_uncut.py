"""Mean average precision over whole rankings."""

from __future__ import annotations

from torch import Tensor

from causalrec.metrics.average_precision import average_precision_of
from causalrec.metrics.ranks import RankedRows
from causalrec.metrics.user_mean import AbstractUserMean, EmptyUsers


class UncutMAP(AbstractUserMean):
    """Mean average precision over users, of whole rankings; `empty` as in NDCG.

    Source: Buckley & Voorhees (SIGIR 2000).

    >>> import torch
    >>> from causalrec.metrics.ranks import rank_rows
    >>> rows = rank_rows(torch.tensor([0.9, 0.5, 0.1]), torch.tensor([0.0, 1.0, 1.0]), torch.tensor([0, 0, 0]))
    >>> round(float(UncutMAP(1).by_user(rows, 1)[0]), 4)
    0.5833
    """

    labels = frozenset({"binary", "ranking"})
    at_k = False
    under_affine = "undefined"

    def __init__(self, num_clusters: int, *, empty: EmptyUsers = "skip") -> None:
        super().__init__(num_clusters, empty=empty)

    def by_user(self, rows: RankedRows, num_users: int) -> tuple[Tensor, Tensor]:
        return average_precision_of(rows, num_users)
