"""What lists are worth to their users."""

from __future__ import annotations

import numpy as np

from causalrec.catalogue.lists import NO_ITEM, Lists
from causalrec.metrics.list.list_mean import AbstractListMean
from causalrec.types import Doubles


class ListGain(AbstractListMean):
    """Mean outcome of a list's items, averaged over users.

    In the outcome's unit. Where test rows are a sample of the pairs, an item's outcome counts over the probability of
    being in the sample, and 0 where it is not in it, so that the mean is unbiased over draws of the sample; of a log
    of positives an item counts 1 where the user chose it in the test, which makes this precision. Assumption: those
    probabilities are right. Source: Horvitz & Thompson (JASA 1952).
    """

    higher_is_better = True
    reads_gains = True

    def by_list(self, lists: Lists) -> Doubles:
        assert lists.gain is not None
        with np.errstate(invalid="ignore"):  # 0 / 0 of an empty list
            mean: Doubles = lists.gain.sum(1, dtype=np.float64) / (lists.item != NO_ITEM).sum(1)
        return mean
