"""Bootstrap weights and percentile intervals."""

from __future__ import annotations

import numpy as np
import pytest

from causalrec.estimators.bootstrap import cluster_weights, percentile_interval


@pytest.mark.parametrize(("users", "replicates"), [(1, 3), (7, 50), (200, 10)])
def test_every_replicate_draws_as_many_users_as_there_are(users: int, replicates: int) -> None:
    weights = cluster_weights(users, replicates, 0)
    assert weights.shape == (replicates, users)
    assert weights.dtype == np.float64
    np.testing.assert_array_equal(weights.sum(1), users)
    np.testing.assert_array_equal(weights, np.round(weights))
    assert (weights >= 0).all()


def test_weights_are_a_function_of_the_seed_and_each_user_is_drawn_once_on_average() -> None:
    weights = cluster_weights(20, 5000, 4)
    np.testing.assert_array_equal(weights, cluster_weights(20, 5000, 4))
    assert (weights != cluster_weights(20, 5000, 5)).any()
    standard_error = np.sqrt((1 - 1 / 20) / 5000)
    assert np.abs(weights.mean(0) - 1).max() < 4 * standard_error
    assert weights.var(0).mean() == pytest.approx(1 - 1 / 20, rel=0.02)


def test_percentile_interval_by_hand() -> None:
    assert percentile_interval(np.arange(101.0), level=0.9) == pytest.approx((5.0, 95.0))
    assert percentile_interval(np.arange(101.0), level=0.5) == (25.0, 75.0)
    low, high = percentile_interval(np.arange(1001.0)[::-1])
    assert (low, high) == pytest.approx((25.0, 975.0))


def test_undefined_replicates_are_left_out() -> None:
    values = np.array([np.nan, *np.arange(101.0), np.inf])
    assert percentile_interval(values, level=0.9) == pytest.approx((5.0, 95.0))
    assert np.isnan(percentile_interval(np.full(4, np.nan))).all()
