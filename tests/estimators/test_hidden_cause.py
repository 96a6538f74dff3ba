"""What hidden causes would leave of a linear regression's effect, by hand, by another package and by simulation."""

from __future__ import annotations

import numpy as np
import pytest

from causalrec.errors import DataError
from causalrec.estimators.effect.hidden_cause import (
    LinearEffect,
    fit_linear_effect,
    hidden_bias,
    hidden_shares,
    least_strength,
)
from causalrec.types import Doubles, Ints

TIMES = np.array([1.0, 2.0, 3.0])
BY_SENSEMAKR = np.array(  # PySensemakr 0.0.8, kd = ky = 1, 2, 3: R2_D, R2_Y, adjusted estimate, adjusted error
    [
        [[0.051988, 0.622361, 0.027521, 0.060609], [0.103975, 1, -0.305241, 0], [0.155963, 1, -0.495660, 0]],
        [
            [0.005593, 0.267356, 0.339058, 0.082427],
            [0.011187, 0.534746, 0.255816, 0.065871],
            [0.016780, 0.802169, 0.172095, 0.043075],
        ],
        [
            [0.001227, 0.015946, 0.412380, 0.095320],
            [0.002454, 0.031892, 0.402922, 0.094602],
            [0.003681, 0.047838, 0.393451, 0.093878],
        ],
    ]
)


def each_alone(features: Doubles) -> list[Ints]:
    return [np.array([k]) for k in range(features.shape[1])]


def study(rows: int = 500) -> tuple[Doubles, Doubles, Doubles]:
    rng = np.random.default_rng(3)
    x = rng.normal(size=(rows, 3))
    x[:, 2] += x[:, 0]
    treated = ((x @ [0.8, 0.3, 0] + rng.logistic(size=rows)) > 0).astype(np.float64)
    return treated, x @ [1, 0.5, 0.2] + 0.4 * treated + rng.normal(size=rows), x


def linear(treated: Doubles, outcome: Doubles, x: Doubles) -> LinearEffect:
    return fit_linear_effect(treated, outcome, x, each_alone(x))


def test_the_numbers_are_those_of_pysensemakr() -> None:
    effect = linear(*study())
    estimate = effect.value, effect.standard_error, effect.degrees, effect.robustness
    assert estimate == pytest.approx((0.4218277, 0.0959330, 495, 0.1790681), abs=1e-6)
    for column, expected in enumerate(BY_SENSEMAKR):
        shares = hidden_shares(TIMES, effect.exposure_shares[column], effect.outcome_shares[column])
        bias, factor = hidden_bias(effect, column, TIMES)
        numbers = np.stack([*shares, effect.value - bias, factor * effect.standard_error], axis=1)
        np.testing.assert_allclose(numbers, expected, atol=2e-6)


def test_a_cause_as_strong_as_the_column_by_hand() -> None:
    """Of d = x + h + u and y = x + h + e, all of variance 1: r_D = 1/3 and r_Y = 1/10, so that z = 1/4, R2_D = 1/2,
    R2_Y = (3/2)^2 / (3/4) / 9 = 1/3; sd(y | d, x) / sd(d | x) = sqrt(3/4) and the bias is 1/2, all of the coefficient
    (with r_Y / (1 - r_Y) alone, R2_Y = 1/9, it would be 0.29).
    """
    of_exposure, of_outcome = hidden_shares(np.array([1.0]), 1 / 3, 0.1)
    assert (of_exposure[0], of_outcome[0]) == pytest.approx((1 / 2, 1 / 3))
    rows = 10_000
    effect = LinearEffect(
        value=0.5,
        standard_error=np.sqrt(0.75 / rows),
        half_width=0.02,
        degrees=rows,
        exposure_shares=np.array([1 / 3]),
        outcome_shares=np.array([0.1]),
    )
    assert hidden_bias(effect, 0, np.array([1.0]))[0] == pytest.approx(0.5)
    assert least_strength(effect, 0, 0.5) == pytest.approx(1) and least_strength(effect, 0, -0.5) == pytest.approx(1)


def test_a_hidden_cause_as_strong_as_the_column_makes_an_effect_that_is_none() -> None:
    """No effect at all: at k = 1 nothing is left of the estimate; without the bound's second factor a part would.

    Over 20 draws, for the column's strength is itself an estimate, and its error in no interval.
    """
    left, without = np.array([adjust_by_a_column(seed) for seed in range(20)]).T
    errors = [draws.std(ddof=1) / np.sqrt(20) for draws in (left, without)]
    assert abs(left.mean()) < 3 * errors[0] < 0.05
    assert without.mean() > 0.1 > 5 * errors[1]


def adjust_by_a_column(seed: int, rows: int = 20_000) -> tuple[float, float]:
    """Return what a cause as strong as the column leaves of the estimate, and what the bound without its second factor
    does.
    """
    rng = np.random.default_rng(seed)
    x, hidden = rng.normal(size=(2, rows))
    treated = (x + hidden + rng.logistic(size=rows) > 0).astype(np.float64)
    effect = linear(treated, x + hidden + rng.normal(size=rows), x[:, None])
    of_exposure, of_outcome = float(effect.exposure_shares[0]), float(effect.outcome_shares[0])
    odds = of_exposure / (1 - of_exposure)
    short = of_outcome / (1 - of_outcome) * odds / (1 - odds)
    bias = hidden_bias(effect, 0, np.array([1.0]))[0]
    return effect.value - float(bias[0]), effect.value - effect.standard_error * np.sqrt(effect.degrees * short)


def test_beyond_the_bound_nothing_is_said() -> None:
    shares = np.stack(hidden_shares(np.array([0.9, 1.0, 2.0, 40.0]), 0.5, 0.2))
    assert np.isfinite(shares[:, 0]).all() and np.isnan(shares[:, 1:]).all()


def test_the_least_strength_brings_the_value_and_its_interval_to_0() -> None:
    effect = linear(*study())
    for column in range(3):
        k = least_strength(effect, column, effect.value)
        assert hidden_bias(effect, column, np.array([k]))[0] == pytest.approx(effect.value)
        of_interval = least_strength(effect, column, effect.value, effect.half_width)
        bias, factor = hidden_bias(effect, column, np.array([of_interval]))
        assert of_interval <= k and bias + factor * effect.half_width >= effect.value * (1 - 1e-9)
    assert least_strength(effect, 0, 0.1, 0.2) == 0, "its interval holds 0 as it is"


def test_columns_that_others_determine_have_no_share_and_the_rest_keep_theirs() -> None:
    treated, outcome, x = study()
    wide = np.c_[x, x[:, 0] - 2 * x[:, 1], np.ones(len(x))]
    effect = linear(treated, outcome, wide)
    assert np.isnan(effect.exposure_shares).tolist() == [True, True, False, True, True]
    assert effect.exposure_shares[2] == pytest.approx(linear(treated, outcome, x).exposure_shares[2], rel=1e-4)
    assert effect.degrees == 495 and np.isnan(least_strength(effect, 0, effect.value))


def test_the_levels_of_a_category_are_one_column() -> None:
    treated, outcome, x = study()
    level = np.digitize(x[:, 0], [-0.5, 0.5])
    levels = (level[:, None] == np.arange(3)).astype(np.float64)
    every = fit_linear_effect(treated, outcome, np.c_[x[:, 1:], levels], [np.array([0]), np.array([2, 3, 4])])
    dropped = fit_linear_effect(treated, outcome, np.c_[x[:, 1:], levels[:, 1:]], [np.array([0]), np.array([2, 3])])
    np.testing.assert_allclose(every.exposure_shares, dropped.exposure_shares, rtol=1e-4)
    np.testing.assert_allclose(every.outcome_shares, dropped.outcome_shares, rtol=1e-4)


def test_rows_four_times_over_are_no_more_rows() -> None:
    treated, outcome, x = study()
    single, fourfold = linear(treated, outcome, x), np.tile(np.arange(500), 4)
    columns = treated[fourfold], outcome[fourfold], x[fourfold]
    clustered = fit_linear_effect(*columns, each_alone(x), (fourfold,))
    assert clustered.half_width == pytest.approx(single.half_width, rel=0.1)
    assert linear(*columns).half_width == pytest.approx(single.half_width / 2, rel=0.01)
    biases = [hidden_bias(effect, 0, TIMES)[0] for effect in (single, clustered)]
    np.testing.assert_allclose(*biases, rtol=1e-6)


def test_columns_that_tell_the_arm_are_refused_in_one_line() -> None:
    treated, outcome, x = study()
    with pytest.raises(DataError, match="the columns tell the arm exactly; leave columns out"):
        linear(treated, outcome, np.c_[x, 2 * treated])
    with pytest.raises(DataError, match="4 rows for 3 columns"):
        linear(np.array([0.0, 1, 0, 1]), outcome[:4], x[:4])


def test_without_columns_there_is_still_an_effect() -> None:
    treated, outcome, x = study()
    effect = linear(treated, outcome, x[:, :0])
    assert effect.value == pytest.approx(outcome[treated == 1].mean() - outcome[treated == 0].mean())
