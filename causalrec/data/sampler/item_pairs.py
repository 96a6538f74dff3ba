"""Each logged row beside another item, whether its user has a row with that or not."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from causalrec.data.log import InteractionLog
from causalrec.data.sampler.base import AbstractLogSampler, relative_weight
from causalrec.data.sampler.rows import SampledRows
from causalrec.errors import DataError
from causalrec.types import ITEM_PAIRS, Ints, Space


@dataclass(frozen=True, kw_only=True)
class ItemPairs(AbstractLogSampler):
    """Each logged row once with another item, drawn uniformly, whose own row is looked up where it has one (Saito,
    ICTIR 2020).

    The mean is over rows and all other items; of a pair of an item with itself nothing can be learnt. Where a pair has
    several rows, the first is looked up. The log's row weights multiply in, divided by their mean.
    """

    spaces: ClassVar[frozenset[Space]] = frozenset({ITEM_PAIRS})
    reads_further_rows: ClassVar[bool] = False

    def draw(self, rows: Ints, log: InteractionLog, seen_log: InteractionLog, rng: np.random.Generator) -> SampledRows:
        """Return the batches `[m,B]` of these log rows, each with another item.

        Args:
            rows: `[m,B]` row numbers of the log, int64.
            log: the log.
            seen_log: the log alone, whose rows are looked up.
            rng: generator of every draw.
        """
        items = log.pool_items
        if len(items) < 2:
            raise DataError(f"{log.name}: has one item, which stands against no other; choose an objective of one item")
        user, item = log.users[rows], log.item[rows]
        step = rng.integers(1, len(items), size=rows.shape)
        other = items[(np.searchsorted(items, item) + step) % len(items)]
        row = log.finder(user * log.num_items + other)
        return SampledRows(rows, user, item, relative_weight(log, rows), other, negative_row=row)
