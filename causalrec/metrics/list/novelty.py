"""How little known the items of lists are."""

from __future__ import annotations

from typing import Annotated

import numpy as np
from pydantic import Field

from causalrec.catalogue.lists import Lists
from causalrec.metrics.list.list_mean import AbstractListMean, mean_over_items
from causalrec.types import Doubles


class Novelty(AbstractListMean):
    """Self-information of a list's items in bits, averaged over items, then over users: little where many met them.

    `-log2((n_i + s) / (U + s))`, n_i of all U users met item i in training and s is `smoothing`, without which items
    that nobody met would be infinitely new. Source: Zhou et al. (PNAS 2010), with s = 0.

    Args:
        num_clusters: of users.
        smoothing: further users who are taken to have met each item.
    """

    higher_is_better = True

    def __init__(self, num_clusters: int, *, smoothing: Annotated[float, Field(gt=0)] = 1.0) -> None:
        super().__init__(num_clusters)
        self.smoothing = smoothing

    def by_list(self, lists: Lists) -> Doubles:
        met, users = lists.facts.audience, lists.facts.num_users
        return mean_over_items(lists, -np.log2((met + self.smoothing) / (users + self.smoothing)))
