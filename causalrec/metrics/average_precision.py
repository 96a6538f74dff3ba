"""Mean average precision at K."""

from __future__ import annotations

from typing import Annotated, Literal

import torch
from pydantic import Field
from torch import Tensor

from causalrec.metrics.ranks import RankedRows, rank_rows
from causalrec.metrics.user_mean import AbstractUserMean, EmptyUsers

Denominator = Literal["positives", "attainable"]


def average_precision_by_user(
    prediction: Tensor, label: Tensor, user: Tensor, num_users: int, k: int | None = None
) -> tuple[Tensor, Tensor, Tensor]:
    """Return (AP@k, whether the user has a positive, whether the user has a row), each `[U]`.

    `AP@k = sum over the k best ranks r of label_r x Precision@r, / all positives`. Equal scores: the mean over random
    orders of the tied rows.

    Args:
        prediction: `[N]`, scores.
        label: `[N]`, 0 or 1.
        user: int64[N], the user of each row.
        num_users: U.
        k: length of the list; None: all rows.

    Source: trec_eval's `map_cut`; ties: McSherry & Najork (ECIR 2008).

    >>> scores, labels = torch.tensor([0.9, 0.5, 0.1]), torch.tensor([1.0, 0.0, 1.0])
    >>> float(average_precision_by_user(scores, labels, torch.tensor([0, 0, 0]), 1, 2)[0])
    0.5
    """
    rows = rank_rows(prediction, label, user)
    return *average_precision_of(rows, num_users, k), rows.present(num_users)


def average_precision_of(
    rows: RankedRows, num_users: int, k: int | None = None, denominator: Denominator = "positives"
) -> tuple[Tensor, Tensor]:
    """Return AP@k and whether the user has a positive, each `[U]`, of ranked rows.

    A row of a run of n ties, p of them positives, that comes j-th (from 0) after b positives of higher score is one
    with probability `p / n`, and then `b + 1 + j (p-1) / (n-1)` positives stand up to it on average.

    Args:
        rows: ranked rows.
        num_users: U.
        k: length of the list; None: all rows.
        denominator: as in `MAP`.
    """
    others = (rows.run_positives - 1) / (rows.run_length - 1).clamp_min(1)
    up_to = rows.positives_before + 1 + (rows.rank - rows.run_start) * others
    precision = rows.gain * up_to / (rows.rank + 1)
    total = rows.per_user(precision if k is None else torch.where(rows.rank < k, precision, 0.0), num_users)
    positives = rows.per_user(rows.gain, num_users)
    most = positives if k is None or denominator == "positives" else positives.clamp_max(k)
    return total / torch.where(positives > 0, most, 1.0), positives > 0


class MAP(AbstractUserMean):
    """Mean average precision at k over users; `empty` as in NDCG.

    Attributes:
        num_clusters: users.
        k: length of the list.
        empty: what a user without positives counts.
        denominator: what a user's sum is divided by: all `positives`, as trec_eval, ranx and ir-measures have it, so
            that 1 is out of reach of a user with more than k; or those that fit into k, the most that is `attainable`,
            as RecBole has it, whose numbers are higher.
    """

    labels = frozenset({"binary", "ranking"})
    under_affine = "undefined"

    def __init__(
        self,
        num_clusters: int,
        *,
        k: Annotated[int, Field(gt=0)] = 10,
        empty: EmptyUsers = "skip",
        denominator: Denominator = "positives",
    ) -> None:
        super().__init__(num_clusters, k=k, empty=empty)
        self.denominator = denominator

    def by_user(self, rows: RankedRows, num_users: int) -> tuple[Tensor, Tensor]:
        return average_precision_of(rows, num_users, self.k, self.denominator)
