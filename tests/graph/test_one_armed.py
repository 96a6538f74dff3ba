"""Columns that say the treatment: by value, by band, within levels; what chance alone leaves is not named."""

from __future__ import annotations

import numpy as np
import pytest

from causalrec.graph.one_armed import one_armed_line, one_armed_shares
from causalrec.types import Floats, Ints

RNG = np.random.default_rng(3)
AGE = RNG.integers(18, 80, 600).astype(np.float32)
COIN = RNG.integers(0, 2, 600)
SEGMENT = RNG.integers(0, 3, 600)


def share(treatment: Ints, column: Floats, unit: Ints | None = None) -> float:
    return one_armed_shares(treatment, column[:, None].astype(np.float32), ["x"], unit).get("x", 0.0)


@pytest.mark.parametrize(
    ("treatment", "least"),
    [
        ((AGE >= 50).astype(int), 0.9),
        (((AGE > 30) & (AGE < 60)).astype(int), 0.8),  # which no line of log-odds tells
        (np.digitize(AGE, [40, 60]), 0.99),  # of three arms each stratum lacks two
    ],
)
def test_treatment_that_is_a_function_of_a_number_is_found(treatment: Ints, least: float) -> None:
    assert share(treatment, AGE) >= least


def test_a_level_in_which_all_are_treated_is_found_and_counted() -> None:
    treatment = np.where(SEGMENT == 1, 1, COIN)
    assert share(treatment, SEGMENT) == share(treatment, SEGMENT == 1) == pytest.approx((SEGMENT == 1).mean())
    assert share(np.where(SEGMENT == 1, 1, 0), SEGMENT) == 1.0


def test_what_was_drawn_by_a_coin_follows_nothing() -> None:
    columns = RNG.normal(size=(600, 40)).astype(np.float32)
    for _ in range(20):
        assert one_armed_shares(RNG.integers(0, 2, 600), columns, [f"x{k}" for k in range(40)]) == {}
    rare = (RNG.random(600) < 0.01).astype(int)
    assert share(rare, AGE) == 0.0, "a rare arm is missing in most strata by chance"


def test_few_units_of_assignment_are_no_proof() -> None:
    shop = np.repeat(np.arange(12), 50)
    treatment, size = (shop % 2).astype(int), shop.astype(np.float32)
    assert share(treatment, size) == 1.0 and share(treatment, size, shop) == 0.0


def test_without_a_column_and_of_many_rows_there_is_an_answer() -> None:
    assert one_armed_shares(COIN, np.zeros((600, 0), np.float32), []) == {}
    many = RNG.normal(size=60_001)
    assert share((many > 0).astype(int), many) > 0.9


def test_the_line_names_three_columns() -> None:
    line = one_armed_line({"a": 0.9, "b": 0.5, "c": 0.2, "d": 0.1})
    assert line.startswith("treatment follows a (90%), b (50%), c (20%) and 1 more: that share of the rows has a value")
