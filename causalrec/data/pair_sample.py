"""Outcomes of a sample of pairs, each with the probability of being in it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from causalrec.data.log import InteractionLog
from causalrec.data.pair_lists import PairLists
from causalrec.types import Doubles, Floats, Ints


@dataclass(frozen=True, eq=False)
class PairSample:
    """Distinct pairs by user, then item, with what was seen of each.

    Attributes:
        pairs: the sample.
        outcome: float32[P], of each of its pairs.
        probability: float64[P] in (0, 1], of being in it.
        pair_ratio: float64[P], P(both in it) over the product of both probabilities, of a pair and another of its user
            whose ratio is not 1; 1: it is in it independently of others.
    """

    pairs: PairLists
    outcome: Floats
    probability: Doubles
    pair_ratio: Doubles

    @staticmethod
    def of(log: InteractionLog, probability: Doubles, pair_ratio: Doubles) -> PairSample:
        """Return the sample of a log's rows, none of whose pairs comes twice; the rest as of its rows, float64[N] each.

        >>> pairs = np.array([2, 1]), np.array([1, 1]), np.array([1.0, 0.0], np.float32), 3, np.array([1, 0]), 2
        >>> sample = PairSample.of(InteractionLog(*pairs), np.array([0.5, 1.0]), np.ones(2))
        >>> [column.tolist() for column in sample.of_users(np.array([1]))]
        [[0], [2], [1]]
        """
        order = np.argsort(log.codes, kind="stable")
        pairs = PairLists.of(log.codes, log.num_users, log.num_items)
        return PairSample(pairs, log.outcome[order], probability[order], pair_ratio[order])

    @property
    def columns(self) -> tuple[Ints | Floats | Doubles, ...]:
        """All that it holds, for a hash."""
        return self.pairs.start, self.pairs.item, self.outcome, self.probability, self.pair_ratio

    def of_users(self, users: Ints) -> tuple[Ints, Ints, Ints]:
        """Return the pairs of some users: positions in `users`, items, and places in the sample, int64 each."""
        position, index = self.pairs.index_of_users(users)
        return position, self.pairs.item[index], index
