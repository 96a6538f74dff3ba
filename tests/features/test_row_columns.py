"""Columns of a row become numbers by the logged rows, and what has no row does not get them."""

from __future__ import annotations

import dataclasses

import numpy as np
import polars as pl
import pytest

from causalrec.data.card import Column, DatasetCard
from causalrec.data.dataset import CausalDataset
from causalrec.data.log import InteractionLog, RowValues
from causalrec.errors import DataError
from causalrec.features.design_matrix import design_matrix
from causalrec.features.views import feature_matrix

CARD = DatasetCard(
    name="toy",
    domain="",
    licence="",
    urls=(),
    sha256={},
    columns=(
        Column("hour", "row", "numeric"),
        Column("store", "row", "category"),
        Column("age", "user", "numeric"),
        Column("taste", "pair", "numeric"),
    ),
    outcome="click",
    feedback="explicit",
)
HOURS = np.array([1.0, 3.0, 5.0, 3.0])
STORES = np.array([12, 2, 12, 7])  # text comes first by letter: 12, 2, 7


def log_of(name: str = "toy", **columns: RowValues) -> InteractionLog:
    count = len(next(iter(columns.values()))) if columns else 4
    return InteractionLog(
        item=np.arange(count) % 2,
        treatment=np.ones(count, np.int64),
        outcome=np.ones(count, np.float32),
        num_items=2,
        user=np.array([0, 0, 1, 1])[:count],
        num_users=2,
        name=name,
        columns=columns,
    )


def data_of(logged: InteractionLog, randomised: InteractionLog | None = None) -> CausalDataset:
    users, items = pl.DataFrame({"age": [10.0, 30.0]}), pl.DataFrame({"title": ["a", "b"]})
    pairs = {"taste": lambda user, item: (10 * user + item).astype(np.float32)}
    return CausalDataset(CARD, logged, users, items, randomised, pairs)


DATA = data_of(log_of(hour=HOURS, store=STORES))
VIEW = ("age", "hour", "store", "taste")


def test_numbers_are_standardised_and_categories_one_hot_by_the_logged_rows() -> None:
    features = feature_matrix(DATA, VIEW)
    assert features.names == ("age", "taste", "hour", "store=12", "store=2", "store=7")
    root = np.sqrt(2)  # hours 1, 3, 5, 3: mean 3, standard deviation sqrt 2
    block = [[-root, 1, 0, 0], [0, 0, 1, 0], [root, 1, 0, 0], [0, 0, 0, 1]]
    np.testing.assert_allclose(features.row_block(DATA.logged), block, rtol=1e-6)
    of_pairs = [[-1, 0], [-1, 1], [1, 10], [1, 11]]
    np.testing.assert_allclose(features.of_log(DATA.logged), np.hstack([of_pairs, block]), rtol=1e-6)
    assert features.of_log(DATA.logged).dtype == np.float32
    np.testing.assert_array_equal(design_matrix(DATA.logged, features), features.of_log(DATA.logged))
    half = features.row_block(DATA.logged.take(np.array([2, 0])))
    np.testing.assert_allclose(half, [block[2], block[0]], rtol=1e-6)  # a part is measured by the whole log


def test_a_block_has_the_shape_of_its_rows() -> None:
    features, block = feature_matrix(DATA, VIEW), feature_matrix(DATA, VIEW).row_block(DATA.logged)
    assert block is not None
    user, item = DATA.logged.users.reshape(2, 2), DATA.logged.item.reshape(2, 2)
    together = features(user, item, block.reshape(2, 2, 4))
    np.testing.assert_array_equal(together.reshape(4, -1), features.of_log(DATA.logged))


def test_a_pair_alone_has_no_row() -> None:
    features = feature_matrix(DATA, VIEW)
    with pytest.raises(DataError, match="features: hour, store are of the row, and a pair alone has none; hand over"):
        features(np.array([0]), np.array([1]))
    with pytest.raises(DataError, match="all_pairs: its rows have no hour, which pairs that were never logged lack"):
        features.row_block(log_of("all_pairs"))
    bare = features.of_pairs
    assert bare.names == ("age", "taste") and bare(np.array([1]), np.array([0])).tolist() == [[1, 10]]
    plain = feature_matrix(DATA, ("age", "taste"))
    assert plain.row_block(log_of()) is None and plain.of_pairs is plain
    assert plain.identity != features.identity


def test_matrices_of_other_logged_rows_are_told_apart() -> None:
    other = data_of(log_of(hour=HOURS + np.array([0, 0, 0, 1]), store=STORES))
    assert feature_matrix(other, ("hour",)).identity != feature_matrix(DATA, ("hour",)).identity
    same = data_of(log_of(hour=HOURS.copy(), store=STORES))
    assert feature_matrix(same, ("hour",)).identity == feature_matrix(DATA, ("hour",)).identity


def test_a_constant_number_is_zero_and_a_level_that_no_logged_row_has_is_refused() -> None:
    flat = data_of(log_of(hour=np.full(4, 7), store=STORES))
    assert feature_matrix(flat, ("hour",)).of_log(flat.logged).tolist() == [[0]] * 4
    test = log_of("toy test", hour=HOURS[:3], store=np.array([7, 25, 1]))
    with pytest.raises(DataError) as caught:
        feature_matrix(data_of(DATA.logged, test), ("store",)).of_log(test)
    assert str(caught.value) == (
        "toy test: row 1: store is '25', which no logged row has (2 such rows); drop these rows, or merge the level "
        "with one that the log has"
    )


def test_the_card_and_the_logs_must_agree() -> None:
    with pytest.raises(DataError, match="toy: toy has no column store, which the card calls one of each row; hand it"):
        data_of(log_of(hour=HOURS))
    with pytest.raises(DataError, match="toy: random has no column hour"):
        data_of(DATA.logged, log_of("random", store=STORES))
    with pytest.raises(DataError, match="toy: toy: column hour is numeric on the card but holds text; give numbers"):
        data_of(log_of(hour=np.array([*"abcd"]), store=STORES))
    with pytest.raises(DataError, match="column note: a column of a row is numeric or category, not text"):
        Column("note", "row", "text")
    assert [column.name for column in CARD.row_columns] == ["hour", "store"]
    assert dataclasses.replace(CARD, columns=CARD.columns[2:]).row_columns == ()
