"""How much of lists goes to the long tail."""

from __future__ import annotations

from typing import Annotated

import numpy as np
from pydantic import Field

from causalrec.catalogue.lists import Lists
from causalrec.data.popularity import LEVELS
from causalrec.metrics.list.list_mean import AbstractListMean, mean_over_items
from causalrec.types import Doubles

FIRST_OF_TAIL = LEVELS.index("tail")


class TailShare(AbstractListMean):
    """Share of a list's places that go to the tail of the catalogue, averaged over users.

    The tail is that of the slice `popularity`: items by falling count of their training rows from the first `border` of
    these rows on, and items without a training row. Also called APLT, average percentage of long-tail items; a share.
    Source: Abdollahpouri et al. (FLAIRS 2019).

    Args:
        num_clusters: of users.
        border: share of the training rows that the items before the tail make up; .8 as the slice has it.
    """

    higher_is_better = True

    def __init__(self, num_clusters: int, *, border: Annotated[float, Field(ge=0, le=1)] = 0.8) -> None:
        super().__init__(num_clusters)
        self.border = border

    def by_list(self, lists: Lists) -> Doubles:
        level = lists.facts.popularity_levels((0.0, self.border))
        return mean_over_items(lists, (level >= FIRST_OF_TAIL).astype(np.float64))
