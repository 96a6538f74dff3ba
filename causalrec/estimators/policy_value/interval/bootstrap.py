"""A Poisson bootstrap: one pass over the rounds, one set of resamples for every estimator and policy."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from causalrec.errors import RequestError
from causalrec.estimators.bootstrap import percentile_interval
from causalrec.estimators.policy_value.contributions import Contributions
from causalrec.estimators.policy_value.interval.base import (
    AbstractIntervalSums,
    AbstractValueInterval,
    ValueInterval,
    check_level,
)
from causalrec.estimators.policy_value.interval.poisson import CHUNK, resample_kernel
from causalrec.estimators.policy_value.interval.term_stream import TermStream
from causalrec.limits import MAX_REPEATS
from causalrec.types import Doubles, Ints


@dataclass(frozen=True, kw_only=True)
class ResampledSums:
    """Sums of C terms over all rows, and over each of R resamples of them.

    Attributes:
        seed: of the resamples.
        sums: float64[C].
        centre: float64[C], terms a round in the first rows, 0 of the rounds: partial sums are float32, and would lose
            the scatter of terms that are far from 0.
        around: float64[R,C], sums over each resample of terms minus their centre times the rounds of the row.
    """

    seed: np.uint64
    sums: Doubles
    around: Doubles
    centre: Doubles | None = None

    def add(self, terms: Doubles, first: int) -> ResampledSums:
        """Return the sums with rows `terms[C,N]` added."""
        centre = np.append(terms[:-1].sum(1) / terms[-1].sum(), 0.0) if self.centre is None else self.centre
        around = self.around.copy()
        resample_kernel()((terms - np.outer(centre, terms[-1])).astype(np.float32), first // CHUNK, self.seed, around)
        return replace(self, sums=self.sums + terms.sum(1), around=around, centre=centre)

    @property
    def resampled(self) -> Doubles:
        """Sums of terms over each resample, float64[C,R]."""
        assert self.centre is not None, "there are rows"
        total: Doubles = self.around.T + self.centre[:, None] * self.around[:, -1]
        return total


class BootstrapSums(AbstractIntervalSums):
    """Estimates of the resamples of a log.

    Args:
        columns: names of estimates.
        num_clusters: clusters that rounds depend within; 0: each round is its own.
        seed: of the resamples.
        replicates: R, how many.
    """

    def __init__(self, columns: Sequence[str], num_clusters: int, seed: int, replicates: int) -> None:
        def empty(terms: int) -> ResampledSums:
            return ResampledSums(seed=np.uint64(seed), sums=np.zeros(terms), around=np.zeros((replicates, terms)))

        self._stream = TermStream(columns, num_clusters, empty)
        self._total: ResampledSums | None = None

    def update(self, contributions: Mapping[str, Contributions], cluster: Ints) -> None:
        self._stream.update(contributions, cluster)
        self._total = None

    def interval(self, column: str, level: float) -> ValueInterval:
        return _percentiles(*self._estimates(column), level)

    def difference(self, column: str, reference: str, level: float) -> ValueInterval:
        (value, replicates), (other, others) = self._estimates(column), self._estimates(reference)
        return _percentiles(value - other, replicates - others, level)

    def _estimates(self, column: str) -> tuple[float, Doubles]:
        self._total = self._total or self._stream.total()
        layout = self._stream.layout
        return float(layout.estimate(column, self._total.sums)), layout.estimate(column, self._total.resampled)


def _percentiles(value: float, replicates: Doubles, level: float) -> ValueInterval:
    check_level(level)
    defined = replicates[np.isfinite(replicates)]
    low, high = percentile_interval(defined, level)
    error = float(defined.std(ddof=1)) if len(defined) > 1 else float("nan")
    return ValueInterval(value=value, low=low, high=high, standard_error=error, replicates=replicates)


@dataclass(frozen=True, kw_only=True)
class PoissonBootstrap(AbstractValueInterval):
    """Percentiles of the estimates of resamples in which each round, or cluster, appears W times, W ~ Poisson(1).

    How often round i appears in replicate r depends on the seed, i and r alone: so all estimates, of all policies, see
    the same resamples, and the replicates of a difference are those of its ends. A cluster has one W for all of its
    rounds; the total weight of a resample is that of its rounds, `sum W`, and means are taken over it. Replicates in
    which a normaliser is 0 are nan: left out of the percentiles, and counted (`ValueInterval.undefined`).

    Assumption: rounds (or clusters) are independent, and many: percentiles of fewer than some 300 effective rounds are
    too narrow.

    Source: Chamandy, Muralidharan, Najmi & Naidu, Estimating Uncertainty for Massive Data Streams (2012).

    Attributes:
        replicates: R, 2 to 10,000; the Monte Carlo error of an end is about two standard errors / sqrt(R).
    """

    replicates: int = 1000

    def __post_init__(self) -> None:
        if not 2 <= self.replicates <= MAX_REPEATS:
            raise RequestError(f"interval bootstrap: replicates={self.replicates}: 2 to {MAX_REPEATS:,} are possible")

    def start(self, columns: Sequence[str], num_clusters: int, seed: int) -> BootstrapSums:
        return BootstrapSums(columns, num_clusters, seed, self.replicates)
