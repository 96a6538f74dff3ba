"""A sampler that keeps the order of the log."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from causalrec.data.log import InteractionLog
from causalrec.data.sampler.base import AbstractLogSampler, row_weight
from causalrec.data.sampler.rows import SampledRows
from causalrec.types import Ints, Space


@dataclass(frozen=True, kw_only=True)
class InOrder(AbstractLogSampler):
    """Logged rows, those of one batch in the order of the log."""

    spaces: ClassVar[frozenset[Space]] = frozenset({"logged"})
    reads_further_rows: ClassVar[bool] = False

    def draw(self, rows: Ints, log: InteractionLog, seen_log: InteractionLog, rng: np.random.Generator) -> SampledRows:
        rows = np.sort(rows, axis=-1)
        weight = np.full(rows.shape, len(log) / log.population, np.float32) * row_weight(log, rows)
        return SampledRows(rows, log.users[rows], log.item[rows], weight)
