"""Variances of means whose rows depend on each other, by hand and by how often intervals cover."""

from __future__ import annotations

import numpy as np
import pytest

from causalrec.estimators.effect.adjusted_rows import AdjustedRows
from causalrec.estimators.effect.average_effect import AverageRequest
from causalrec.estimators.effect.clustered_variance import (
    count_clusters,
    critical_values,
    mean_covariance,
    standard_errors,
)
from causalrec.types import Doubles, Ints


def test_variances_by_hand() -> None:
    values = np.array([[-2.0], [-1.0], [3.0]])
    assert mean_covariance(values) == pytest.approx(np.array([[14 / 9 * 3 / 2]]))
    assert mean_covariance(values, (np.array([4, 4, 9]),)) == pytest.approx(np.array([[18 / 9 * 2]]))
    both = mean_covariance(values, (np.array([0, 0, 1]), np.array([0, 1, 1])))
    axes = 18 / 9 * 2, (4 + 4) / 9 * 2
    assert both == pytest.approx(np.array([[max(axes[0], sum(axes) - 14 / 9 * 3 / 2)]]))


def test_the_second_axis_never_makes_an_error_smaller_and_covariances_have_no_negative_variance() -> None:
    rng = np.random.default_rng(0)
    for seed in range(30):
        values = np.random.default_rng(seed).normal(size=(40, 3))
        values -= values.mean(axis=0)
        axes = rng.integers(6, size=40), rng.integers(4, size=40)
        both = mean_covariance(values, axes)
        least = [np.diag(mean_covariance(values, (axis,))) for axis in axes]
        assert (np.diag(both) >= np.max(least, axis=0) - 1e-12).all()
        assert np.linalg.eigvalsh(both).min() > -1e-10


def test_a_column_without_a_value_leaves_the_others() -> None:
    values = np.column_stack([[-1.0, 1.0], [np.nan, np.nan]])
    errors = standard_errors(values, (np.array([0, 1]),))
    assert np.isfinite(errors[0]) and np.isnan(errors[1])
    assert critical_values(0.95, np.array([30, 29, 2])) == pytest.approx([1.96, 2.048, 12.706], abs=1e-3)
    by_axis = (np.array([0, 1, 2, 3]), np.array([0, 0, 1, 1]))
    assert count_clusters(np.array([[1.0, 0.0]] * 2 + [[1.0, 1.0]] * 2), by_axis).tolist() == [2, 1]


def coverage(axes: tuple[Ints, Ints], clusters: tuple[Ints, ...], draws: int = 200) -> float:
    """Of the mean of rows that depend along two axes: 0 is in its interval."""
    rng, covers = np.random.default_rng(0), []
    for _ in range(draws):
        values = sum(rng.normal(size=int(axis.max()) + 1)[axis] for axis in axes) + rng.normal(size=len(axes[0]))
        influence: Doubles = (values - values.mean())[:, None]
        half_width = critical_values(0.95, count_clusters(influence, clusters)) * standard_errors(influence, clusters)
        covers.append(abs(values.mean()) < half_width[0])
    return float(np.mean(covers))


def test_two_axes_cover_where_one_does_not() -> None:
    user, item = np.repeat(np.arange(40), 20), np.tile(np.arange(20), 40)
    assert coverage((user, item), (user, item)) > 0.91
    assert coverage((user, item), (user,)) < 0.85
    assert coverage((user, item), ()) < 0.6


def test_an_arm_of_one_cluster_has_no_interval_and_one_of_two_a_wide_one() -> None:
    """Treatment by region: with one treated region and one other, what regions differ by cannot be told."""
    region = np.repeat(np.arange(4), 25)
    outcome = np.random.default_rng(0).normal(size=100) + region
    for arms_of_regions, critical in (([0, 0, 0, 1], np.nan), ([0, 1, 0, 1], 12.706)):
        treatment = np.array(arms_of_regions)[region]
        rows = AdjustedRows.from_random_assignment(outcome, treatment, np.full((100, 2), 0.5), (region,))
        average = rows.average(AverageRequest())
        half_width = (average.high - average.low) / 2
        np.testing.assert_allclose(half_width, critical * average.standard_error, rtol=1e-3)
        assert any("few clusters" in line for line in average.warnings)
