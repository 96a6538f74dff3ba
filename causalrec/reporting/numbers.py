"""Numbers as tables write them, of whatever magnitude."""

from __future__ import annotations

import math

LONGEST_FIXED = 1e12  # from here on a number is written by its exponent, which no column is too narrow for


def fixed(value: float, decimals: int, sign: bool = False) -> str:
    """Write a number with so many decimals; a huge one by its exponent, a dash where there is none.

    >>> fixed(0.5, 3), fixed(-1e308, 3), fixed(float("nan"), 3), fixed(0.5, 1, sign=True)
    ('0.500', '-1e+308', '-', '+0.5')
    """
    if not math.isfinite(value):
        return "-"
    form = f".{decimals}f" if abs(value) < LONGEST_FIXED else ".6g"
    return f"{value:{'+' if sign else ''}{form}}"


def interval(low: float, high: float, decimals: int, sign: bool = False) -> str:
    """Write an interval; empty where it lacks an end.

    >>> interval(0.25, 0.5, 2), interval(0.25, float("nan"), 2)
    ('[0.25, 0.50]', '')
    """
    if not (math.isfinite(low) and math.isfinite(high)):
        return ""
    return f"[{fixed(low, decimals, sign)}, {fixed(high, decimals, sign)}]"
