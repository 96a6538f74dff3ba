"""One bootstrap for every number: resampled users, the same resamples for every model."""

from __future__ import annotations

import numpy as np

from causalrec.types import Doubles


def cluster_weights(clusters: int, replicates: int, seed: int) -> Doubles:
    """Return multinomial bootstrap weights float64[R,U]: how often each user is drawn in each replicate.

    The same arguments give the same weights, so replicates of two models are paired.
    """
    rng = np.random.default_rng(seed)
    return rng.multinomial(clusters, np.full(clusters, 1 / clusters), size=replicates).astype(np.float64)


def percentile_interval(replicates: Doubles, level: float = 0.95) -> tuple[float, float]:
    """Return the percentile interval of the replicates [R] (nan replicates, where a metric is undefined, are left out).

    >>> percentile_interval(np.arange(101.0), level=0.5)
    (25.0, 75.0)
    """
    defined = replicates[np.isfinite(replicates)]
    if not len(defined):
        return float("nan"), float("nan")
    tail = (1 - level) / 2
    low, high = np.quantile(defined, [tail, 1 - tail])
    return float(low), float(high)
