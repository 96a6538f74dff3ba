"""The contract of an interval of a policy's value."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from causalrec.errors import RequestError
from causalrec.estimators.policy_value.contributions import Contributions
from causalrec.types import Doubles, Ints


@dataclass(frozen=True, kw_only=True)
class ValueInterval:
    """An estimate with its interval.

    Attributes:
        value: the estimate, in the unit of the reward.
        low: lower end.
        high: upper end.
        standard_error: of the estimate.
        replicates: float64[R], of its distribution: of a bootstrap, or quantiles where the interval has a formula.
    """

    value: float
    low: float
    high: float
    standard_error: float
    replicates: Doubles

    @property
    def undefined(self) -> int:
        """How many replicates have no estimate, for a normaliser was 0 in them; they are in no other number."""
        return int(np.isnan(self.replicates).sum())


class AbstractIntervalSums(ABC):
    """Adds up what rounds contribute, block by block, so that no column of all rounds is ever held."""

    @abstractmethod
    def update(self, contributions: Mapping[str, Contributions], cluster: Ints) -> None:
        """Add a block of B rounds: every column's contributions, and the cluster of each round, int64[B]."""

    @abstractmethod
    def interval(self, column: str, level: float) -> ValueInterval:
        """Return the estimate of a column with its interval."""

    @abstractmethod
    def difference(self, column: str, reference: str, level: float) -> ValueInterval:
        """Return how much higher a column's estimate is than a reference's, paired by rounds, with its interval."""


class AbstractValueInterval(ABC):
    """How intervals are made. Constructor keywords are its YAML keys; frozen, final classes."""

    @abstractmethod
    def start(self, columns: Sequence[str], num_clusters: int, seed: int) -> AbstractIntervalSums:
        """Return empty sums of these columns.

        Args:
            columns: names of estimates, shared by all blocks.
            num_clusters: clusters that rounds depend within, numbered from 0; 0 where each round is its own.
            seed: of what is drawn; the same gives the same resamples.
        """


def check_level(level: float) -> None:
    """Raise RequestError where a level is none."""
    if not 0 < level < 1:
        raise RequestError(f"level={level}: an interval covers with a chance above 0 and below 1, as .95")
