"""Rankings within the values of a column of items, in a log without users."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any, cast

import numpy as np
import polars as pl
import pytest

from causalrec.config.component import ComponentConfig
from causalrec.data.card import Column
from causalrec.data.log import InteractionLog
from causalrec.errors import RequestError
from causalrec.evaluation.evaluator import Evaluator
from causalrec.evaluation.slice.base import SliceData, SliceSource
from causalrec.evaluation.slice.within_column import WithinColumnSlice
from causalrec.metrics.ndcg import NDCG
from causalrec.sweeps.pair_costs import _some_pairs
from causalrec.types import Floats

PAGES = ["a", "a", "b", "b", "b", "c", "d", "d"]
RATES = np.array([0.1, 0.4, 0.2, 0.5, 0.1, 0.9, 0.3, 0.6], np.float32)


def source() -> SliceSource:
    """Items 0 to 7 of four pages, one row each."""
    item = np.arange(8)
    log = InteractionLog(item=item, treatment=np.ones(8, np.int64), outcome=RATES, num_items=8)
    card = SimpleNamespace(
        columns=(Column("page", "item", "category"), Column("age", "user", "numeric")),
        outcome="reward",
        unbiased="test",
    )
    dataset = SimpleNamespace(card=card, item_table=pl.DataFrame({"page": PAGES}))
    return cast(
        SliceSource, SimpleNamespace(dataset=dataset, splits=SimpleNamespace(test=log, test_is_randomised=True))
    )


def test_the_rate_of_the_first_over_that_of_the_best_of_its_group() -> None:
    (data,) = WithinColumnSlice(column="page").select(source())
    assert data.name == "test_within_page" and data.num_users == 3 and len(data) == 7, "c has one row"
    scores = np.array([1, 0, 0, 1, 2, 5, 0, 1], np.float32)  # a: .1 of .4, b: .1 of .5, d: .6 of .6

    def predict(rows: Any) -> Floats:
        assert isinstance(rows, SliceData) and not rows.num_users and (rows.user == 0).all()
        return scores[rows.item]

    metric = {"ndcg@1": ComponentConfig(NDCG, {"k": 1, "empty": "skip"})}
    evaluator = Evaluator(cast(Any, metric), [data], 0.5, replicates=20, seed=0, level=0.95)
    (score,) = evaluator(predict, "m")
    assert score.value == pytest.approx((0.1 / 0.4 + 0.1 / 0.5 + 1) / 3)


def test_a_dry_run_times_pairs_as_they_are_predicted() -> None:
    (data,) = WithinColumnSlice(column="page").select(source())
    assert set(data.user.tolist()) == {0, 1, 2}, "groups, which no model knows"
    users, items, _ = _some_pairs([data], 8)
    assert (users == 0).all() and set(items.tolist()) == set(data.item.tolist())


def test_groups_are_drawn_whole_and_wrong_requests_are_refused() -> None:
    (data,) = WithinColumnSlice(column="page", groups=2).select(source())
    pages = [PAGES[k] for k in data.item]
    assert len(set(pages)) == 2 and all(pages.count(page) == PAGES.count(page) for page in set(pages))
    (again,) = WithinColumnSlice(column="page", groups=2).select(source())
    assert np.array_equal(again.item, data.item)
    for wrong, reason in (
        (WithinColumnSlice(column="page", groups=4), "column=page: 3 of its values"),
        (WithinColumnSlice(column="age"), "column=age: no column of items"),
        (WithinColumnSlice(column="pgae"), "column=pgae: no column of items"),
    ):
        with pytest.raises(RequestError, match=reason):
            list(wrong.select(source()))
