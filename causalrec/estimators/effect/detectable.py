"""The smallest effect that a design could have shown: what an interval that holds 0 still leaves open."""

from __future__ import annotations

from statistics import NormalDist

import numpy as np

from causalrec.types import Doubles

POWER = 0.8
SAMPLES = "in 80 % of such samples"


def detectable_effect(half_width: Doubles, level: float) -> Doubles:
    """Return the least effects whose intervals leave 0 out in 80 % of such samples, as the half widths' shape.

    `half_width (1 + z_.8 / z_level)`, of quantiles of the normal distribution: half widths by quantiles of t, as of few
    clusters, count as they are. nan where an interval has no width.

    Assumption: an estimate that is normal, or nearly. Source: Bloom (Evaluation Review 1995), "minimum detectable
    effects".

    Args:
        half_width: float64[..], half the widths of the intervals, in the outcome's unit.
        level: of the intervals, a probability.

    >>> detectable_effect(np.array([0.196, 0.0]), 0.95).round(3)
    array([0.28,  nan])
    """
    quantile = NormalDist().inv_cdf
    multiple = 1 + quantile(POWER) / quantile((1 + level) / 2)
    return np.asarray(np.where(half_width > 0, multiple * half_width, np.nan))
