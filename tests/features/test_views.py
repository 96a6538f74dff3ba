"""Views follow the graph, and their columns expand to the numbers worked by hand."""

from __future__ import annotations

import dataclasses

import numpy as np
import polars as pl
import pytest

from causalrec.data.card import Column, DatasetCard
from causalrec.data.dataset import CausalDataset
from causalrec.data.log import InteractionLog
from causalrec.data.pair_columns import PairFeature
from causalrec.errors import DataError
from causalrec.features.design_matrix import design_matrix, one_hot
from causalrec.features.views import Views, choose_views, feature_matrix
from causalrec.graph.causal_graph import CausalGraph
from causalrec.graph.identify import identify

COLUMNS = (
    Column("user", "user", "id"),
    Column("item", "item", "id"),
    Column("age", "user", "numeric"),
    Column("gender", "user", "category"),
    Column("genre", "item", "multi_hot"),
    Column("title", "item", "text"),
    Column("affinity", "pair", "numeric"),
)
CARD = DatasetCard(
    name="toy", domain="", licence="", urls=(), sha256={}, columns=COLUMNS, outcome="click", feedback="explicit"
)
PAIR = PairFeature(
    np.array([[1, 0], [0, 2], [1, 1]], np.float32), np.array([[1, 1], [3, 0]], np.float32), scale=2.0, shift=-1.0
)


@pytest.fixture
def data() -> CausalDataset:
    log = InteractionLog(
        user=np.array([0, 1, 2]),
        item=np.array([1, 0, 1]),
        treatment=np.ones(3, np.int64),
        outcome=np.ones(3, np.float32),
        num_users=3,
        num_items=2,
    )
    users = pl.DataFrame({"age": [10.0, 20.0, 30.0], "gender": ["M", "F", "M"]})
    items = pl.DataFrame({"genre": [["War", "Crime"], ["Crime"]], "title": ["Heat", "Ran"]})
    return CausalDataset(CARD, log, users, items, pair_features={"affinity": PAIR})


def views_of(*edges: str, latent: tuple[str, ...] = ()) -> Views:
    graph = CausalGraph(edges=[*edges, "exposure -> outcome"], latent=list(latent))
    return choose_views(graph, CARD, identify(graph, CARD))


def test_the_propensity_reads_the_adjustment_set_and_the_outcome_every_observed_cause() -> None:
    edges = ("affinity -> exposure", "affinity -> outcome", "title -> outcome", "user -> outcome", "age -> exposure")
    spec = views_of(*edges)
    assert spec.propensity == ("affinity",)
    assert spec.outcome == ("affinity", "title", "user"), "age reaches the outcome by exposure alone"


def test_no_view_reads_a_latent_node_or_a_descendant_of_exposure() -> None:
    spec = views_of("title -> outcome", "mood -> outcome", "exposure -> genre", "genre -> outcome", latent=("mood",))
    assert spec == Views(propensity=(), outcome=("title",), modifiers=("title",))


def test_numbers_are_standardised_categories_one_hot_and_lists_multi_hot(data: CausalDataset) -> None:
    features = feature_matrix(data, ("age", "gender", "genre", "title", "user"))
    assert features.names == ("age", "gender=F", "gender=M", "genre=Crime", "genre=War")
    assert features.ids == ("user",) and len(features) == 5
    z = np.sqrt(1.5)  # (30 - 20) / sqrt(200 / 3)
    matrix = features(np.array([0, 1, 2]), np.array([1, 0, 1]))
    np.testing.assert_allclose(matrix, [[-z, 0, 1, 1, 0], [0, 1, 0, 1, 1], [z, 0, 1, 1, 0]], rtol=1e-6)
    assert matrix.dtype == np.float32


def test_a_pair_feature_is_the_scaled_product_of_its_factors(data: CausalDataset) -> None:
    features = feature_matrix(data, ("affinity", "age"))
    assert features.names == ("age", "affinity")
    column = features(np.array([0, 1, 2]), np.array([0, 0, 1]))[:, 1]
    assert column.tolist() == [2 * 1 - 1, 2 * 2 - 1, 2 * 3 - 1]
    grid = features(np.array([[0, 1]]), np.array([[0, 1]]))
    assert grid.shape == (1, 2, 2) and grid[0, :, 1].tolist() == [1.0, -1.0]


def test_a_constant_column_becomes_zero_and_not_nan(data: CausalDataset) -> None:
    same = dataclasses.replace(data, user_table=data.user_table.with_columns(age=pl.lit(5.0)))
    assert feature_matrix(same, ("age",))(np.arange(3), np.zeros(3, int)).tolist() == [[0.0]] * 3


@pytest.mark.parametrize("bad", [None, float("nan"), float("inf")])
def test_a_missing_number_names_its_column_and_row(data: CausalDataset, bad: float | None) -> None:
    holed = dataclasses.replace(data, user_table=data.user_table.with_columns(age=pl.Series([1.0, bad, 2.0])))
    with pytest.raises(DataError, match="column age: row 1 is not a finite number"):
        feature_matrix(holed, ("age",))


def test_an_empty_view_has_no_numbers(data: CausalDataset) -> None:
    assert feature_matrix(data, ())(np.arange(3), np.zeros(3, int)).shape == (3, 0)


def test_one_hot_marks_the_id() -> None:
    assert one_hot(np.array([2, 0]), 3).toarray().tolist() == [[0, 0, 1], [1, 0, 0]]


def test_the_design_puts_one_hot_ids_beside_the_numbers_only_when_the_view_names_them(data: CausalDataset) -> None:
    z = float(np.sqrt(1.5))
    matrix = design_matrix(data.logged, feature_matrix(data, ("age", "item", "user"))).toarray()
    expected = np.array([[-z, 1, 0, 0, 0, 1], [0, 0, 1, 0, 1, 0], [z, 0, 0, 1, 0, 1]])
    np.testing.assert_allclose(matrix, expected, rtol=1e-6)  # age | user 0..2 | item 0..1
    assert design_matrix(data.logged, feature_matrix(data, ("age",))).shape == (3, 1)
    assert design_matrix(data.logged, feature_matrix(data, ("item",))).toarray().tolist() == [[0, 1], [1, 0], [0, 1]]


def test_a_userless_log_reads_its_items(data: CausalDataset) -> None:
    log = dataclasses.replace(data.logged, user=None, num_users=0)
    userless = dataclasses.replace(data, logged=log, user_table=pl.DataFrame(), pair_features={})
    matrix = design_matrix(log, feature_matrix(userless, ("genre", "item"))).toarray()
    assert matrix.tolist() == [[1, 0, 0, 1], [1, 1, 1, 0], [1, 0, 0, 1]]
