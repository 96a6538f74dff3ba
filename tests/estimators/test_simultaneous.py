"""Intervals that hold for all candidates at once hold for the ten shown, which are the largest of all."""

from __future__ import annotations

import tracemalloc
from collections.abc import Callable
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
from scipy.stats import norm

from causalrec.estimators.effect.average_effect import AverageRequest
from causalrec.estimators.effect.base import AbstractFittedEffect, LearnerData
from causalrec.estimators.effect.simultaneous import (
    SimultaneousInterval,
    describe_candidates,
    largest_t_level,
    linear_root,
    sidak_level,
)
from causalrec.evaluation.slice.base import SliceData
from causalrec.learners.table_predictor import TablePredictor
from causalrec.types import Doubles
from tests.estimators.test_effect_learners import learner, simulate

SHOWN, CANDIDATES, DRAWS = 10, 1000, 400
POINTWISE = 0.95


def critical(level: float) -> float:
    return float(norm.ppf((1 + level) / 2))


def shares_covered(root: Doubles, spread: float, *levels: float) -> list[float]:
    """Return how often intervals of each level cover all of the ten largest estimates, of N with that root."""
    rng, error, largest = np.random.default_rng(1), np.linalg.norm(root, axis=1), []
    for _ in range(DRAWS):
        truth = spread * error * rng.normal(size=len(root))
        estimate = truth + root @ rng.normal(size=root.shape[1])
        shown = np.argsort(-estimate)[:SHOWN]
        largest.append((np.abs(estimate - truth) / error)[shown].max())
    return [float(np.mean(np.array(largest) <= critical(level))) for level in levels]


@pytest.mark.parametrize(("spread", "among_ten"), [(0, 0.08), (1, 0.34), (2, 0.71)])
def test_a_correction_for_the_ten_shown_misses_and_one_for_all_candidates_covers(
    spread: float, among_ten: float
) -> None:
    """Known shares: .08, .34 and .71 by the ten alone, .98, .99 and .98 by all thousand."""
    levels = POINTWISE, sidak_level(0.95, SHOWN), sidak_level(0.95, CANDIDATES)
    pointwise, ten, every = shares_covered(np.eye(CANDIDATES), spread, *levels)
    assert pointwise < ten == pytest.approx(among_ten, abs=0.06) and every > 0.95


@pytest.mark.parametrize("spread", [0, 1, 2])
def test_the_largest_t_of_effects_that_share_six_coefficients_covers(spread: float) -> None:
    root = np.random.default_rng(0).normal(size=(CANDIDATES, 6)) * np.linspace(0.2, 2, CANDIDATES)[:, None]
    level = largest_t_level(root, 0.95)
    assert critical(POINTWISE) < critical(level) < critical(sidak_level(0.95, CANDIDATES)) - 0.3
    assert shares_covered(root, spread, level)[0] > 0.95


def test_levels_are_those_of_known_cases() -> None:
    assert sidak_level(0.95, 1) == 0.95 and critical(sidak_level(0.95, 10)) == pytest.approx(2.800, abs=1e-3)
    assert largest_t_level(np.eye(4), 0.95) == pytest.approx(sidak_level(0.95, 4), abs=0.002)
    assert largest_t_level(np.ones((500, 1)), 0.95) == pytest.approx(0.95, abs=0.005), "one effect, whatever its error"
    assert largest_t_level(np.zeros((3, 2)), 0.95) == 0.95, "no error at all"
    with_nothing = np.vstack([np.eye(2), np.zeros((5, 2))])
    assert largest_t_level(with_nothing, 0.95) == largest_t_level(np.eye(2), 0.95)


@pytest.mark.parametrize("seed", [0, 1])
def test_candidates_drawn_like_the_draws_that_judge_them_are_no_worse(seed: int) -> None:
    root = np.random.default_rng(seed).normal(size=(CANDIDATES, 20))  # a simulation begins so
    assert 3.8 < critical(largest_t_level(root, 0.95)) < critical(sidak_level(0.95, CANDIDATES))


def quadratic(covariance: Doubles) -> Callable[[Doubles], Doubles]:
    """Return the standard errors of effects with coefficients of that covariance, the first of a constant."""

    def errors(columns: Doubles) -> Doubles:
        design = np.column_stack([np.ones(len(columns)), columns])
        return np.asarray(np.sqrt(np.einsum("nd,de,ne->n", design, covariance, design)))

    return errors


def test_the_root_of_linear_effects_is_that_of_their_coefficients() -> None:
    rng = np.random.default_rng(0)
    columns = rng.normal(size=(40, 4)) * [1, 1e-3, 1e3, 1] + [0, 5, 2000, 1]
    columns = np.column_stack([columns, np.full(40, 3.0), columns[:, 0] - columns[:, 3]])  # of the user; collinear
    half = rng.normal(size=(7, 7)) / np.array([1, 1, 1e-3, 1e3, 1, 1, 1])[:, None]
    covariance = half @ half.T
    root = linear_root(columns, quadratic(covariance))
    design = np.column_stack([np.ones(40), columns])
    assert root is not None and root.shape == (40, 5), "four columns in which candidates differ, and a constant"
    expected = design @ covariance @ design.T
    error = np.sqrt(np.diag(expected))
    np.testing.assert_allclose(root @ root.T / np.outer(error, error), expected / np.outer(error, error), atol=1e-5)


def test_errors_of_no_linear_effect_and_too_many_directions_have_no_root() -> None:
    columns = np.random.default_rng(0).normal(size=(80, 2))
    assert linear_root(columns, lambda rows: 1 + np.abs(rows[:, 0])) is None
    wide = np.random.default_rng(0).normal(size=(80, 60))
    assert linear_root(wide, quadratic(np.eye(61))) is None


def test_candidates_are_compared_without_a_matrix_of_all_pairs() -> None:
    columns = np.random.default_rng(0).normal(size=(20_000, 3))  # of all pairs: 3.2 GB
    tracemalloc.start()
    root = linear_root(columns, quadratic(np.eye(4)))
    assert root is not None and 0.99 < largest_t_level(root, 0.95) < sidak_level(0.95, 20_000)
    assert tracemalloc.get_traced_memory()[1] < 1e8
    tracemalloc.stop()


def at_once(fitted: AbstractFittedEffect, rows: LearnerData, arm: int = 1) -> tuple[SimultaneousInterval, float]:
    """Return the simultaneous interval at some rows, and its critical value."""
    columns = rows.modifiers[:200], rows.controls[:200]
    interval, pointwise = fitted.simultaneous_interval(*columns, arm, 0.95), fitted.interval(*columns, 0.95)
    assert interval is not None and pointwise is not None
    ratio = (interval.high - interval.low) / (pointwise[1] - pointwise[0])[:, arm - 1]
    assert np.ptp(ratio) < 1e-6 and fitted.effects(*columns)[:, arm - 1] == pytest.approx(
        (interval.low + interval.high) / 2
    )
    return interval, 1.96 * float(ratio[0])


@pytest.mark.parametrize("name", ["linear_dml", "linear_dr_learner"])
def test_linear_learners_know_how_their_effects_err_together(name: str) -> None:
    rows, _ = simulate(600, arms=2)
    fitted = learner(name).fit_rows(replace(rows, outcome=1000 * rows.outcome), 0)
    for arm in (1, 2):
        interval, value = at_once(fitted, rows, arm)
        assert "all 200 candidates at once, shown or not (the largest |t| of their joint covariance)" in interval.note
        assert 2.2 < value < 2.9, "three coefficients: above the pointwise 1.96, below Scheffe's 2.80"
    root = fitted.covariance_root(rows.modifiers[:200], rows.controls[:200], 1)
    assert root is not None and root.shape[1] == 3


def test_effects_behind_an_instrument_err_together_too() -> None:
    rows, _ = simulate(600)
    coin = np.random.default_rng(0).integers(2, size=(600, 1)).astype(float)
    moved = np.where(coin[:, 0] > rows.controls[:, 0], 1, 0)
    fitted = learner("ortho_iv").fit_rows(replace(rows, treatment=moved, instruments_or_mediator=coin), 0)
    interval, value = at_once(fitted, rows)
    assert "(the largest |t| of their joint covariance)" in interval.note and 2.2 < value < 2.9


def test_few_rows_of_an_arm_are_said() -> None:
    rows, _ = simulate(600)
    seen = rows.take(np.concatenate([np.flatnonzero(rows.treatment == 0), np.flatnonzero(rows.treatment == 1)[:20]]))
    columns = rows.modifiers[:50], rows.controls[:50]
    for fitted_on, few in ((seen, "few rows: 20 of the arm or of none, so that normal quantiles make"), (rows, "")):
        fitted = learner("linear_dml").fit_rows(fitted_on, 0)
        table = SimpleNamespace(read=lambda *_: columns)
        predictor = TablePredictor(fitted, fitted_on, table, "adjustment", AverageRequest())  # type: ignore[arg-type]
        user = np.arange(50)
        candidates = SliceData(name="asked", kind="effect", user=user, item=user, label=0 * user, num_users=50, arm=1)
        interval = predictor.simultaneous_interval(candidates, 0.95)
        assert interval is not None and "all 50 candidates at once" in interval.note
        assert few in interval.note and ("few rows" in interval.note) == bool(few)


def test_learners_with_a_featurizer_and_forests_go_by_the_number_of_distinct_candidates() -> None:
    rows, _ = simulate(600)
    featurizer = {"estimator": "sklearn.preprocessing.PolynomialFeatures", "degree": 3, "include_bias": False}
    named = learner("linear_dml").models  # type: ignore[attr-defined]
    bent = learner("linear_dml", models={**named, "featurizer": featurizer}).fit_rows(rows, 0)
    interval, value = at_once(bent, rows)
    assert "(Sidak, by their number)" in interval.note and value == pytest.approx(
        critical(sidak_level(0.95, 200)), abs=0.01
    )
    forest = learner("causal_forest_dml").fit_rows(rows, 0)
    alike = replace(rows, modifiers=np.repeat(rows.modifiers[:20], 30, axis=0))  # controls tell no effects apart
    interval, value = at_once(forest, alike)
    assert "all 200 candidates at once, 7 of them distinct, shown or not (Sidak" in interval.note
    assert value == pytest.approx(critical(sidak_level(0.95, 7)), abs=0.01)


def test_learners_without_intervals_have_none_at_once() -> None:
    rows, _ = simulate(600)
    twice = replace(rows, groups=np.repeat(np.arange(300), 2))
    for name, seen in (("t_learner", rows), ("linear_dml", twice)):
        assert learner(name).fit_rows(seen, 0).simultaneous_interval(rows.modifiers, rows.controls, 1, 0.95) is None


def test_one_effect_has_its_pointwise_interval() -> None:
    rows, _ = simulate(600)
    fitted = learner("linear_dml").fit_rows(rows, 0)
    same = np.tile(rows.modifiers[:1], (200, 1)), rows.controls[:200]
    interval, pointwise = fitted.simultaneous_interval(*same, 1, 0.95), fitted.interval(*same, 0.95)
    assert interval is not None and pointwise is not None
    assert interval.note == "all 200 candidates have one effect, so that one interval holds for each"
    assert interval.low == pytest.approx(pointwise[0][:, 0])
    assert describe_candidates(1, 1, 0.95, False) == ""
