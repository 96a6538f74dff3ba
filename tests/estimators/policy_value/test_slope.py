"""SLOPE takes the least variable estimate that less biased ones do not contradict."""

from __future__ import annotations

from math import inf, nan, sqrt

import numpy as np
import pytest

from causalrec.estimators.policy_value.slope import slope, slope_by_differences


def test_a_number_worked_by_hand() -> None:
    """|3 - 1| = 2 against .1 + 1.449 x .5 = .825; |1.1 - 1| = .1 against .2 + .725."""
    assert slope([1.0, 1.1, 3.0], [0.5, 0.2, 0.1]) == 1


@pytest.mark.parametrize(("shift", "chosen"), [(-1e-9, 1), (1e-9, 0)])
def test_its_constant_is_the_root_of_six_less_one(shift: float, chosen: int) -> None:
    assert slope([0.0, 0.2 + (sqrt(6) - 1) * 0.5 + shift], [0.5, 0.2]) == chosen


def test_a_candidate_meets_all_before_it_and_none_is_taken_after_the_first_that_does_not() -> None:
    assert slope([0.0, 0.5, 0.9], [0.2, 0.18, 0.16]) == 0
    assert slope([0.0, 0.4, 0.8], [0.2, 0.18, 0.16]) == 1, "the third meets the second alone"
    assert slope([0.0, 9.0, 0.0], [0.2, 0.18, 0.16]) == 0, "the third agrees with the first, but the second did not"


def test_agreement_takes_the_least_variable() -> None:
    assert slope([1.0] * 5, [0.5, 0.4, 0.3, 0.2, 0.1]) == 4


def test_widths_that_rise_are_those_of_the_widest_that_follows() -> None:
    """A narrow interval before a wide one is as wide as that one: its agreement is not refused."""
    assert slope([0.0, 0.5], [0.1, 0.3]) == 1
    assert slope([0.0, 0.5], [0.1, 0.1]) == 0


def test_what_has_no_interval_is_passed_over() -> None:
    assert slope([nan, 1.0, 1.0, 5.0], [0.1, 0.5, inf, 0.1]) == 1
    assert slope([nan, nan], [0.1, 0.1]) == 0
    assert slope([2.0], [0.3]) == 0


@pytest.mark.parametrize(("values", "widths"), [([], []), ([1.0], [1.0, 2.0]), ([1.0], [-1.0])])
def test_what_is_no_list_of_intervals_is_refused(values: list[float], widths: list[float]) -> None:
    with pytest.raises(ValueError, match="SLOPE needs"):
        slope(values, widths)


def test_over_many_draws_it_is_near_the_best_and_follows_the_size_of_the_bias() -> None:
    """Nine estimates whose deviation halves as their bias doubles: no more than 2.5 times the best one's error."""
    rng, steps = np.random.default_rng(0), np.arange(9)
    chosen_steps = []
    for least_bias in (0.001, 0.05):
        bias, deviation = least_bias * 2.0**steps, 2.0**-steps
        values = bias + deviation * rng.normal(size=(2_000, 9))
        chosen = np.array([slope(row, 1.96 * deviation) for row in values])
        error = values[np.arange(2_000), chosen] ** 2
        assert error.mean() < 2.5**2 * (bias**2 + deviation**2).min()
        chosen_steps.append(chosen.mean())
    assert chosen_steps[0] > chosen_steps[1] + 2


def test_by_differences_a_number_worked_by_hand() -> None:
    """|1.1 - 1| = .1 against .2; |1.4 - 1| = .4 against .3."""
    widths = np.array([[0, 0.2, 0.3], [0.2, 0, 0.4], [0.3, 0.4, 0]])
    assert slope_by_differences([1.0, 1.1, 1.4], widths) == 1
    assert slope_by_differences([1.0, 1.1, 1.3], widths) == 2
    assert slope_by_differences([1.0, 1.3, 1.0], widths) == 0, "none is taken after the first that does not stand"


def test_by_differences_equal_estimates_and_such_without_a_width() -> None:
    assert slope_by_differences([0.1, 0.1 + 1e-17], np.zeros((2, 2))) == 1, "a clip that binds nowhere"
    assert slope_by_differences([nan, 1.0, 1.0], np.full((3, 3), 0.1)) == 2
    assert slope_by_differences([1.0, 1.0], np.full((2, 2), nan)) == 0
    assert slope_by_differences([nan, nan], np.ones((2, 2))) == 0
    with pytest.raises(ValueError, match="half-width of each two"):
        slope_by_differences([1.0, 2.0], np.ones(2))


def test_of_the_same_rounds_differences_see_a_bias_that_intervals_let_through() -> None:
    """Two estimates that err alike by .1, the second less variable by a hair and biased by .1."""
    rng = np.random.default_rng(0)
    shared = rng.normal(size=(500, 1)) * 0.1
    values = shared + rng.normal(size=(500, 2)) * 0.01 + np.array([0.0, 0.1])
    widths = 1.28 * 0.01 * np.sqrt(2) * np.array([[0, 1], [1, 0]])
    assert np.mean([slope(row, [0.128, 0.127]) for row in values]) > 0.99
    assert np.mean([slope_by_differences(row, widths) for row in values]) < 0.01
