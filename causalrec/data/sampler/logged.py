"""Each logged row once."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from causalrec.data.log import InteractionLog
from causalrec.data.sampler.base import AbstractLogSampler, row_weight
from causalrec.data.sampler.rows import Rows
from causalrec.types import Ints, Space


@dataclass(frozen=True, kw_only=True)
class Logged(AbstractLogSampler):
    """Each logged row once; the weight N / |D| makes `mean(weight * o * x / p)` the IPS estimate over all pairs D.

    A log's own row weights multiply it.
    """

    spaces: ClassVar[frozenset[Space]] = frozenset({"logged"})
    reads_known_rows: ClassVar[bool] = False

    def draw(self, rows: Ints, log: InteractionLog, known: InteractionLog, rng: np.random.Generator) -> Rows:
        weight = np.full(rows.shape, len(log) / log.population, np.float32) * row_weight(log, rows)
        return Rows(rows, log.users[rows], log.item[rows], weight)
