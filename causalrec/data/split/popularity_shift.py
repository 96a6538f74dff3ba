"""The test holds every item about as often, the training rows as the log has them."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from causalrec.data.card import DatasetCard
from causalrec.data.dataset import CausalDataset
from causalrec.data.domain_distance import distance_words
from causalrec.data.log import InteractionLog
from causalrec.data.split.base import AbstractLogSplit, RowAssignment, assignment
from causalrec.data.split.row_order import random_shares
from causalrec.data.split.splits import Splits
from causalrec.errors import RequestError
from causalrec.types import Ints, Share


@dataclass(frozen=True, kw_only=True)
class PopularityShift(AbstractLogSplit):
    """A share of the logged rows is the test, drawn so that items have equal shares of it as far as their rows go.

    Each item gives the same number of rows, or all but one where it has fewer, so that it stays trained on; the rows
    that are left over, more popular ones than before, are trained on and validate. Source: the unbiased test of InvCF
    (Zhang et al., WWW 2023), whose item marginal is uniform. A randomised test is uniform as it is, and is refused.

    Attributes:
        validation: share of the rows that are no test.
        test: share of the rows that is the test, at most.
    """

    validation: Share = 0.1
    test: Share = 0.1

    @property
    def description(self) -> str:
        return "rows drawn evenly by item"

    def check(self, card: DatasetCard) -> None:
        if card.randomised:
            raise RequestError(
                f"split=popularity_shift: the test of {card.name} is randomised, its items as often there as they were "
                f"shown at random; set split=random"
            )

    def assign(self, logged: InteractionLog, randomised: InteractionLog | None) -> RowAssignment:
        rng = np.random.default_rng([self.seed, 7])
        order = rng.permutation(len(logged))
        item = logged.item[order]
        by_item = np.argsort(item, kind="stable")
        counts = np.bincount(item, minlength=logged.num_items)
        rank = np.empty(len(logged), np.int64)  # of each row among its item's
        rank[by_item] = np.arange(len(logged)) - np.repeat(np.cumsum(counts) - counts, counts)
        tested = np.zeros(len(logged), bool)
        share = self.test if randomised is None else 0.0
        tested[order] = rank < _even_counts(counts, round(share * len(logged)))[item]
        rest = np.flatnonzero(~tested)
        validates = np.zeros(len(logged), bool)
        validates[rest] = random_shares(len(rest), self.validation, 0.0, self.seed)[0]
        return assignment(validates, tested, randomised)

    def footnotes(self, dataset: CausalDataset, splits: Splits) -> Iterable[str]:
        yield (
            f"test of another domain (items evenly); validation rows are of the training domain; "
            f"{distance_words(dataset, splits)}"
        )


def _even_counts(counts: Ints, wanted: int) -> Ints:
    """Return how many rows each item gives: as many as any, or all but one, together at most `wanted` where they can.

    >>> import numpy as np
    >>> _even_counts(np.array([9, 1, 3, 0]), 6)
    array([4, 0, 2, 0])
    """
    most = np.maximum(counts - 1, 0)
    low, high = 0, int(most.max(initial=0))
    while low < high:  # the largest equal number whose sum is within
        middle = (low + high + 1) // 2
        low, high = (middle, high) if np.minimum(most, middle).sum() <= wanted else (low, middle - 1)
    even: Ints = np.minimum(most, low)
    return even
