"""Rows of batches, and pairs that were not logged."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from causalrec.data.log import InteractionLog
from causalrec.types import Floats, Ints


@dataclass(frozen=True)
class SampledRows:
    """Rows of one batch `[B]`, or of m batches of equal size `[m,B]`.

    Attributes:
        row: their row in the log, int64; -1: not logged.
        user: ids, int64.
        item: ids, int64.
        weight: float32, as in `Batch`.
        negative: an item the user has no row with, int64; None where the space has none.
    """

    row: Ints
    user: Ints
    item: Ints
    weight: Floats
    negative: Ints | None = None

    def flatten(self) -> SampledRows:
        """Return the batches' rows one after another."""
        negative = None if self.negative is None else self.negative.reshape(-1)
        row, user, item = (ids.reshape(-1) for ids in (self.row, self.user, self.item))
        return SampledRows(row, user, item, self.weight.reshape(-1), negative)

    def at(self, chosen: slice | int | tuple[slice, slice]) -> SampledRows:
        """Return some of the rows, or one of the batches."""
        negative = None if self.negative is None else self.negative[chosen]
        return SampledRows(self.row[chosen], self.user[chosen], self.item[chosen], self.weight[chosen], negative)


def uniform_pairs(log: InteractionLog, max_pairs: int) -> tuple[Ints, float]:
    """Return codes of unexposed pairs and how many each stands for: all, or a uniform sample of `max_pairs`."""
    if log.num_pairs <= max_pairs:
        seen = np.zeros(log.num_pairs, bool)
        seen[log.codes] = True
        return np.flatnonzero(~seen), 1.0
    codes = np.random.default_rng(0).integers(log.num_pairs, size=max_pairs)
    unexposed = codes[log.finder(codes) < 0]
    return unexposed, (log.num_pairs - len(np.unique(log.codes))) / len(unexposed)


def pairs_log(user: Ints, item: Ints, like: InteractionLog) -> InteractionLog:
    """Return bare (user, item) pairs as a log of unexposed rows, outcomes unseen."""
    return InteractionLog(
        user=user,
        item=item,
        treatment=np.zeros(len(item), np.int64),
        outcome=np.full(len(item), np.nan, np.float32),
        num_users=like.num_users,
        num_items=like.num_items,
        name=f"{like.name} pairs",
    )
