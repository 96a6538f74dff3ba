"""Rows of batches, and pairs that were not logged."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np

from causalrec.data.log import InteractionLog
from causalrec.errors import DataError
from causalrec.types import Doubles, Floats, Ints


@dataclass(frozen=True)
class SampledRows:
    """Rows of one batch `[B]`, or of m batches of equal size `[m,B]`.

    Attributes:
        row: their row in the log, int64; -1: not logged.
        user: ids, int64.
        item: ids, int64.
        weight: float32, as in `Batch`.
        negative: an item the user has no row with, or any other (`item_pairs`), int64; None where the space has none.
        candidates: items `[C]` or `[m,C]` that every row of a batch stands against, int64; None where there are none.
        candidate_counts: how often each is expected there where it is not the row's own item, float32, as `candidates`.
        negative_row: the negative's row in the log, int64; -1: not logged. None where negatives are never logged.
        columns: further columns of the batch, by name, int64.
    """

    row: Ints
    user: Ints
    item: Ints
    weight: Floats
    negative: Ints | None = None
    candidates: Ints | None = None
    candidate_counts: Floats | None = None
    negative_row: Ints | None = None
    columns: Mapping[str, Ints] = field(default_factory=dict)

    @property
    def width(self) -> int:
        """Rows or candidates of a batch, whichever are more."""
        return max(int(ids.shape[-1]) for ids in (self.row, self.candidates) if ids is not None)

    def flatten(self) -> SampledRows:
        """Return the batches' rows one after another, without candidates, which belong to a batch."""
        negative, negative_row = (
            None if ids is None else ids.reshape(-1) for ids in (self.negative, self.negative_row)
        )
        row, user, item = (ids.reshape(-1) for ids in (self.row, self.user, self.item))
        columns = {name: values.reshape(-1) for name, values in self.columns.items()}
        weight = self.weight.reshape(-1)
        return SampledRows(row, user, item, weight, negative, negative_row=negative_row, columns=columns)

    def at(self, chosen: slice | int | tuple[slice, slice]) -> SampledRows:
        """Return some of the batches, of each some of the rows, with all candidates."""
        negative = None if self.negative is None else self.negative[chosen]
        batches = chosen[0] if isinstance(chosen, tuple) else chosen
        return SampledRows(
            self.row[chosen],
            self.user[chosen],
            self.item[chosen],
            self.weight[chosen],
            negative,
            None if self.candidates is None else self.candidates[batches],
            None if self.candidate_counts is None else self.candidate_counts[batches],
            None if self.negative_row is None else self.negative_row[chosen],
            {name: values[chosen] for name, values in self.columns.items()},
        )


def uniform_pairs(log: InteractionLog, max_pairs: int) -> tuple[Ints, float]:
    """Return codes of unexposed pairs and how many each stands for: all, or a uniform sample of `max_pairs`."""
    if log.num_pairs <= max_pairs:
        seen = np.zeros(log.num_codes, bool)
        seen[log.codes] = True
        every = log.pair_codes(np.arange(log.num_pairs))
        return every[~seen[every]], 1.0
    codes = log.pair_codes(np.random.default_rng(0).integers(log.num_pairs, size=max_pairs))
    unexposed = codes[log.finder(codes) < 0]
    return unexposed, (log.num_pairs - len(np.unique(log.codes))) / len(unexposed)


def unexposed_pairs(log: InteractionLog, max_pairs: int) -> tuple[Ints, Doubles]:
    """Return codes of unexposed pairs, and how many each stands for, float64: all of them, or a sample of `max_pairs`.

    Half of a sample is drawn uniformly, half by the margins (the user and the item of two rows drawn at random), so
    that busy users and popular items, where exposure is likely, are not left to a few pairs of great weight. Each pair
    weighs the inverse of its probability under the mixture; the weights sum to the number of unexposed pairs.

    Raises DataError where every pair is exposed.
    """
    unexposed = require_unexposed(log)
    if log.num_pairs <= max_pairs:
        codes, _ = uniform_pairs(log, max_pairs)
        return codes, np.ones(len(codes))
    rng = np.random.default_rng(0)
    of_margins = max_pairs // 2
    user, item = log.users[rng.integers(len(log), size=of_margins)], log.item[rng.integers(len(log), size=of_margins)]
    uniform = log.pair_codes(rng.integers(log.num_pairs, size=max_pairs - of_margins))
    codes = np.concatenate([uniform, user * log.num_items + item])
    codes = codes[log.finder(codes) < 0]
    of_user, of_item = np.bincount(log.users) / len(log), np.bincount(log.item, minlength=log.num_items) / len(log)
    of_user = np.append(of_user, np.zeros(log.num_users - len(of_user)))
    density = 0.5 / log.num_pairs + 0.5 * of_user[codes // log.num_items] * of_item[codes % log.num_items]
    weight = 1 / density
    return codes, weight * (unexposed / weight.sum())


def require_unexposed(log: InteractionLog) -> int:
    """Return the number of pairs without a row; raise DataError where there is none: exposure cannot be learnt."""
    unexposed = log.num_pairs - log.distinct_pairs
    if unexposed == 0:
        raise DataError(
            f"{log.name}: every user has a row with every item, so that exposure cannot be learnt; choose "
            f"propensity=logged or popularity"
        )
    return unexposed


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
