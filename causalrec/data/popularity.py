"""Items by popularity: head, torso, tail, and those that were never met."""

from __future__ import annotations

import numpy as np

from causalrec.data.log import InteractionLog
from causalrec.types import Ints

LEVELS = ("head", "torso", "tail", "cold")
BORDERS = (0.2, 0.8)  # shares of the rows at which head and torso end (Abdollahpouri et al., UMAP 2021)


def popularity_levels(log: InteractionLog, borders: tuple[float, float] = BORDERS) -> Ints:
    """Return which of `LEVELS` each item is in, int64[I], judged by the rows of `log`.

    An item on a border is on the side where its first row falls.
    """
    counts = np.bincount(log.item, minlength=log.num_items)
    order = np.argsort(-counts, kind="stable")
    earlier = np.empty(log.num_items)
    earlier[order] = np.cumsum(counts[order]) - counts[order]  # rows of the items before
    level: Ints = np.searchsorted(np.array(borders) * len(log), earlier, side="right")
    level[counts == 0] = len(borders) + 1
    return level
