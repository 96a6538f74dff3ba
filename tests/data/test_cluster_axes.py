"""Along which axes rows of an effect depend: chosen by the data, or asked for and judged before work starts."""

from __future__ import annotations

import dataclasses
import re
from typing import Any

import numpy as np
import polars as pl
import pytest

from causalrec.config.compose import compose_all, normalise_overrides
from causalrec.config.run_config import Evaluation
from causalrec.data.card import Column
from causalrec.data.clusters import check_clusters, cluster_axes, cluster_ids, treatment_differs
from causalrec.data.dataset import CausalDataset
from causalrec.data.log import InteractionLog
from causalrec.errors import RequestError
from causalrec.running.prepare import plan_run
from tests.data.test_units_of_assignment import (
    BY_USER,
    CARD,
    HOUSE,
    ITEMS,
    USER,
    USERS,
    assign_arms,
    dataset_of,
    log_of,
)

ITEM = np.random.default_rng(5).integers(ITEMS, size=len(USER))
BY_ROW = log_of(assign_arms(len(USER)), item=ITEM)
FAVOURED = (np.random.default_rng(6).random(len(USER)) < np.where(ITEM < 4, 0.9, 0.4)).astype(np.int64)


def people(rows: int = 50) -> CausalDataset:
    """One row a user and one item, as in an experiment."""
    log = InteractionLog(
        item=np.zeros(rows, np.int64),
        treatment=np.arange(rows) % 2,
        outcome=np.zeros(rows, np.float32),
        num_items=1,
        user=np.arange(rows),
        num_users=rows,
    )
    users = pl.DataFrame({"user": range(rows), "house": ["h"] * rows})
    return CausalDataset(
        CARD, dataclasses.replace(log, columns={"shop": np.arange(rows)}), users, pl.DataFrame({"i": [0]})
    )


@pytest.mark.parametrize(
    ("log", "level", "axes"),
    [
        (BY_ROW, "row", ("user",)),
        (log_of(FAVOURED, item=ITEM), "row", ("user", "item")),
        (BY_USER, "user", ("user",)),
        (log_of(assign_arms(USERS // 3)[HOUSE]), "house", ("house",)),
        (log_of(assign_arms(ITEMS)[ITEM], item=ITEM), "item", ("item", "user")),
        (dataclasses.replace(log_of(FAVOURED, item=ITEM), user=None), "row", ("item",)),
    ],
)
def test_auto_takes_the_unit_then_users_of_several_rows_then_items_that_treatment_prefers(
    log: InteractionLog, level: str, axes: tuple[str, ...]
) -> None:
    assert cluster_axes(dataset_of(log), log, "auto", level) == axes


def test_people_are_rows_by_themselves_and_exposure_has_no_axes() -> None:
    data = people()
    assert cluster_axes(data, data.logged, "auto", "row") == ("row",)
    exposed = dataclasses.replace(BY_ROW, treatment=np.ones(len(USER), np.int64))
    assert cluster_axes(dataset_of(exposed), exposed, "auto", "row") == ("row",)


@pytest.mark.parametrize(
    ("requested", "axes"),
    [
        (("user",), ("user",)),
        (("item",), ("item", "user")),
        (("house",), ("house",)),
        (("shop", "item"), ("shop", "item")),
    ],
)
def test_a_request_is_completed_by_the_unit_unless_an_axis_holds_it(
    requested: tuple[str, ...], axes: tuple[str, ...]
) -> None:
    assert cluster_axes(dataset_of(BY_USER), BY_USER, requested, "user") == axes


@pytest.mark.parametrize(
    ("requested", "message"),
    [
        (("item", "hour"), "evaluation.cluster=[item,hour]: treatment is constant within a user, whose rows must be"),
        (("same",), "evaluation.cluster: same has one value in 360 rows, and makes no clusters; leave it out"),
        (("row_id",), "evaluation.cluster: row_id has another value in each row, so that no two are together; leave"),
        (("price",), "evaluation.cluster: price holds numbers that are not whole, and makes no clusters; leave it out"),
    ],
)
def test_columns_that_make_no_clusters_are_refused_in_one_line(requested: tuple[str, ...], message: str) -> None:
    rows = np.arange(len(USER))
    further = {"hour": rows % 24, "same": np.zeros(len(USER)), "row_id": rows.astype(str), "price": rows / 3}
    log = dataclasses.replace(BY_USER, columns={**BY_USER.columns, **further})
    kinds = {name: Column(name, "row", "category" if name == "row_id" else "numeric") for name in further}
    data = dataset_of(log, columns=(*CARD.columns, *kinds.values()))
    with pytest.raises(RequestError) as caught:
        cluster_axes(data, log, requested, "user")
    assert str(caught.value).startswith(message) and "\n" not in str(caught.value)


def test_one_item_makes_no_clusters() -> None:
    data = people()
    with pytest.raises(RequestError, match=r"^evaluation\.cluster: item has one value in 50 rows"):
        cluster_axes(data, data.logged, ("item",), "row")
    assert cluster_axes(data, data.logged, ("user",), "row") == ("user",), "each its own, and no harm"


def test_clusters_are_read_of_users_items_and_rows() -> None:
    data = dataset_of(BY_USER)
    for axis, like in (("user", USER), ("house", HOUSE), ("shop", HOUSE), ("item", BY_USER.item)):
        ids = cluster_ids(data, BY_USER, axis)
        assert ids.dtype == np.int64 and ids.min() >= 0
        assert len(np.unique(ids * 1000 + like)) == len(np.unique(ids)) == len(np.unique(like))
        taken = BY_USER.take(np.arange(100, 200))
        np.testing.assert_array_equal(cluster_ids(data, taken, axis), ids[100:200])
    np.testing.assert_array_equal(cluster_ids(data, BY_USER, "row"), np.arange(len(USER)))
    missing = dataclasses.replace(data, user_table=data.user_table.with_columns(house=pl.lit(None, pl.String)))
    assert len(np.unique(cluster_ids(missing, BY_USER, "house"))) == 1


@pytest.mark.parametrize(
    ("requested", "message"),
    [
        (("hause",), "evaluation.cluster: toy has no column 'hause'; did you mean 'house'"),
        (("title",), "evaluation.cluster: 'title' is a text column, which names no clusters of rows; give a category,"),
        (("genres",), "evaluation.cluster: 'genres' is a multi_hot column, which names no clusters of rows"),
        (("trust",), "evaluation.cluster: 'trust' is a pair column, which names no clusters of rows"),
        (("row",), "evaluation.cluster: toy has no column 'row'"),
    ],
)
def test_names_are_judged_by_the_card(requested: tuple[str, ...], message: str) -> None:
    further = (
        Column("title", "item", "text"),
        Column("genres", "item", "multi_hot"),
        Column("trust", "pair", "numeric"),
    )
    card = dataclasses.replace(CARD, columns=(*CARD.columns, *further))
    with pytest.raises(RequestError, match=re.escape(message)):
        check_clusters(card, requested)
    check_clusters(card, "auto")
    check_clusters(card, ("user", "shop"))
    userless = dataclasses.replace(card, columns=card.columns[1:2])
    with pytest.raises(RequestError, match="toy has no users; known: item"):
        check_clusters(userless, ("user",))


SECTION: dict[str, Any] = {"replicates": 20, "seed": 0, "level": 0.95}


def test_the_setting_is_auto_or_one_or_two_names_and_a_name_alone_is_a_list() -> None:
    assert Evaluation(**SECTION).cluster == "auto" == Evaluation(**SECTION, cluster="auto").cluster
    assert Evaluation(**SECTION, cluster="user").cluster == ("user",)
    chosen = Evaluation(**SECTION, cluster=["user", "house"])
    assert chosen.cluster == ("user", "house") and chosen.cluster_columns == ("house",)


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("evaluation.cluster=[user,item,x0]", "evaluation.cluster=['user', 'item', 'x0']: input should be 'auto' or a"),
        ("evaluation.cluster=[]", "evaluation.cluster=[]: input should be 'auto' or a list of one or two different"),
        ("evaluation.cluster=[user,user]", "evaluation.cluster=['user', 'user']: input should be 'auto' or a list of"),
        ("evaluation.cluster=null", "evaluation.cluster=None: input should be 'auto' or a list of one or two"),
        ("evaluation.cluster=[x9]", "evaluation.cluster: effect_simulation has no column 'x9'; did you mean"),
    ],
)
def test_a_request_of_a_wrong_form_or_name_is_refused_before_a_file_is_read(override: str, message: str) -> None:
    with pytest.raises(RequestError) as caught:
        plan_run(compose_all([normalise_overrides(["task=effect", override])])[0])
    assert str(caught.value).startswith(message) and "\n" not in str(caught.value)


def test_where_no_effect_is_asked_for_nothing_is_clustered_and_a_request_says_so() -> None:
    with pytest.raises(
        RequestError, match=r"^evaluation\.cluster: clusters intervals of effects, and task=exposed_mean"
    ):
        plan_run(compose_all([normalise_overrides(["dataset=coat", "evaluation.cluster=[user]"])])[0])


def test_a_run_that_does_not_set_it_has_the_key_it_had_before() -> None:
    auto, same, other = (
        compose_all([normalise_overrides(["task=effect", *chosen])])[0]
        for chosen in ([], ["evaluation.cluster=auto"], ["evaluation.cluster=[user]"])
    )
    assert auto.key == same.key != other.key


@pytest.mark.parametrize(("count", "rows", "share"), [(200, 3, 0.5), (20, 40, 0.5), (300, 40, 0.03)])
def test_items_of_one_rate_seldom_pass_for_different_and_others_do(count: int, rows: int, share: float) -> None:
    rng, ids = np.random.default_rng(0), np.repeat(np.arange(count), rows)
    alike = [treatment_differs((rng.random(len(ids)) < share).astype(np.int64), ids) for _ in range(200)]
    assert np.mean(alike) <= 0.03
    rate = np.clip(share * rng.choice([0.2, 1.8], count), 0, 1)
    apart = [treatment_differs((rng.random(len(ids)) < rate[ids]).astype(np.int64), ids) for _ in range(20)]
    assert np.mean(apart) >= 0.9
