"""What lists are worth to their users, the first places most."""

from __future__ import annotations

import numpy as np

from causalrec.catalogue.lists import NO_ITEM, Lists
from causalrec.metrics.list.catalogue_metric import log_discount
from causalrec.metrics.list.list_mean import AbstractListMean
from causalrec.types import Doubles


class ListDCG(AbstractListMean):
    """Discounted sum of the outcomes of a list's items, averaged over users.

    `sum over ranks of outcome / log2(1 + rank)`, rank from 1, in the outcome's unit; outcomes count as in `list_gain`,
    so that it is unbiased where test rows are a sample. Source: Jarvelin & Kekalainen (TOIS 2002), linear gain.
    """

    higher_is_better = True
    reads_gains = True

    def by_list(self, lists: Lists) -> Doubles:
        assert lists.gain is not None
        discounted = lists.gain.astype(np.float64) @ log_discount(lists.item.shape[1])
        return np.where((lists.item != NO_ITEM).any(1), discounted, np.nan)
