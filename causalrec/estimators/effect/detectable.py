"""The smallest effect that a design could have shown: what an interval that holds 0 still leaves open."""

from __future__ import annotations

from statistics import NormalDist

import numpy as np

from causalrec.types import Doubles


def detectable_effect(standard_error: Doubles, level: float = 0.95, power: float = 0.8) -> Doubles:
    """Return the least effects whose intervals of this level leave 0 out with chance `power`, as the errors' shape.

    `(z_(1+level)/2 + z_power) se`: 2.80 standard errors at the defaults; nan where there is no error above 0.

    Assumption: a normal estimate. Source: Bloom (Evaluation Review 1995), "minimum detectable effects".

    Args:
        standard_error: float64[..], of the estimates, in the outcome's unit.
        level: of the interval, a probability.
        power: the chance of an interval without 0.

    >>> detectable_effect(np.array([0.1, 0.0])).round(3)
    array([0.28,  nan])
    """
    quantile = NormalDist().inv_cdf
    multiple = quantile((1 + level) / 2) + quantile(power)
    return np.asarray(np.where(standard_error > 0, multiple * standard_error, np.nan))
