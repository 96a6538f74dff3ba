"""Rounds that come in blocks of any size: handed on in chunks of one size, or as sums of clusters."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Generic, Protocol, Self, TypeVar

import numpy as np

from causalrec.errors import DataError, RequestError
from causalrec.estimators.policy_value.contributions import Contributions
from causalrec.estimators.policy_value.interval.term_layout import TermLayout
from causalrec.types import Doubles, Ints

ROWS = 4096  # of a chunk: results depend on it, not on the blocks that rounds come in


class AdditiveSums(Protocol):
    """What a chunk of independent rows is added to; a frozen value."""

    def add(self, terms: Doubles, first: int) -> Self:
        """Return these sums with rows `terms[C,N]` added, the first of which is number `first` of all."""


Sums = TypeVar("Sums", bound=AdditiveSums)


class TermStream(Generic[Sums]):
    """Adds terms up, chunk by chunk: rounds as they come, or, at the end, the sums of each cluster.

    No column of all rounds is held: a chunk, or C numbers for each cluster.
    """

    def __init__(self, columns: Sequence[str], num_clusters: int, empty: Callable[[int], Sums]) -> None:
        """Start without rounds.

        Args:
            columns: names of estimates.
            num_clusters: clusters that rounds depend within; 0: each round is its own.
            empty: C -> sums of no rows.
        """
        if not columns or len(set(columns)) < len(columns) or num_clusters < 0:
            raise RequestError(
                f"columns={list(columns)}, {num_clusters} clusters: distinct names, and 0 or more of these"
            )
        self._columns, self._num_clusters, self._empty = tuple(columns), num_clusters, empty
        self._layout: TermLayout | None = None
        self._rounds = 0
        self._sums: Sums | None = None

    @property
    def layout(self) -> TermLayout:
        """Where the terms of each column stand.

        Raises:
            RequestError: there are no rounds.
        """
        if self._layout is None:
            raise RequestError("the value of a policy: there are no rounds to estimate it from")
        return self._layout

    def update(self, contributions: Mapping[str, Contributions], cluster: Ints) -> None:
        """Add a block of B rounds, and the cluster of each, int64[B] (not read where each round is its own)."""
        if set(contributions) != set(self._columns):
            raise DataError(f"contributions of {sorted(contributions)}, where {sorted(self._columns)} are estimated")
        if not len(contributions[self._columns[0]].base):
            return
        if self._layout is None:
            self._layout = TermLayout.from_block(self._columns, contributions)
            self._sums, self._pending = self._empty(self._layout.num_rows), np.empty((self._layout.num_rows, 0))
            self._of_cluster = np.zeros((self._layout.num_rows, self._num_clusters))
        terms = self._layout.stack(contributions, self._rounds)
        self._check_clusters(cluster, terms.shape[1])
        if self._num_clusters:
            for total, row in zip(self._of_cluster, terms, strict=True):
                np.add.at(total, cluster, row)
        else:
            self._sums, self._pending = self._in_chunks(np.hstack([self._pending, terms]), last=False)
        self._rounds += terms.shape[1]

    def total(self) -> Sums:
        """Return the sums over all rounds so far.

        Raises:
            RequestError: there are fewer than two rounds, or clusters of them, so that nothing is known of an error.
        """
        rows = self._of_cluster[:, self._of_cluster[-1] > 0] if self.layout and self._num_clusters else self._pending
        units = rows.shape[1] if self._num_clusters else self._rounds
        if units < 2:
            unit = "cluster" if self._num_clusters else "round"
            raise RequestError(f"the value of a policy: {units} {unit} of rounds: an interval needs two at least")
        return self._in_chunks(rows, last=True)[0]

    def _in_chunks(self, rows: Doubles, *, last: bool) -> tuple[Sums, Doubles]:
        assert self._sums is not None
        sums, first = self._sums, 0 if self._num_clusters else self._rounds // ROWS * ROWS
        stop = rows.shape[1] if last else rows.shape[1] // ROWS * ROWS
        for start in range(0, stop, ROWS):
            sums = sums.add(rows[:, start : min(start + ROWS, stop)], first + start)
        return sums, rows[:, stop:].copy()

    def _check_clusters(self, cluster: Ints, count: int) -> None:
        if cluster.shape != (count,):
            raise DataError(f"clusters of {len(cluster):,} rounds in a block of {count:,}: they are of unequal length")
        if self._num_clusters and not (cluster.min() >= 0 and cluster.max() < self._num_clusters):
            raise DataError(
                f"clusters {cluster.min()} to {cluster.max()}: they are numbered 0 to {self._num_clusters - 1}"
            )
