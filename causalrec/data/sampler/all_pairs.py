"""Logged rows beside uniformly drawn pairs, weighted to the mean over all pairs."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, ClassVar

import numpy as np
from pydantic import Field

from causalrec.data.log import InteractionLog
from causalrec.data.sampler.base import AbstractLogSampler
from causalrec.data.sampler.rows import SampledRows
from causalrec.types import Doubles, Ints, Space


@dataclass(frozen=True, kw_only=True)
class AllPairs(AbstractLogSampler):
    """Each logged row once, together with uniformly drawn pairs, in the ratio `observed_share`.

    The mean is over pairs: one of several rows counts once, with the mean of its rows.
    Rows weigh `1 / (share * o * |D| / N + 1 - share)`, the balance heuristic (Veach & Guibas 1995), which makes
    `mean(weight * x)` unbiased for the mean of x over all pairs D while exposed pairs are oversampled. In a log with
    row weights w, a pair of m rows counts as their weighted sum: a uniform draw takes one of them at random, and a row
    weighs `m * w / (share * m * |D| / N + 1 - share)`.

    Attributes:
        observed_share: how much of a batch is logged rows; `batch_size` counts these alone, and the drawn pairs come
            on top, so that an epoch has as many steps as one of logged rows.
    """

    spaces: ClassVar[frozenset[Space]] = frozenset({"all_pairs"})

    observed_share: Annotated[float, Field(ge=0.001, lt=1)] = 0.5

    def draw(self, rows: Ints, log: InteractionLog, seen_log: InteractionLog, rng: np.random.Generator) -> SampledRows:
        """Return the batches `[m,B]` that hold these log rows and uniformly drawn pairs.

        Args:
            rows: `[m,b]` row numbers of the log, int64.
            log: the log.
            seen_log: the log and the further rows: a drawn pair that stands there has its row there.
            rng: generator of every draw.
        """
        others = max(1, round(rows.shape[1] * (1 - self.observed_share) / self.observed_share))
        codes = log.pair_codes(rng.integers(log.num_pairs, size=(len(rows), others)))
        is_plain = log.weight is None and not log.has_repeats
        drawn_rows = seen_log.finder(codes) if is_plain else _any_row(codes, log, rng)
        row = np.concatenate([rows, drawn_rows], axis=1)
        code = np.concatenate([log.codes[rows], codes], axis=1)
        weight = _weights(row, log, rows.shape[1] / row.shape[1])
        return SampledRows(row, code // log.num_items, code % log.num_items, weight.astype(np.float32))


def _weights(row: Ints, log: InteractionLog, share: float) -> Doubles:
    if log.weight is None and not log.has_repeats:
        plain: Doubles = 1 / (share * (row >= 0) * log.num_pairs / len(log) + 1 - share)
        return plain
    copies = np.where(row >= 0, log.pair_counts[row], 0)
    counted = 1.0 if log.weight is None else np.where(row >= 0, copies * log.weight[row].astype(np.float64), 1.0)
    weight: Doubles = counted / (share * copies * log.num_pairs / len(log) + 1 - share)
    return weight


def _any_row(codes: Ints, log: InteractionLog, rng: np.random.Generator) -> Ints:
    """Return for each pair a row of it, each with the same probability; -1 where there is none."""
    order, ordered = log.rows_by_pair
    start, stop = np.searchsorted(ordered, codes), np.searchsorted(ordered, codes, side="right")
    chosen = np.minimum(start + (rng.random(codes.shape) * (stop - start)).astype(np.int64), len(log) - 1)
    return np.where(stop > start, order[chosen], -1)
