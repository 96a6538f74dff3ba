"""Metrics that are a mean over users of a ranking of their rows."""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import replace
from typing import Annotated, ClassVar, Literal

import torch
from pydantic import Field
from torch import Tensor

from causalrec.metrics.base import AbstractMetric, Scored, Subsets
from causalrec.metrics.ranks import RankedRows, rank_rows

EmptyUsers = Literal["skip", "zero", "one"]


class AbstractUserMean(AbstractMetric):
    """A mean over users of a ranking of all their rows.

    Of `update` rows are kept until asked for, as one user may span updates; of `update_users` and `update_ranked` the
    users' values alone.

    Attributes:
        at_k: it depends on a user's first k rows and the number of positives alone.
    """

    higher_is_better = True
    ranks_users = True
    labels_are_gains = True
    streams = True
    at_k: ClassVar[bool] = True
    prediction: list[Tensor]
    label: list[Tensor]
    cluster: list[Tensor]
    value: list[Tensor]
    user: list[Tensor]

    def __init__(self, num_clusters: int, *, k: Annotated[int, Field(gt=0)] = 5, empty: EmptyUsers = "skip") -> None:
        super().__init__()
        self.num_clusters, self.k, self.empty = num_clusters, k, empty
        self._ranked: RankedRows | None = None
        for state in ("prediction", "label", "cluster", "value", "user"):
            self.add_state(state, [], dist_reduce_fx="cat")

    @abstractmethod
    def by_user(self, rows: RankedRows, num_users: int) -> tuple[Tensor, Tensor]:
        """Return (what is averaged `[...,U]`, whether the user has a positive `[U]`)."""

    def finish(self, means: Tensor) -> Tensor:
        """Turn means over users `[...,R]` into the metric `[R]` (the identity, unless overridden)."""
        return means

    def update(self, scored: Scored) -> None:
        self._ranked = scored.ranked_rows if not self.prediction else None  # shared by all metrics of one update
        self.prediction.append(scored.prediction)
        self.label.append(scored.label)
        self.cluster.append(scored.cluster)

    def update_users(self, scored: Scored) -> None:
        users, position = torch.unique(scored.cluster, return_inverse=True)
        self.update_ranked(replace(scored, cluster=position).ranked_rows, users)

    def update_ranked(self, rows: RankedRows, users: Tensor) -> None:
        """Add rankings, none of which comes again.

        Args:
            rows: ranked rows; `rows.user` says of which ranking each is, 0..M-1.
            users: int64[M], whose ranking it is; a user may have several, each of which counts as much as any other.
        """
        value, position = self._values_in_mean(rows, len(users))
        self._computed, self._update_count = None, self._update_count + 1  # as torchmetrics marks its own `update`
        self.value.append(value.movedim(-1, 0))
        self.user.append(users[position])

    def by_ranking(self) -> tuple[Tensor, Tensor]:
        """Return what is averaged, `[...,M]`, and whose ranking each is, int64[M]."""
        if self.user:
            return torch.cat(list(self.value)).movedim(0, -1), torch.cat(list(self.user))
        return self._values_in_mean(self._rows(), self.num_clusters)

    def compute(self) -> Tensor:
        value, _ = self.by_ranking()
        return self.finish(value.mean(-1))

    def replicates(self, weights: Tensor) -> Tensor:
        value, user = self.by_ranking()
        user_weights = weights[:, user]
        return self.finish((value @ user_weights.T) / user_weights.sum(1))

    def on_subsets(self, subsets: Subsets) -> Tensor:
        value, user = self._values_in_mean(subsets.ranked_rows, len(subsets) * subsets.num_clusters)
        subset = user // subsets.num_clusters
        sums = value.new_zeros(*value.shape[:-1], len(subsets)).index_add_(-1, subset, value)
        return self.finish(sums / torch.bincount(subset, minlength=len(subsets)))

    def _rows(self) -> RankedRows:
        prediction, label, user = (torch.cat(list(s)) for s in (self.prediction, self.label, self.cluster))
        if self._ranked is not None and len(self._ranked.user) == len(user):  # else other ranks' rows were gathered
            return self._ranked
        return rank_rows(prediction, label, user)

    def _values_in_mean(self, rows: RankedRows, count: int) -> tuple[Tensor, Tensor]:
        """Return values and users of those in the mean, under the convention for users without positives."""
        value, defined = self.by_user(rows, count)
        present = rows.present(count)
        filled = torch.where(defined, value, torch.full_like(value, 1.0 if self.empty == "one" else 0.0))
        users = torch.nonzero(present & defined if self.empty == "skip" else present).squeeze(1)
        return filled[..., users], users
