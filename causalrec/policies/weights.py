"""What the weights of an estimate come to: how many rounds they leave, and which round counts most."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from causalrec.types import Doubles, Ints


@dataclass
class WeightSums:
    """Sums of the weights of rounds, block by block.

    Attributes:
        total: of weights.
        squares: of their squares.
        rounds: how many there were.
        largest: the largest weight.
        largest_round: its row number in the evaluated log; -1 before any.
    """

    total: float = 0.0
    squares: float = 0.0
    rounds: int = 0
    largest: float = 0.0
    largest_round: int = -1

    def update(self, weight: Doubles, rows: Ints) -> None:
        """Add a block of weights float64[B] of the rounds with these numbers, int64[B]."""
        self.total += float(weight.sum())
        self.squares += float(weight @ weight)
        self.rounds += len(weight)
        if len(weight) and weight.max() > self.largest:
            self.largest, self.largest_round = float(weight.max()), int(rows[int(np.argmax(weight))])

    @property
    def effective_rounds(self) -> float:
        """`(sum w)^2 / sum w^2`; nan where all weights are 0, as of an estimate that only models rewards.

        >>> sums = WeightSums()
        >>> sums.update(np.array([1.0, 1.0, 0.0]), np.arange(3))
        >>> sums.effective_rounds
        2.0
        """
        return self.total**2 / self.squares if self.squares else float("nan")

    @property
    def mean(self) -> float:
        """Mean weight, 1 in expectation where target and log have common support."""
        return self.total / max(self.rounds, 1)
