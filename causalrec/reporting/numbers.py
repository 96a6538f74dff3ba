"""Numbers as tables write them, of whatever magnitude."""

from __future__ import annotations

import math
from collections.abc import Iterable

TINY = 1e-3  # below it, four decimals hide a number
LONGEST_FIXED = 1e12  # from here on a number is written by its exponent, which no column is too narrow for


def format_number(value: float, decimals: int, sign: bool = False) -> str:
    """Write a number with so many decimals; a huge one by its exponent, a dash where there is none.

    Args:
        value: of any magnitude.
        decimals: of a number that is not huge.
        sign: whether a plus is written.

    >>> format_number(0.5, 3, sign=True), format_number(-1e308, 3), format_number(float("nan"), 3)
    ('+0.500', '-1e+308', '-')
    """
    if not math.isfinite(value):
        return "-"
    form = f".{decimals}f" if abs(value) < LONGEST_FIXED else ".6g"
    return f"{value:{'+' if sign else ''}{form}}"


def decimals_of(values: Iterable[float], least: int) -> int:
    """Return to how many decimals numbers are written: `least`, or three digits of the largest where it is tiny.

    >>> decimals_of([0.0, 0.2], 4), decimals_of([3.5e-6, -1e-7], 4), decimals_of([], 4)
    (4, 8, 4)
    """
    largest = max((abs(value) for value in values if math.isfinite(value)), default=0.0)
    return least if largest == 0 or largest >= TINY else min(max(least, 2 + math.ceil(-math.log10(largest))), 99)


def format_interval(low: float, high: float, decimals: int, sign: bool = False) -> str:
    """Write an interval; empty where it lacks an end.

    Args:
        low: lower end.
        high: upper end.
        decimals: of either.
        sign: whether a plus is written.

    >>> format_interval(0.25, 0.5, 2), format_interval(0.25, float("nan"), 2)
    ('[0.25, 0.50]', '')
    """
    if not (math.isfinite(low) and math.isfinite(high)):
        return ""
    return f"[{format_number(low, decimals, sign)}, {format_number(high, decimals, sign)}]"
