"""How popular the items of lists are."""

from __future__ import annotations

from causalrec.catalogue.lists import Lists
from causalrec.metrics.list.list_mean import AbstractListMean, mean_over_items
from causalrec.types import Doubles


class AveragePopularity(AbstractListMean):
    """Share of all users who met an item in training, averaged over a list's items, then over users.

    Also called ARP, average recommendation popularity; a share. Rows of exposed pairs alone count. Source: Yin et al.
    (VLDB 2012), there a number of ratings.
    """

    higher_is_better = False

    def by_list(self, lists: Lists) -> Doubles:
        return mean_over_items(lists, lists.facts.audience / lists.facts.num_users)
