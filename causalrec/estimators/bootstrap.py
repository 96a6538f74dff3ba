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


def percentile_interval(replicates: Doubles, level: float = 0.95, *, absolute: bool = False) -> tuple[float, float]:
    """Return the percentile interval of the replicates [R] (nan replicates, where a metric is undefined, are left out).

    Of an absolute value |m| they are `sign(m) m*`, m* the mean of a resample: |.| linearised at the value, so that the
    interval lies around it, where that of |m*| would leave it out near 0. Its ends are cut off at 0 then (`absolute`).
    Averages of such replicates over seeds are linearised just so.

    >>> percentile_interval(np.arange(101.0), level=0.5)
    (25.0, 75.0)
    >>> percentile_interval(np.arange(101.0) - 40, level=0.5, absolute=True)
    (0.0, 35.0)
    """
    defined = replicates[np.isfinite(replicates)]
    if not len(defined):
        return float("nan"), float("nan")
    tail = (1 - level) / 2
    low, high = np.quantile(defined, [tail, 1 - tail])
    return (max(float(low), 0.0), max(float(high), 0.0)) if absolute else (float(low), float(high))
