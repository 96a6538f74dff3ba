"""Each logged row against every item: the full softmax of a small catalogue."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from causalrec.data.log import InteractionLog
from causalrec.data.sampler.base import AbstractLogSampler, relative_weight
from causalrec.data.sampler.rows import SampledRows
from causalrec.errors import DataError
from causalrec.types import CANDIDATES, Count, Ints, Space


@dataclass(frozen=True, kw_only=True)
class AllItems(AbstractLogSampler):
    """Each logged row once, against every item once: what sampled negatives come to as they grow.

    Attributes:
        max_items: a larger catalogue is refused; each step makes a score of every row with every item.
    """

    spaces: ClassVar[frozenset[Space]] = frozenset({CANDIDATES})
    reads_further_rows: ClassVar[bool] = False

    max_items: Count = 20_000

    def candidate_count(self, space: Space, rows: int, items: int) -> int:
        return items

    def draw(self, rows: Ints, log: InteractionLog, seen_log: InteractionLog, rng: np.random.Generator) -> SampledRows:
        """Return the batches `[m,B]` of these log rows, with all items as candidates.

        Args:
            rows: `[m,B]` row numbers of the log, int64.
            log: the log.
            seen_log: not read.
            rng: not read.
        """
        if log.num_items > self.max_items:
            raise DataError(
                f"sampler=all_items: {log.num_items:,} items, at most {self.max_items:,} (sampler.max_items), as each "
                f"step scores every row with every item; choose sampler=in_batch or shared_negatives"
            )
        items = log.pool_items
        shape = (len(rows), len(items))
        return SampledRows(
            rows,
            log.users[rows],
            log.item[rows],
            relative_weight(log, rows),
            candidates=np.broadcast_to(items, shape),
            candidate_counts=np.broadcast_to(np.float32(1), shape),
        )
