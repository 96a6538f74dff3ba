"""Rows with what nuisance models say of them: all that an average effect, of any target and any group, is made of."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from causalrec.estimators.effect.average_effect import (
    AVERAGE_EFFECT,
    AverageEffect,
    AverageRequest,
    average_from_influence,
    doubly_robust_description,
)
from causalrec.estimators.effect.averages import TargetAverage, target_average
from causalrec.estimators.effect.clustered_variance import count_clusters, fewest_by_arm
from causalrec.estimators.effect.overlap_warnings import overlap_warnings
from causalrec.types import Bools, Doubles, Ints


@dataclass(frozen=True, kw_only=True, eq=False)
class AdjustedRows:
    """Rows, and nuisances that have not learnt from them.

    Attributes:
        outcome: float64[N], in its own unit.
        treatment: int64[N] in 0..A, 0 = none; an arm may have no row.
        means: float64[N,A+1], the mean outcome under each arm.
        probabilities: float64[N,A+1], of each arm.
        clusters: int64[N] each, at most two axes along which rows depend on each other; none: each row is by itself.
        clip: the least probability divided by.
    """

    outcome: Doubles
    treatment: Ints
    means: Doubles
    probabilities: Doubles
    clusters: tuple[Ints, ...] = ()
    clip: float = 0.01

    @classmethod
    def from_random_assignment(
        cls, outcome: Doubles, treatment: Ints, probabilities: Doubles, clusters: tuple[Ints, ...] = ()
    ) -> AdjustedRows:
        """Return rows whose treatment was drawn at random, adjusted for nothing but their probabilities of arms.

        Their average effects are differences of means, weighted by inverse probability.

        Args:
            outcome: float64[N].
            treatment: int64[N] in 0..A.
            probabilities: float64[N,A+1], of each arm.
            clusters: int64[N] each, at most two axes along which rows depend on each other.

        >>> y, t = np.array([1.0, 3.0, 4.0]), np.array([0, 1, 1])
        >>> rows = AdjustedRows.from_random_assignment(y, t, np.array([[1 / 3, 2 / 3]] * 3))
        >>> rows.average(AverageRequest()).value
        array([2.5])
        """
        weight = 1 / np.take_along_axis(probabilities, treatment[:, None], 1)[:, 0]
        total, counted = np.zeros(probabilities.shape[1]), np.zeros(probabilities.shape[1])
        np.add.at(total, treatment, weight * outcome)
        np.add.at(counted, treatment, weight)
        means = np.tile(total / np.where(counted > 0, counted, 1), (len(outcome), 1))
        return cls(outcome=outcome, treatment=treatment, means=means, probabilities=probabilities, clusters=clusters)

    def __len__(self) -> int:
        return len(self.outcome)

    def take(self, rows: Bools) -> AdjustedRows:
        """Return those rows."""
        return replace(
            self,
            outcome=self.outcome[rows],
            treatment=self.treatment[rows],
            means=self.means[rows],
            probabilities=self.probabilities[rows],
            clusters=tuple(axis[rows] for axis in self.clusters),
        )

    def target_average(self, request: AverageRequest) -> TargetAverage:
        """Return the value and the influence values of the average that is asked for; `included` is not read."""
        columns = self.outcome, self.treatment, self.means, self.probabilities
        return target_average(*columns, request.target, clip=self.clip)

    def average(self, request: AverageRequest) -> AverageEffect:
        """Return the average effect of each arm with its interval; `included` is not read.

        What warns of it: arms that no row received, few clusters, rows that have none like them.
        """
        estimate = self.target_average(request)
        average = average_from_influence(
            *(estimate.value, estimate.influence, self.clusters, request.level),
            description=doubly_robust_description(request.target),
            metric=AVERAGE_EFFECT,
            counts=self.count_clusters(estimate.influence),
        )
        overlap = overlap_warnings(self.treatment, self.probabilities, request.target, clip=self.clip)
        return replace(average, warnings=(*self.missing_arms(), *average.warnings, *overlap))

    def count_clusters(self, influence: Doubles) -> Ints:
        """Return the clusters that the average of each arm rests on, int64[A].

        Those with rows of the arm, or with rows of none, where these are fewer: two means are compared. Without
        clusters, rows.
        """
        by_arm = fewest_by_arm(self.treatment, self.clusters, self.means.shape[1] - 1)
        fewest: Ints = np.minimum(count_clusters(influence, self.clusters), by_arm)
        return fewest

    def missing_arms(self) -> tuple[str, ...]:
        """Return a line for each arm that no row received, for which there is no average."""
        counts = np.bincount(self.treatment, minlength=self.means.shape[1])
        if not counts[0]:
            return ("no row is untreated: there is no average effect",)
        return tuple(
            f"no row received arm {arm}: there is no average effect of it"
            for arm in range(1, len(counts))
            if not counts[arm]
        )
