"""Each logged row against items that are drawn by their popularity, the same for a batch."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, ClassVar

import numpy as np
from pydantic import Field

from causalrec.data.log import InteractionLog
from causalrec.data.sampler.base import AbstractLogSampler, relative_weight
from causalrec.data.sampler.rows import SampledRows
from causalrec.types import CANDIDATES, Count, Ints, Space


@dataclass(frozen=True, kw_only=True)
class SharedNegatives(AbstractLogSampler):
    """Each logged row once, against `num_negatives` items drawn anew for its batch, with replacement.

    `q_j` is proportional to `(n_j + 1) ** alpha`, n_j the item's training rows: every item can be drawn, also one
    without a row. Source: Bengio & Senecal (IEEE Transactions on Neural Networks 2008, section III).

    Attributes:
        num_negatives: m, items drawn for a batch.
        alpha: 0 draws uniformly, 1 as often as items are logged; .75 is that of Mikolov et al. (NIPS 2013).
    """

    spaces: ClassVar[frozenset[Space]] = frozenset({CANDIDATES})
    reads_further_rows: ClassVar[bool] = False

    num_negatives: Count = 1024
    alpha: Annotated[float, Field(ge=0, le=1)] = 0.75

    def candidate_count(self, space: Space, rows: int, items: int) -> int:
        return self.num_negatives

    def draw(self, rows: Ints, log: InteractionLog, seen_log: InteractionLog, rng: np.random.Generator) -> SampledRows:
        """Return the batches `[m,B]` of these log rows, each batch with items of its own.

        Args:
            rows: `[m,B]` row numbers of the log, int64.
            log: the log.
            seen_log: not read.
            rng: generator of every draw.
        """
        pool = log.pool_items
        mass = np.cumsum((np.bincount(log.item, minlength=log.num_items)[pool] + 1.0) ** self.alpha)
        draws = rng.random((len(rows), self.num_negatives)) * mass[-1]
        chosen = np.minimum(np.searchsorted(mass, draws, side="right"), len(pool) - 1)
        share = np.diff(mass, prepend=0.0) / mass[-1]
        return SampledRows(
            rows,
            log.users[rows],
            log.item[rows],
            relative_weight(log, rows),
            candidates=pool[chosen],
            candidate_counts=(self.num_negatives * share[chosen]).astype(np.float32),
        )
