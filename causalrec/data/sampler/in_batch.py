"""Each logged row against the items of its batch."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from causalrec.data.log import InteractionLog
from causalrec.data.sampler.base import AbstractLogSampler, relative_weight
from causalrec.data.sampler.rows import SampledRows
from causalrec.types import CANDIDATES, Ints, Space


@dataclass(frozen=True, kw_only=True)
class InBatch(AbstractLogSampler):
    """Each logged row once, against the items of its batch: negatives come as often as items are logged.

    An item of n of the log's N rows is expected `(B - 1) n / (N - 1)` times among the other rows of a batch of B. Items
    without a row are never negatives: the catalogue is that of the training rows. In a distributed run every rank reads
    the items of the global batch. Source: Yi et al. (RecSys 2019, section 3).
    """

    spaces: ClassVar[frozenset[Space]] = frozenset({CANDIDATES})
    reads_further_rows: ClassVar[bool] = False

    def draw(self, rows: Ints, log: InteractionLog, seen_log: InteractionLog, rng: np.random.Generator) -> SampledRows:
        """Return the batches `[m,B]` of these log rows, with their items as candidates.

        Args:
            rows: `[m,B]` row numbers of the log, int64.
            log: the log.
            seen_log: not read.
            rng: not read.
        """
        item, others = log.item[rows], max(rows.shape[1] - 1, 1)
        expected = np.bincount(log.item, minlength=log.num_items) * (others / max(len(log) - 1, 1))
        return SampledRows(
            rows,
            log.users[rows],
            item,
            relative_weight(log, rows),
            candidates=item,
            candidate_counts=expected[item].astype(np.float32),
        )
