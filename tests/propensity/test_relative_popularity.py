"""Relative exposure is a power of popularity, and right up to a factor at best."""

from __future__ import annotations

import numpy as np
import pytest

from causalrec.data.log import InteractionLog
from causalrec.data.sampler.rows import pairs_log
from causalrec.features.views import FeatureMatrix
from causalrec.propensity.relative_popularity import RelativePopularity


def no_columns(users: int, items: int) -> FeatureMatrix:
    return FeatureMatrix((), (), np.zeros((users, 0), np.float32), np.zeros((items, 0), np.float32), ())


def exposures(item: np.ndarray, user: np.ndarray, items: int, users: int) -> InteractionLog:
    treatment = np.ones(len(item), np.int64)
    return InteractionLog(item, treatment, treatment.astype(np.float32), items, user, users)


def test_the_exposures_are_the_hand_worked_ones() -> None:
    log = exposures(np.array([0, 0, 0, 0, 1]), np.arange(5), 3, 5)
    every = pairs_log(np.zeros(3, np.int64), np.arange(3), log)
    for power, expected in ((0.5, [1, 0.5, 0.125**0.5]), (1.0, [1, 0.25, 0.125])):
        model = RelativePopularity(power=power)
        model.fit(log, no_columns(5, 3))
        np.testing.assert_allclose(model.predict(every), expected, rtol=1e-6)
    assert model.columns_read(("age",)) == ("item",)


@pytest.mark.parametrize(("by_user", "unbiased"), [(False, True), (True, False)])
def test_self_normalised_weighting_recovers_the_mean_where_exposure_is_that_power(
    by_user: bool, unbiased: bool
) -> None:
    """With power 1 of exposure by item: the factor cancels in SNIPS, the plain IPS sum is off by it."""
    rng = np.random.default_rng(0)
    users, items = 2000, 60
    item_part, user_part = np.linspace(0.05, 0.5, items)[None, :], np.linspace(0.05, 0.5, users)[:, None]
    chance = np.broadcast_to(user_part if by_user else item_part, (users, items))
    outcome = (user_part if by_user else item_part) * np.ones((users, items))
    user, item = np.nonzero(rng.random((users, items)) < chance)
    log = exposures(item, user, items, users)
    model = RelativePopularity(power=1.0)
    model.fit(log, no_columns(users, items))
    weight, value = 1 / model.predict(log).astype(float), outcome[user, item]
    error = abs((weight @ value) / weight.sum() - outcome.mean())
    assert (error < 0.01) if unbiased else (error > 0.04)
    assert weight.sum() / log.num_pairs < 0.6, "relative exposure is too large: no calibrated probability"
