"""The smallest effect that a design could have shown: what an interval that holds 0 still leaves open."""

from __future__ import annotations

from statistics import NormalDist


def detectable_effect(standard_error: float, level: float = 0.95, power: float = 0.8) -> float:
    """Return the least effect, in the outcome's unit, whose interval of this level leaves 0 out with chance `power`.

    `(z_(1+level)/2 + z_power) se`: 2.80 standard errors at the defaults; nan where there is no error above 0.

    Assumption: a normal estimate. Source: Bloom (Evaluation Review 1995), "minimum detectable effects".

    Args:
        standard_error: of the estimate.
        level: of the interval, a probability.
        power: the chance of an interval without 0.

    >>> round(detectable_effect(0.1), 3)
    0.28
    """
    quantile = NormalDist().inv_cdf
    return (quantile((1 + level) / 2) + quantile(power)) * standard_error if standard_error > 0 else float("nan")
