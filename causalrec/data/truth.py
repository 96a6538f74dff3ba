"""What a simulation knows of its own outcomes, kept apart from what a method may read."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from causalrec.data.pairs import PairColumn
from causalrec.types import Floats, Ints


@dataclass(frozen=True)
class Oracle:
    """The truth of a semi-synthetic data set, kept apart from what a method may read (pitfalls: oracle leakage).

    `rate(user, item)` the true mean outcome under exposure, `propensity(user, item)` the true exposure probability,
    both float32 of the broadcast shape.
    """

    rate: Callable[[Ints, Ints], Floats]
    propensity: Callable[[Ints, Ints], Floats]


@dataclass(frozen=True)
class PotentialOutcomes:
    """What a simulation knows of every arm, kept apart from what a method may read.

    `means(user, item)` float32[...,A+1], the true mean outcome under treatments 0..A; `realised(user, item)`, of the same
    shape, one drawn outcome under each, None where only means are known.
    """

    means: PairColumn
    realised: PairColumn | None = None
