"""Each logged row once."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from causalrec.data.log import InteractionLog
from causalrec.data.sampler.base import AbstractLogSampler, row_weight
from causalrec.data.sampler.rows import SampledRows
from causalrec.types import Ints, Space


@dataclass(frozen=True, kw_only=True)
class LoggedRows(AbstractLogSampler):
    """Each logged row once; the weight N / |D| makes `mean(weight * o * x / p)` the IPS estimate over all pairs D.

    The log's row weights multiply it.
    """

    spaces: ClassVar[frozenset[Space]] = frozenset({"logged"})
    reads_further_rows: ClassVar[bool] = False

    def draw(self, rows: Ints, log: InteractionLog, seen_log: InteractionLog, rng: np.random.Generator) -> SampledRows:
        """Return the batches `[m,B]` of these log rows.

        Args:
            rows: `[m,B]` row numbers of the log, int64.
            log: the log.
            seen_log: not read.
            rng: not read.
        """
        weight = np.full(rows.shape, len(log) / log.population, np.float32) * row_weight(log, rows)
        return SampledRows(rows, log.users[rows], log.item[rows], weight)
