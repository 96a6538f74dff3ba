"""The lists of test users: ties, gains, and what is refused."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import polars as pl
import pytest
import torch

from causalrec.catalogue.facts import CatalogueFacts
from causalrec.config.component import ComponentConfig
from causalrec.data.card import Column
from causalrec.errors import RequestError
from causalrec.evaluation.evaluator import Evaluator
from causalrec.evaluation.list_gains import list_gains
from causalrec.evaluation.list_updates import require_list_rows, require_lists
from causalrec.evaluation.slice.base import SliceData
from causalrec.evaluation.slice.by_column import ColumnSlice
from causalrec.evaluation.slice.catalogue import CatalogueData
from causalrec.evaluation.slice.full_ranking import FullRankingSlice
from causalrec.evaluation.slice.lists import ListsSlice
from causalrec.evaluation.slice.test import HeldOutSlice
from causalrec.evaluation.tie_breaks import best_items
from causalrec.metrics.base import AbstractMetric
from causalrec.metrics.list.catalogue_coverage import CatalogueCoverage
from causalrec.metrics.list.list_gain import ListGain
from causalrec.metrics.ndcg import NDCG
from causalrec.types import Floats
from tests.encoders import tiny_models
from tests.evaluation.slice_source import Source
from tests.evaluation.test_slices import dataset_of, random_splits

SPLITS = random_splits()
USERS, ITEMS = SPLITS.train.num_users, SPLITS.train.num_items
SOURCE = Source(dataset_of(users=USERS, items=ITEMS), SPLITS)
METRICS: dict[str, ComponentConfig[AbstractMetric]] = {
    "catalogue_coverage": ComponentConfig(CatalogueCoverage, {}),
    "list_gain": ComponentConfig(ListGain, {}),
    "ndcg": ComponentConfig(NDCG, {"k": 5}),
}


def score_of(rows: SliceData) -> Floats:
    return np.random.default_rng(0).random((USERS, ITEMS)).astype(np.float32)[rows.user, rows.item]


def test_without_ties_the_first_are_those_of_the_greatest_scores() -> None:
    score = torch.from_numpy(np.random.default_rng(1).normal(size=(30, 700)))
    value, item = best_items(torch.arange(30), score, 9)
    torch.testing.assert_close((value, item), tuple(score.topk(9)))


@pytest.mark.parametrize("items", [40, 1500])
def test_items_that_tie_come_in_one_random_order_whatever_the_length(items: int) -> None:
    score = torch.from_numpy(np.random.default_rng(2).integers(0, 4, (50, items)).astype(np.float32))
    score[:, ::5] = -torch.inf
    users = torch.arange(50)
    value, item = best_items(users, score, 20)
    assert torch.equal(value, score.topk(20).values) and torch.equal(value, score.gather(1, item))
    assert all(len(set(row)) == 20 for row in item.tolist())
    for some, count in ((users, 7), (users[10:30], 20)):
        torch.testing.assert_close(best_items(some, score[some], count)[1], item[some, :count])


def test_a_constant_shows_every_item_as_often_and_each_user_others() -> None:
    _, item = best_items(torch.arange(20_000), torch.zeros(20_000, 50), 3)
    for position in range(3):
        shown = torch.bincount(item[:, position], minlength=50).double()
        assert float(((shown - 400) ** 2 / 400).sum()) < 100  # chi-square of 49 degrees of freedom
    same = float((item[1:, 0] == item[:-1, 0]).double().mean())
    assert same == pytest.approx(1 / 50, abs=0.004)


def test_lists_and_whole_rankings_are_made_of_one_prediction() -> None:
    slices = [*FullRankingSlice().select(SOURCE), *ListsSlice(k=5).select(SOURCE)]
    together = Evaluator(METRICS, slices, 0.5)(score_of, "m")
    alone = [score for data in slices for score in Evaluator(METRICS, [data], 0.5)(score_of, "m")]
    assert [(score.metric, score.slice, score.value) for score in together] == [
        (score.metric, score.slice, score.value) for score in alone
    ]
    assert {score.metric for score in together} == {"ndcg", "catalogue_coverage", "list_gain"}


@pytest.mark.parametrize("memory", [0.01, 512])
def test_no_item_of_training_is_listed_and_gains_are_choices(memory: float) -> None:
    (data,) = ListsSlice(k=4).select(SOURCE)
    scores = {s.metric: s for s in Evaluator(METRICS, [data], 0.5, memory=memory)(score_of, "m")}
    matrix = np.random.default_rng(0).random((USERS, ITEMS)).astype(np.float32)
    for log in (SPLITS.train, SPLITS.validation):
        matrix[log.users, log.item] = -np.inf
    first = np.argsort(-matrix[data.users], axis=1)[:, :4]
    chosen = {*zip(SPLITS.test.users.tolist(), SPLITS.test.item.tolist(), strict=True)}
    hits = [np.mean([(user, item) in chosen for item in row]) for user, row in zip(data.users, first, strict=True)]
    assert scores["list_gain"].value == pytest.approx(np.mean(hits), abs=1e-6) and np.mean(hits) > 0
    assert scores["catalogue_coverage"].value == len(np.unique(first)) / ITEMS
    by_user = scores["list_gain"].by_user
    assert by_user is not None
    np.testing.assert_allclose(by_user[data.users], hits, atol=1e-6)
    assert (scores["list_gain"].n, scores["catalogue_coverage"].n) == (len(data.users), len(data.users))


def test_a_sample_of_test_rows_gives_gains_whose_mean_is_the_truth() -> None:
    """Of explicit outcomes, each test row counts over its probability, so that all items' gains sum to their mean."""
    source = dataclasses.replace(SOURCE, dataset=dataset_of("explicit", users=USERS, items=ITEMS))
    assert list_gains(source).gains is None and "test" in list_gains(source).words  # a split that is no random draw
    randomised = dataclasses.replace(SPLITS.test, propensity=np.full(len(SPLITS.test), 0.25, np.float32))
    splits = dataclasses.replace(SPLITS, test=randomised, test_is_randomised=True)
    dataset = dataclasses.replace(source.dataset, randomised=randomised)
    gains = list_gains(dataclasses.replace(source, splits=splits, dataset=dataset))
    assert gains.gains is not None and "over the probability" in gains.words
    user, item = SPLITS.test.users[:5], SPLITS.test.item[:5, None]
    assert set(np.unique(gains.gains(user, item))) <= {np.float32(0), np.float32(4)}
    assert (gains.gains(user, np.full((5, 1), -1)) == 0).all()


def test_a_log_without_users_or_of_one_item_has_no_lists() -> None:
    test = dataclasses.replace(SPLITS.test, user=None, num_users=0)
    assert list(ListsSlice().select(dataclasses.replace(SOURCE, splits=dataclasses.replace(SPLITS, test=test)))) == []
    with pytest.raises(RequestError, match=r"^metric=catalogue_coverage: .*toy has no users, or no items"):
        require_list_rows({"catalogue_coverage": ComponentConfig(CatalogueCoverage, {})}, [], "toy")


def test_a_metric_of_lists_wants_a_slice_of_lists() -> None:
    metrics: dict[str, ComponentConfig[AbstractMetric]] = {"catalogue_coverage": ComponentConfig(CatalogueCoverage, {})}
    nested = ComponentConfig(ColumnSlice, {"column": "x", "of": ComponentConfig(ListsSlice, {})})
    require_lists(metrics, {"lists": ComponentConfig(ListsSlice, {})})
    require_lists(metrics, {"by_column": nested})
    with pytest.raises(RequestError, match=r"^metric=catalogue_coverage: .* add '\+slice=\[lists\]'"):
        require_lists(metrics, {"test": ComponentConfig(HeldOutSlice, {})})


def test_gains_that_nothing_tells_leave_their_metrics_out() -> None:
    (data,) = ListsSlice().select(SOURCE)
    assert data.lists is not None
    silent = dataclasses.replace(data, lists=dataclasses.replace(data.lists, gains=None))
    assert [score.metric for score in Evaluator(METRICS, [silent], 0.5)(score_of, "m")] == ["catalogue_coverage"]


def test_a_slice_of_other_columns_has_another_identity() -> None:
    (data,) = ListsSlice().select(SOURCE)
    other = dataclasses.replace(SOURCE.dataset, item_table=SOURCE.dataset.item_table.with_columns(genre=1))  # type: ignore[arg-type]
    (changed,) = ListsSlice().select(dataclasses.replace(SOURCE, dataset=other))
    assert isinstance(data, CatalogueData) and data.identity != changed.identity


def test_a_text_is_compared_by_what_a_language_model_reads(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tiny_models, "LIMIT", 64)  # tokens, as many as are read
    card = dataclasses.replace(SOURCE.dataset.card, columns=(Column("title", "item", "text"),))
    titles = ["red coat", "red coat", "", *[f"a b c {k}" for k in range(ITEMS - 3)]]
    dataset = dataclasses.replace(SOURCE.dataset, card=card, item_table=pl.DataFrame({"title": titles}))
    space = CatalogueFacts(dataset, SPLITS.train, tmp_path / "cache").space(
        "title", tiny_models.write_bert(tmp_path / "tiny")
    )
    np.testing.assert_allclose(space[0] @ space[1], 1, atol=1e-6)
    assert not space[2].any() and abs(space[0] @ space[3]) < 0.9999
