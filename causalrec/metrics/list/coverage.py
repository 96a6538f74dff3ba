"""Coverage of the catalogue by lists."""

from __future__ import annotations

import torch
from torch import Tensor

from causalrec.catalogue.lists import Lists
from causalrec.metrics.list.base import AbstractListMetric


class Coverage(AbstractListMetric):
    """Share of the items that stand in some user's list.

    `|union over users of the list| / I`, a share. Source: Ge et al. (RecSys 2010).
    """

    higher_is_better = True
    of_catalogue = True
    user: list[Tensor]
    item: list[Tensor]

    def __init__(self, num_clusters: int) -> None:
        super().__init__()
        self.num_clusters, self.num_items = num_clusters, 0
        for state in ("user", "item"):
            self.add_state(state, [], dist_reduce_fx="cat")

    def update_lists(self, lists: Lists) -> None:
        self._computed, self._update_count = None, self._update_count + 1
        self.num_items = lists.facts.num_items
        self.user.append(torch.from_numpy(lists.user).repeat_interleave(lists.item.shape[1]))
        self.item.append(torch.from_numpy(lists.item).flatten())

    def compute(self) -> Tensor:
        return self.replicates(torch.ones(1, self.num_clusters, dtype=torch.float64))[0]

    def replicates(self, weights: Tensor) -> Tensor:
        user, item = torch.cat(list(self.user)), torch.cat(list(self.item))
        user, item = user[item >= 0], item[item >= 0]
        shown = torch.zeros(len(weights), self.num_items, dtype=torch.float64).index_add_(1, item, weights[:, user])
        return (shown > 0).double().mean(1)
