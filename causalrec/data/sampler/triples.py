"""Each logged row beside an item that its user has no row with."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from causalrec.data.log import InteractionLog
from causalrec.data.sampler.base import AbstractLogSampler, row_weight
from causalrec.data.sampler.rows import SampledRows
from causalrec.errors import DataError
from causalrec.types import Count, Ints, Space


@dataclass(frozen=True, kw_only=True)
class Triples(AbstractLogSampler):
    """Each logged row once with a negative, an item drawn uniformly among those its user has no row with (Rendle et
    al., UAI 2009).

    A row whose user has met nearly every item may get none in `max_negative_tries` draws and then weighs 0. The log's
    row weights multiply in, divided by their mean, so that a mean over rows stays one.

    Attributes:
        max_negative_tries: draws for a negative.
    """

    spaces: ClassVar[frozenset[Space]] = frozenset({"triples"})

    max_negative_tries: Count = 20

    def draw(self, rows: Ints, log: InteractionLog, seen_log: InteractionLog, rng: np.random.Generator) -> SampledRows:
        """Return the batches `[m,B]` of these log rows, each with a negative.

        Args:
            rows: `[m,B]` row numbers of the log, int64.
            log: the log.
            seen_log: the log and the further rows, whose pairs are no negatives.
            rng: generator of every draw.
        """
        if len(seen_log) >= seen_log.num_pairs == seen_log.distinct_pairs:
            raise DataError(
                f"{log.name}: every user has a row with every item: no negative is left to draw; choose an objective "
                f"of logged rows"
            )
        user, finder, items = log.users[rows], seen_log.finder, log.pool_items
        negative = items[rng.integers(len(items), size=rows.shape)]
        met = finder(user * log.num_items + negative) >= 0
        for _ in range(self.max_negative_tries):
            if not met.any():
                break
            negative = np.where(met, items[rng.integers(len(items), size=rows.shape)], negative)
            met[met] = finder(user[met] * log.num_items + negative[met]) >= 0
        weight = (~met).astype(np.float32)
        mean = 1.0 if log.weight is None else log.weight.mean(dtype=np.float64)
        return SampledRows(rows, user, log.item[rows], weight * row_weight(log, rows) / np.float32(mean), negative)
