"""What an average effect is asked for, and what it comes to."""

from __future__ import annotations

from dataclasses import dataclass
from statistics import NormalDist
from typing import Annotated

from pydantic import Field

from causalrec.estimators.effect.averages import DESCRIPTIONS
from causalrec.estimators.effect.clustered_variance import (
    FEW_CLUSTERS,
    count_clusters,
    critical_values,
    standard_errors,
)
from causalrec.types import Bools, Doubles, EffectTarget, Ints

AVERAGE_EFFECT = "average_effect"


@dataclass(frozen=True, kw_only=True)
class AverageRequest:
    """Which average is asked for.

    Attributes:
        target: the rows that the effect is averaged over.
        level: of the interval, a probability.
        included: bool[N], the rows fitted on that trimming leaves in; None: all.
    """

    target: EffectTarget = "all"
    level: Annotated[float, Field(gt=0, lt=1)] = 0.95
    included: Bools | None = None


@dataclass(frozen=True)
class AverageEffect:
    """The average effect of each arm.

    Attributes:
        value: float64[A], in the outcome's unit; nan where no row received the arm.
        standard_error: float64[A], of the value; nan where no error can be said, as the ends.
        low: float64[A], lower end of its interval.
        high: float64[A], upper end.
        count: rows that it rests on; None: those it was fitted on.
        metric: what the score is called.
        description: whose effect it is and how it was estimated, a clause.
        warnings: what must be read with it, a line each.
    """

    value: Doubles
    standard_error: Doubles
    low: Doubles
    high: Doubles
    count: int | None = None
    metric: str = AVERAGE_EFFECT
    description: str = ""
    warnings: tuple[str, ...] = ()


def normal_average(value: Doubles, standard_error: Doubles, level: float) -> AverageEffect:
    """Return the average effect with its normal interval."""
    half_width = NormalDist().inv_cdf((1 + level) / 2) * standard_error
    return AverageEffect(value, standard_error, value - half_width, value + half_width)


def average_from_influence(
    value: Doubles,
    influence: Doubles,
    clusters: tuple[Ints, ...],
    level: float,
    *,
    description: str,
    metric: str,
    counts: Ints | None = None,
) -> AverageEffect:
    """Return an average effect with the interval that its influence values give.

    Args:
        value: float64[A].
        influence: float64[N,A], of each row on the value.
        clusters: int64[N] each, at most two axes along which rows depend on each other.
        level: of the interval.
        description: whose effect it is.
        metric: what the score is called.
        counts: int64[A], clusters that each rests on; None: those of the influence values.
    """
    errors = standard_errors(influence, clusters)
    counts = count_clusters(influence, clusters) if counts is None else counts
    half_width = critical_values(level, counts) * errors
    return AverageEffect(
        *(value, errors, value - half_width, value + half_width),
        count=len(influence),
        metric=metric,
        description=description,
        warnings=few_clusters(counts),
    )


def few_clusters(counts: Ints) -> tuple[str, ...]:
    """Return the warnings of intervals that rest on few clusters, a line for each arm of several.

    >>> import numpy as np
    >>> few_clusters(np.array([40, 12]))
    ('arm 2: few clusters: its interval rests on 12, so that its quantiles are those of t with 11 degrees of freedom',)
    """
    lines = []
    for arm, count in enumerate(counts.tolist(), start=1):
        if not 0 < count < FEW_CLUSTERS:
            continue
        whose = f"arm {arm}: " if len(counts) > 1 else ""
        quantiles = (
            "it has no error" if count == 1 else f"its quantiles are those of t with {count - 1} degrees of freedom"
        )
        lines.append(f"{whose}few clusters: its interval rests on {count}, so that {quantiles}")
    return tuple(lines)


def doubly_robust_description(target: EffectTarget) -> str:
    """Return how an average effect on a target is described under a table.

    >>> doubly_robust_description("treated")
    'the doubly robust estimate of the average effect on the treated rows; of learners of DoWhy, their own'
    """
    return (
        f"the doubly robust estimate of the average effect on {DESCRIPTIONS[target]}; of learners of DoWhy, their own"
    )
