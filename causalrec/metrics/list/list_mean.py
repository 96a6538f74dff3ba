"""Metrics of lists that are a mean over users."""

from __future__ import annotations

from abc import abstractmethod
from typing import ClassVar

import numpy as np
import torch
from torch import Tensor

from causalrec.catalogue.lists import NO_ITEM, Lists
from causalrec.metrics.list.base import AbstractListMetric
from causalrec.types import Doubles, Floats


class AbstractListMean(AbstractListMetric):
    """A mean over users of a number of each one's list.

    Attributes:
        left_out: why a user may not be in the mean, in a few words that follow "n of m users".
    """

    left_out: ClassVar[str] = "have an empty list"
    total: Tensor
    judged: Tensor
    listed: Tensor

    def __init__(self, num_clusters: int) -> None:
        super().__init__()
        for state in ("total", "judged", "listed"):
            self.add_state(state, torch.zeros(num_clusters, dtype=torch.float64), dist_reduce_fx="sum")

    @abstractmethod
    def by_list(self, lists: Lists) -> Doubles:
        """Return the number of each list, float64[B]; nan of those that are not in the mean."""

    def update_lists(self, lists: Lists) -> None:
        self._computed, self._update_count = None, self._update_count + 1  # as torchmetrics marks its own `update`
        value = self.by_list(lists)
        defined = np.isfinite(value)
        self.listed[lists.user] = 1
        self.total[lists.user[defined]] = torch.from_numpy(value[defined])
        self.judged[lists.user[defined]] = 1

    def compute(self) -> Tensor:
        return self.total.sum() / self.judged.sum()

    def replicates(self, weights: Tensor) -> Tensor:
        return (weights @ self.total) / (weights @ self.judged)

    def by_user_means(self) -> Floats:
        """Return the value of each user, float32[U], nan of those who are not in the mean."""
        values: Floats = torch.where(self.judged > 0, self.total, torch.nan).float().numpy()
        return values

    @property
    def warnings(self) -> tuple[str, ...]:
        """What must be read with it, a line: how many users are left out."""
        users = int(self.listed.sum())
        missing = users - int(self.judged.sum())
        return (f"{missing:,} of {users:,} users {self.left_out}, and are left out",) if missing else ()


def mean_over_items(lists: Lists, of_item: Doubles) -> Doubles:
    """Return the mean over each list of a number of its items, float64[B]; nan of an empty one.

    Args:
        lists: of some users.
        of_item: float64[I].
    """
    held = lists.item != NO_ITEM
    with np.errstate(invalid="ignore"):  # 0 / 0 of an empty list
        mean: Doubles = np.where(held, of_item[lists.item], 0.0).sum(1) / held.sum(1)
    return mean
