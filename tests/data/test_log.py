"""The interaction log refuses what no estimator may read, and takes what the data sets need."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from causalrec.data.log import InteractionLog
from causalrec.data.pair_columns import PairFeature, PairTable
from causalrec.errors import DataError


def log(**columns: Any) -> InteractionLog:
    """Four rows of two users and three items; keywords replace columns."""
    base: dict[str, Any] = {
        "user": np.array([0, 0, 1, 1]),
        "item": np.array([0, 1, 1, 2]),
        "treatment": np.ones(4, np.int64),
        "outcome": np.array([1, 0, 1, 1], np.float32),
        "num_users": 2,
        "num_items": 3,
        "name": "tiny",
    }
    return InteractionLog(**{**base, **columns})


@pytest.mark.parametrize(
    ("columns", "message"),
    [
        (
            {"propensity": np.array([0.5, 0.0, 0.5, 0.5], np.float32)},
            r"tiny: row 1: propensity is outside \(0, 1\] \(1 such",
        ),
        (
            {"propensity": np.array([0.5, 0.5, 1.5, 2.0], np.float32)},
            r"row 2: propensity is outside \(0, 1\] \(2 such rows\)",
        ),
        ({"propensity": np.array([np.nan, 0.5, 0.5, 0.5], np.float32)}, r"row 0: propensity is outside \(0, 1\]"),
        (
            {"outcome": np.array([1, 1, np.nan, 1], np.float32)},
            "row 2: outcome is NaN for an exposed row.*drop the row",
        ),
        ({"treatment": np.array([1, -1, 1, 1])}, "row 1: treatment is negative.*0 = not exposed"),
        ({"item": np.array([0, 1, 3, 2])}, r"row 2: item id is outside 0\.\.2"),
        ({"user": np.array([0, -1, 1, 1])}, r"row 1: user id is outside 0\.\.1"),
        ({"outcome": np.ones(3, np.float32)}, "outcome has 3 rows, item has 4; align them"),
        ({"time": np.arange(5)}, "time has 5 rows, item has 4"),
        ({"columns": {"hour": np.zeros(2, np.float32)}}, "hour has 2 rows, item has 4"),
        (
            {"columns": {"hour": np.array([0, np.inf, 1, np.nan])}},
            r"row 1: column hour is not a finite number \(2 such rows\); fill it or drop the row",
        ),
        (
            {"columns": {"store": np.array(["a", None, "b", "c"])}},
            "column store is of type object; give numbers, or cat",
        ),
    ],
)
def test_a_bad_column_is_refused_with_row_and_mend(columns: dict[str, Any], message: str) -> None:
    with pytest.raises(DataError, match=message):
        log(**columns)


def test_an_unseen_outcome_of_an_unexposed_row_is_accepted() -> None:
    built = log(treatment=np.array([0, 1, 1, 1]), outcome=np.array([np.nan, 0, 1, 1], np.float32))
    assert np.isnan(built.outcome[0])


def test_arms_counts_and_columns_of_rows_travel_with_take() -> None:
    built = log(
        treatment=np.array([0, 1, 2, 3]),
        outcome=np.array([0, 12, 3.5, 1], np.float32),
        position=np.array([1, 2, 3, 1]),
        propensity=np.array([1, 0.5, 0.25, 0.1], np.float32),
        columns={"hour": np.array([0.5, 1.5, 2.5, 3.5]), "store": np.array(["a", "b", "a", "c"])},
    )
    taken = built.take(np.array([3, 1]), "part")
    assert taken.treatment.tolist() == [3, 1]
    assert {name: values.tolist() for name, values in taken.columns.items()} == {
        "hour": [3.5, 1.5],
        "store": ["c", "b"],
    }
    both = taken.concatenate(built).columns
    assert both["hour"].tolist() == [3.5, 1.5, 0.5, 1.5, 2.5, 3.5] and both["store"].tolist() == [*"cbabac"]
    assert built.with_propensity(np.ones(4, np.float32)).columns is built.columns
    assert taken.propensity is not None and taken.propensity.tolist() == pytest.approx([0.1, 0.5])
    assert taken.position is not None and taken.position.tolist() == [1, 2]
    assert (taken.time, taken.name, len(taken)) == (None, "part", 2)


def test_a_userless_log_codes_its_items() -> None:
    built = log(user=None, num_users=0)
    assert built.codes.tolist() == [0, 1, 1, 2]
    assert built.num_pairs == 3
    assert built.take(built.item == 1).user is None


def test_codes_are_row_major_pairs() -> None:
    assert log().codes.tolist() == [0, 1, 4, 5]
    assert log().num_pairs == 6


def test_repeats_keep_last_keeps_the_last_row_in_file_order() -> None:
    built = log(user=np.array([0, 1, 0, 1]), item=np.array([1, 2, 1, 2]), outcome=np.array([5, 6, 7, 8], np.float32))
    last = built.without_repeats("keep_last")
    assert last.outcome.tolist() == [7, 8]
    assert built.without_repeats("allowed") is built


def test_repeats_error_counts_them_and_names_the_first() -> None:
    built = log(user=np.array([0, 1, 0, 1]), item=np.array([1, 2, 1, 2]))
    with pytest.raises(DataError, match="tiny: 2 duplicate interactions, first user 0, item 1"):
        built.without_repeats("error")
    assert log().without_repeats("error").codes.tolist() == [0, 1, 4, 5]


def test_with_propensity_checks_anew() -> None:
    with pytest.raises(DataError, match="propensity"):
        log().with_propensity(np.zeros(4, np.float32))


def test_a_pair_table_gives_its_values_and_zero_elsewhere_in_any_shape() -> None:
    dense = np.zeros((3, 4), np.float32)
    dense[0, 3], dense[2, 0], dense[2, 3] = 5, 7, 9
    codes = np.flatnonzero(dense)
    table = PairTable(codes, dense.ravel()[codes], 4)
    user, item = np.arange(3)[:, None], np.arange(4)[None, :]
    np.testing.assert_array_equal(table(user, item), dense)
    assert table(np.array([2]), np.array([3])).tolist() == [9.0]
    empty = PairTable(np.zeros(0, np.int64), np.zeros(0, np.float32), 4)
    np.testing.assert_array_equal(empty(user, item), np.zeros((3, 4)))


def test_a_pair_feature_is_a_scaled_product_of_its_factors() -> None:
    feature = PairFeature(np.array([[1.0, 2.0]], np.float32), np.array([[3.0, 4.0]], np.float32), scale=2, shift=1)
    assert feature(np.array([0]), np.array([0])).tolist() == [23.0]


def test_joined_logs_hold_the_rows_of_both_in_order() -> None:
    built = log()
    both = built.take(np.arange(2)).concatenate(built.take(np.arange(1)))
    np.testing.assert_array_equal(both.codes, built.codes[[0, 1, 0]])
