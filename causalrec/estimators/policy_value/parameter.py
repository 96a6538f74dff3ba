"""The parameter of an estimator: a number, or `auto` where SLOPE chooses it among candidates."""

from __future__ import annotations

from math import inf
from typing import Annotated, Literal

from pydantic import Field

Auto = Literal["auto"]
NonNegative = Annotated[float, Field(ge=0)]
Positive = Annotated[float, Field(gt=0)]

# Of clipped and switched weights and of optimistic shrinkage, least biased first: those of Open Bandit Pipeline.
THRESHOLDS = (inf, 10_000.0, 5_000.0, 1_000.0, 500.0, 100.0, 50.0, 10.0)


def set_value(parameter: float | Auto) -> float:
    """Return the number of a parameter that is set.

    Raises:
        ValueError: it is `auto`: `candidates()` have the numbers, this estimator stands for their choice.

    >>> set_value(10.0)
    10.0
    """
    if isinstance(parameter, str):
        raise ValueError("the parameter is to be chosen: ask each of `candidates()` for its contributions")
    return float(parameter)
