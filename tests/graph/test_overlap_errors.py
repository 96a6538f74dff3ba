"""Errors of a propensity: numbers worked by hand, and what tells a true propensity from a wrong one in a simulation."""

from __future__ import annotations

from functools import partial

import numpy as np
import pytest

from causalrec.data.log import InteractionLog
from causalrec.evaluation.propensity_quality import judge_propensity
from causalrec.features.views import FeatureMatrix
from causalrec.graph.calibration import calibration_error
from causalrec.graph.overlap_errors import balance_mse, estimate_bias, estimate_variance
from causalrec.propensity.base import AbstractPropensity
from causalrec.propensity.popularity import PopularityPropensity
from causalrec.propensity.relative_popularity import RelativePopularity
from causalrec.types import Doubles, Floats

PAIRS = 40_000
floats = partial(np.array, dtype=np.float32)
X = np.random.default_rng(0).normal(size=(PAIRS, 1)).astype(np.float32)
TRUE = (1 / (1 + np.exp(1 - 1.2 * X[:, 0]))).clip(0.03, 0.95).astype(np.float32)
EXPOSED = (np.random.default_rng(1).random(PAIRS) < TRUE).astype(np.float32)
FLAT = np.full(PAIRS, EXPOSED.mean(), np.float32)


def mirror_image() -> Floats:
    """The true probabilities, of each pair that of its mirror image."""
    order = np.argsort(X[:, 0])
    mirrored = np.empty_like(TRUE)
    mirrored[order] = TRUE[order[::-1]]
    return mirrored


def test_the_squared_imbalance_by_hand() -> None:
    predicted, exposed = floats([0.5, 0.25, 0.2]), floats([1, 1, 0])
    columns = floats([[1], [3], [2]])  # mean 2, deviation sqrt(2/3)
    contrast = np.array([2, 4, -1.25])
    moment = (contrast * (columns[:, 0] - 2)).mean() / np.sqrt(2 / 3)
    assert balance_mse(predicted, exposed, columns) == pytest.approx((contrast.mean() ** 2 + moment**2) / 2)
    assert balance_mse(predicted, exposed, columns[:, :0]) == pytest.approx(contrast.mean() ** 2)
    constant = balance_mse(predicted, exposed, np.full((3, 1), 7, np.float32))
    assert constant == pytest.approx(contrast.mean() ** 2 / 2)


def test_variance_and_bias_by_hand() -> None:
    miss, propensity = np.array([1.0, -2.0, 3.0]), floats([0.5, 0.25, 1.0])
    assert estimate_variance(miss, propensity, 10.0) == pytest.approx((2 * 1 + 12 * 4 + 0) / 100)
    # (1 - .5) 1 / .5, (0 - .25) -2 / .25, (1 - 1) 3
    assert estimate_bias(miss, floats([1, 0, 1]), propensity) == pytest.approx((1 + 2 + 0) / 3)


def test_a_calibrated_propensity_errs_little_and_a_wrong_one_much() -> None:
    assert calibration_error(TRUE, EXPOSED) < 0.01 and balance_mse(TRUE, EXPOSED, X) < 0.01
    assert calibration_error(mirror_image(), EXPOSED) > 0.2 and balance_mse(mirror_image(), EXPOSED, X) > 1


def test_the_imbalance_sees_what_calibration_does_not() -> None:
    assert calibration_error(FLAT, EXPOSED) < 0.02 < 0.2 < balance_mse(FLAT, EXPOSED, X)


def estimates(propensity: Floats, error: Doubles, imputed: Doubles) -> Doubles:
    """A doubly robust estimate of the mean error in each of many draws of exposure."""
    rng = np.random.default_rng(2)
    exposed = rng.random((400, PAIRS)) < TRUE
    return np.array([(imputed + o / propensity * (error - imputed)).mean() for o in exposed])


def test_the_variance_is_that_of_the_estimate_over_exposure_where_the_propensity_is_true() -> None:
    error, imputed = 1 + X[:, 0].astype(np.float64) ** 2, np.full(PAIRS, 1.5)
    seen = EXPOSED > 0
    variance = estimate_variance((error - imputed)[seen], TRUE[seen], PAIRS)
    assert variance == pytest.approx(estimates(TRUE, error, imputed).var(), rel=0.2)


@pytest.mark.parametrize(("propensity", "biased"), [(TRUE, False), (FLAT, True)])
def test_the_bias_is_how_far_the_estimate_is_off(propensity: Floats, biased: bool) -> None:
    error, imputed = 1 + X[:, 0].astype(np.float64), np.full(PAIRS, 0.5)
    bias = estimate_bias(error - imputed, EXPOSED, propensity)
    off = abs(estimates(propensity, error, imputed).mean() - error.mean())
    assert bias == pytest.approx(off, abs=0.02)
    assert (bias > 0.3) == biased


def test_a_true_imputation_takes_bias_and_variance_away_whatever_the_propensity() -> None:
    nothing = np.zeros(PAIRS)
    assert estimate_bias(nothing, EXPOSED, mirror_image()) == estimate_variance(nothing, TRUE, PAIRS) == 0


@pytest.mark.parametrize("propensity", [PopularityPropensity(), RelativePopularity()])
def test_the_imbalance_is_of_probabilities_of_exposure(propensity: AbstractPropensity) -> None:
    user, item = np.array([0, 1, 2, 3, 4]), np.array([0, 0, 0, 1, 2])
    log = InteractionLog(item, np.ones(5, np.int64), np.ones(5, np.float32), 3, user, 5)
    features = FeatureMatrix((), ("item",), np.zeros((5, 0), np.float32), np.zeros((3, 0), np.float32), ())
    propensity.fit(log, features)
    judged = judge_propensity(log.with_propensity(propensity.predict(log)), propensity, features)
    assert (judged.bmse is None) == (propensity.kind == "relative exposure"), "its first item has theta = 1"
