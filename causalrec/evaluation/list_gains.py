"""What places of lists are worth: true rates or effects, choices, or outcomes of a sample of the pairs."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from causalrec.catalogue.lists import NO_ITEM
from causalrec.data.pair_lists import sort_distinct
from causalrec.errors import RequestError
from causalrec.evaluation.inclusion import eligible_items, inclusion_probabilities
from causalrec.evaluation.slice.base import SliceSource
from causalrec.evaluation.slice.catalogue import Gains
from causalrec.types import Doubles, Floats, Ints


@dataclass(frozen=True, eq=False)
class ListGains:
    """What a place of a list is worth.

    Attributes:
        gains: of users and their items; None where nothing tells.
        words: what a gain is, or why none is told, for a note.
        key: what names it, for the hash of what is judged.
    """

    gains: Gains | None
    words: str
    key: str = ""


def list_gains(source: SliceSource, arm: int = 0) -> ListGains:
    """Return what places of lists are worth in these data.

    The true number where a simulation knows it; 1 of an item that the user chose, in a log of positives; the outcome
    over the probability of being in the test, where its rows are a sample of the pairs (`inclusion_probabilities`).

    Args:
        source: the data.
        arm: the treatment whose effect ranks; 0: outcomes do.
    """
    dataset, test = source.dataset, source.splits.test
    if arm:
        potential = dataset.potential
        if potential is None:
            return ListGains(None, "not told: no row shows an effect")
        return _truth(lambda user, item: _effect(potential.means(user, item), arm), "an item's true effect")
    if dataset.card.feedback == "positive_only" and bool((test.outcome > 0).all()):
        return _of_rows(test.codes, np.ones(len(test)), test.num_items, "1 where the user chose the item in the test")
    if dataset.oracle is not None and dataset.card.feedback != "positive_only":
        return _truth(dataset.oracle.rate, "an item's true mean outcome")
    try:
        probability = inclusion_probabilities(source)
    except RequestError as error:
        return ListGains(None, f"not told: {error}")
    if missing := int((~eligible_items(source)).sum()):
        return ListGains(None, f"not told: {missing:,} items cannot be in the test")
    candidate = np.isfinite(probability)
    worth = test.outcome[candidate].astype(np.float64) / probability[candidate]
    words = "the outcome over the probability of being in the test, 0 where the pair is not"
    return _of_rows(test.codes[candidate], worth, test.num_items, words)


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
    pairs = sort_distinct(codes)
    position = np.searchsorted(pairs, codes)
    mean = (np.bincount(position, worth) / np.bincount(position)).astype(np.float32)

    def gains(user: Ints, item: Ints) -> Floats:
        wanted = user[:, None] * num_items + item
        if not len(pairs):
            return np.zeros(item.shape, np.float32)
        nearest = np.minimum(np.searchsorted(pairs, wanted), len(pairs) - 1)
        return np.where((item != NO_ITEM) & (pairs[nearest] == wanted), mean[nearest], np.float32(0))

    digest = hashlib.sha256(pairs.tobytes() + mean.tobytes()).hexdigest()
    return ListGains(gains, words, digest)
