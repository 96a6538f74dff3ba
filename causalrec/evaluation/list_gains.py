"""What places of lists are worth: true rates or effects, choices, or outcomes of a sample of the pairs."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from causalrec.catalogue.lists import NO_ITEM
from causalrec.evaluation.slice.base import SliceSource
from causalrec.evaluation.slice.catalogue import Gains
from causalrec.types import Doubles, Floats, Ints


@dataclass(frozen=True, eq=False)
class ListGains:
    """What a place of a list is worth.

    Attributes:
        gains: of users and their items.
        words: what a gain is, for a note.
        key: what names it, for the hash of what is judged.
    """

    gains: Gains
    words: str
    key: str


def list_gains(source: SliceSource, arm: int = 0) -> ListGains | None:
    """Return what places of lists are worth in these data; None where nothing tells.

    Args:
        source: the data.
        arm: the treatment whose effect ranks; 0: outcomes do.
    """
    dataset, test = source.dataset, source.splits.test
    if arm:
        potential = dataset.potential
        if potential is None:
            return None
        return _truth(lambda user, item: _effect(potential.means(user, item), arm), "an item's true effect")
    if dataset.card.feedback == "positive_only":
        return _of_rows(test.codes, np.where(test.outcome > 0, 1.0, 0.0), test.num_items, "1 where the user chose it")
    if dataset.oracle is not None:
        return _truth(dataset.oracle.rate, "an item's true mean outcome")
    return None


def _effect(by_arm: Floats, arm: int) -> Floats:
    return by_arm[..., arm] - by_arm[..., 0]


def _truth(truth: Callable[[Ints, Ints], Floats], words: str) -> ListGains:
    """Return gains that are the true numbers of pairs."""

    def gains(user: Ints, item: Ints) -> Floats:
        worth = truth(user[:, None], np.maximum(item, 0))
        return np.where(item == NO_ITEM, 0, worth).astype(np.float32)

    return ListGains(gains, words, words)


def _of_rows(codes: Ints, worth: Doubles, num_items: int, words: str) -> ListGains:
    """Return gains that are the mean worth of a pair's rows, 0 of a pair without rows.

    Args:
        codes: int64[N], user * I + item of each row.
        worth: float64[N], what the rows say of their pairs.
        num_items: I.
        words: what a gain is.
    """
    pairs, row_pair, count = np.unique(codes, return_inverse=True, return_counts=True)
    mean = (np.bincount(row_pair, worth, minlength=len(pairs)) / count).astype(np.float32)

    def gains(user: Ints, item: Ints) -> Floats:
        wanted = user[:, None] * num_items + item
        position = np.minimum(np.searchsorted(pairs, wanted), len(pairs) - 1)
        return np.where((item != NO_ITEM) & (pairs[position] == wanted), mean[position], np.float32(0))

    digest = hashlib.sha256(pairs.tobytes() + mean.tobytes()).hexdigest()
    return ListGains(gains, words, digest)
