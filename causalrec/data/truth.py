"""What a simulation knows of its own outcomes, kept apart from what a method may read."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from causalrec.data.pair_columns import PairColumn
from causalrec.types import Floats, Ints


@dataclass(frozen=True)
class Oracle:
    """The truth of a semi-synthetic data set, kept apart from what a method may read (pitfalls: oracle leakage).

    Attributes:
        rate: (user, item) -> the true mean outcome under exposure, float32 of the broadcast shape.
        propensity: (user, item) -> the true exposure probability, likewise.
    """

    rate: Callable[[Ints, Ints], Floats]
    propensity: Callable[[Ints, Ints], Floats]


@dataclass(frozen=True)
class PotentialOutcomes:
    """What a simulation knows of every arm, kept apart from what a method may read.

    Attributes:
        means: (user, item) -> the true mean outcome under treatments 0..A, float32[...,A+1].
        realised: (user, item) -> an outcome drawn under each, of the same shape; None where only means exist.
    """

    means: PairColumn
    realised: PairColumn | None = None
