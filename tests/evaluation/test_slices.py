"""Which rows a model is scored on: names of the test, and whole rankings where a log has positives alone."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Literal

import numpy as np
import polars as pl
import pytest
import yaml

from causalrec.config.component import validate_component
from causalrec.config.compose import package_folder
from causalrec.data.card import DatasetCard
from causalrec.data.dataset import CausalDataset
from causalrec.data.log import InteractionLog
from causalrec.data.popularity import LEVELS, popularity_levels
from causalrec.data.split.splits import Splits
from causalrec.errors import DataError, RequestError
from causalrec.evaluation.evaluator import Evaluator
from causalrec.evaluation.slice.base import (
    EFFECT_KINDS,
    OUTCOME_KINDS,
    AbstractSlice,
    AnySliceData,
    SliceData,
    select_all,
)
from causalrec.evaluation.slice.catalogue import CatalogueData
from causalrec.evaluation.slice.popularity import PopularitySlice, popularity_rows
from causalrec.evaluation.slice.test import HeldOutSlice
from causalrec.metrics.base import AbstractMetric
from causalrec.types import Feedback, Floats
from tests.evaluation.slice_source import Source

USERS, ITEMS = 5, 4
METRICS = {
    name: validate_component(name, node, AbstractMetric)
    for file in sorted((package_folder("conf") / "metric").glob("*.yaml"))
    for name, node in yaml.safe_load(Path(file).read_text()).items()
}


def log_of(*pairs: tuple[int, int], users: int = USERS, items: int = ITEMS) -> InteractionLog:
    user, item = (np.array([pair[k] for pair in pairs], np.int64) for k in (0, 1))
    treatment = np.ones(len(item), np.int64)
    return InteractionLog(item, treatment, treatment.astype(np.float32), items, user, users, name="test")


def dataset_of(
    feedback: Feedback = "positive_only",
    unbiased: Literal["randomised", "fully_observed"] = "randomised",
    users: int = USERS,
    items: int = ITEMS,
) -> CausalDataset:
    card = DatasetCard("toy", "test", "none", (), {}, (), "click", feedback, unbiased=unbiased)
    tables = [pl.DataFrame({"id": np.arange(count)}) for count in (users, items)]
    return CausalDataset(card, log_of((0, 0), users=users, items=items), tables[0], tables[1])


HAND = Splits(
    train=log_of((0, 0), (1, 3), (2, 1)),
    validation=log_of((0, 1), (1, 3), (4, 0)),
    test=log_of((0, 2), (3, 1), (3, 2), (1, 3)),
    test_is_randomised=False,
    duplicates=0,
    unseen=0,
)


DEFAULTS: dict[str, AbstractSlice] = {
    name: validate_component(
        name, yaml.safe_load((package_folder("conf") / "slice" / f"{name}.yaml").read_text())[name]
    ).build()
    for name in ("test", "popularity", "all_pairs", "full_ranking")
}


def select(dataset: CausalDataset, splits: Splits) -> list[AnySliceData]:
    """What the default slices yield, in order."""
    return [data for chosen in select_all(DEFAULTS, Source(dataset, splits), OUTCOME_KINDS).values() for data in chosen]


def ranking_of(dataset: CausalDataset, splits: Splits) -> CatalogueData:
    """The full ranking among the default slices."""
    (ranking,) = [data for data in select(dataset, splits) if data.name == "full_ranking"]
    assert isinstance(ranking, CatalogueData)
    return ranking


def flat(data: CatalogueData) -> SliceData:
    """All candidates of a ranking as rows, as they were scored before there were blocks."""
    assert data.positives is not None and data.excluded is not None
    table = np.zeros((2, data.num_users, data.num_items), bool)
    for layer, lists in zip(table, (data.excluded, data.positives), strict=True):
        layer[lists.of_users(np.arange(data.num_users))] = True
    position, item = np.nonzero(~table[0][data.users])
    user = data.users[position]
    return SliceData(
        name=data.name,
        kind="ranking",
        user=user,
        item=item,
        label=table[1][user, item].astype(np.float32),
        num_users=data.num_users,
        jackknife=True,
    )


def test_each_test_user_meets_every_item_but_those_of_training_and_validation() -> None:
    ranking = ranking_of(dataset_of(), HAND)
    assert (ranking.name, ranking.kind, ranking.num_users) == ("full_ranking", "ranking", USERS)
    data = flat(ranking)
    rows = dict(zip(zip(data.user.tolist(), data.item.tolist(), strict=True), data.label.tolist(), strict=True))
    assert len(rows) == len(ranking)
    assert rows == {
        **{(0, 2): 1.0, (0, 3): 0.0},
        **{(1, 0): 0.0, (1, 1): 0.0, (1, 2): 0.0},  # (1, 3) is a training row too
        **{(3, 0): 0.0, (3, 1): 1.0, (3, 2): 1.0, (3, 3): 0.0},
    }


def random_splits(users: int = 40, items: int = 30) -> Splits:
    rng = np.random.default_rng(1)
    codes = rng.choice(users * items, 300, replace=False)
    codes = codes[codes // items % 3 != 0]  # every third user has no row at all
    logs = [
        log_of(*zip(c // items, c % items, strict=True), users=users, items=items) for c in np.split(codes, [120, 150])
    ]
    return Splits(train=logs[0], validation=logs[1], test=logs[2], test_is_randomised=False, duplicates=0, unseen=0)


def test_the_rows_are_those_that_loops_would_find() -> None:
    splits = random_splits()
    ranking = flat(ranking_of(dataset_of(users=40, items=30), splits))
    earlier_codes = {*splits.train.codes.tolist(), *splits.validation.codes.tolist()}
    assert splits.test.user is not None
    users, test = sorted(set(splits.test.user.tolist())), set(splits.test.codes.tolist())
    expected = [
        (u * 30 + i, float(u * 30 + i in test)) for u in users for i in range(30) if u * 30 + i not in earlier_codes
    ]
    assert list(zip((ranking.user * 30 + ranking.item).tolist(), ranking.label.tolist(), strict=True)) == expected
    assert ranking.label.sum() == len(splits.test)


def test_positives_of_each_popularity_are_ranked_among_all_items() -> None:
    splits = random_splits()
    by_name = {data.name: data for data in select(dataset_of(users=40, items=30), splits)}
    ranking = by_name.pop("full_ranking")
    assert set(by_name) <= {f"full_ranking_{level}" for level in LEVELS} and len(by_name) > 2
    assert sum(len(of_level) for of_level in by_name.values()) == len(splits.test)
    for name, of_level in by_name.items():
        assert isinstance(of_level, CatalogueData) and of_level.subset_of is not None and of_level.positives is not None
        np.testing.assert_array_equal(of_level.users, ranking.users)  # type: ignore[union-attr]
        level = LEVELS.index(name.rpartition("_")[2])
        assert set(popularity_levels(splits.train, (0.2, 0.8))[of_level.positives.item]) == {level}


def test_only_rankings_are_scored_and_as_by_hand() -> None:
    ranking = ranking_of(dataset_of(), HAND)

    def prefers_late_items(shown: SliceData) -> Floats:
        return shown.item.astype(np.float32)

    scores = {s.metric: s for s in Evaluator(METRICS, [ranking], 1.0, replicates=20)(prefers_late_items, "model")}
    assert set(scores) == {name for name, chosen in METRICS.items() if "ranking" in chosen.target.labels}
    assert {"ndcg@5", "recall@5"} <= set(scores) and not {"auc", "mse", "bias"} & set(scores)
    second, third = 1 / np.log2(3), 0.5
    by_user = [second, (second + third) / (1 + second)]  # user 0 ranks 3, 2; user 3 ranks 3, 2, 1, 0; user 1 has none
    assert scores["ndcg@5"].value == pytest.approx(np.mean(by_user))
    assert scores["ndcg_zero@5"].value == pytest.approx(np.sum(by_user) / 3)
    assert scores["recall@5"].value == 1.0
    assert (scores["ndcg@5"].slice, scores["ndcg@5"].n) == ("full_ranking", 9)
    assert scores["ndcg@5"].low <= scores["ndcg@5"].value <= scores["ndcg@5"].high


def test_positives_without_users_are_refused() -> None:
    test = dataclasses.replace(HAND.test, user=None, num_users=0)
    with pytest.raises(DataError, match=r"^test: positive-only rows without users"):
        select(dataset_of(), dataclasses.replace(HAND, test=test))


@pytest.mark.parametrize("unbiased", ["randomised", "fully_observed"])
@pytest.mark.parametrize("apart", [True, False])
def test_the_test_is_named_by_what_makes_it_unbiased(
    unbiased: Literal["randomised", "fully_observed"], apart: bool
) -> None:
    splits = dataclasses.replace(HAND, test_is_randomised=apart)
    test_slice = select(dataset_of("explicit", unbiased), splits)[0]
    assert (test_slice.name, test_slice.kind) == (unbiased if apart else "logged", "binary")
    assert isinstance(test_slice, SliceData)
    np.testing.assert_array_equal(test_slice.item, HAND.test.item)


def log_with_counts(*counts: int) -> InteractionLog:
    """A log whose item k has counts[k] rows."""
    item = np.repeat(np.arange(len(counts)), counts)
    treatment = np.ones(len(item), np.int64)
    return InteractionLog(item, treatment, treatment.astype(np.float32), len(counts), np.arange(len(item)), len(item))


def test_head_and_tail_hold_a_fifth_of_the_rows_each_and_cold_items_none() -> None:
    log = log_with_counts(1, 0, 20, 10, 1, 30, 18, 0, 20)  # 100 rows; by falling count: 5 2 8 6 3 0 4, then 1 7
    item = np.array([7, 5, 0, 3, 6, 2, 8, 4, 1, 5])
    rows_by_level = popularity_rows(item, log)
    items_by_level = {name: item[rows].tolist() for name, rows in rows_by_level.items()}
    # rows before each: 0 30 50 70 88 98 99; from 20 on the torso, from 80 on the tail
    assert items_by_level == {
        "head": [5, 5],
        "torso": [6, 2, 8],
        "tail": [0, 3, 4],
        "cold": [7, 1],
    }
    assert sorted(np.concatenate(list(rows_by_level.values())).tolist()) == list(range(10))


def test_an_item_on_the_border_starts_the_next_part_and_empty_parts_are_left_out() -> None:
    rows_by_level = popularity_rows(
        np.arange(4), log_with_counts(2, 6, 1, 1)
    )  # by count: 1 (0 before), 0 (6), 2 (8), 3 (9)
    assert {name: rows.tolist() for name, rows in rows_by_level.items()} == {"head": [1], "torso": [0], "tail": [2, 3]}
    assert popularity_rows(np.array([1, 1]), log_with_counts(2, 6, 1, 1)).keys() == {"head"}


def test_few_shot_items_are_judged_by_the_rows_the_shots_were_drawn_from() -> None:
    larger_train = log_of((0, 1), (1, 1), (2, 1), (3, 1), (4, 1), (0, 2), (0, 3), (0, 0))
    splits = dataclasses.replace(HAND, train=log_of((0, 2)), drawn_from=larger_train)
    test, *subsets = select(dataset_of("explicit"), splits)
    items_by_slice = {data.name: data.item.tolist() for data in subsets}
    assert items_by_slice == {"logged_head": [1], "logged_torso": [2, 2], "logged_tail": [3]}
    assert all(data.subset_of is not None and data.subset_of.rows_key == test.rows_key for data in subsets)
    _, *subsets = select(dataset_of("explicit"), dataclasses.replace(splits, drawn_from=None))
    assert [data.name for data in subsets] == ["logged_head", "logged_cold"]


def test_the_borders_are_settings_and_must_be_in_order() -> None:
    splits = dataclasses.replace(HAND, train=log_with_counts(4, 3, 2, 1))
    source = Source(dataset_of("explicit"), splits)
    halves = PopularitySlice(borders=(0.5, 0.5)).select(source)
    # rows before each item: 0, 4, 7, 9 of 10; the border is at 5
    assert {data.name: sorted(data.item.tolist()) for data in halves} == {"logged_head": [1], "logged_tail": [2, 2, 3]}
    with pytest.raises(RequestError, match="the head ends before the tail begins"):
        PopularitySlice(borders=(0.9, 0.1))


def test_subsets_are_scored_on_the_same_predictions_and_never_predicted_again() -> None:
    rng = np.random.default_rng(0)
    user, item = np.repeat(np.arange(30), 8), np.tile(np.arange(8), 30)
    label = rng.integers(2, size=240).astype(np.float32)
    log = log_with_counts(40, 30, 20, 10, 5, 3, 2, 0)
    test = SliceData(
        name="logged",
        kind="binary",
        user=user,
        item=item,
        label=label,
        num_users=30,
        time=np.arange(240),
        jackknife=True,
    )
    again = dataclasses.replace(test)  # the same rows by another component
    subsets = [again.subset(f"logged_{level}", rows) for level, rows in popularity_rows(item, log).items()]
    predicted_slices: list[str] = []

    def predict(data: SliceData) -> Floats:
        predicted_slices.append(data.name)
        return np.random.default_rng(1).random(len(data)).astype(np.float32)

    scores = Evaluator(METRICS, [test, *subsets], 0.5, replicates=20)(predict, "model")
    assert predicted_slices == ["logged"]
    assert list(dict.fromkeys(s.slice for s in scores)) == ["logged", *(f"logged_{level}" for level in LEVELS)]
    prediction = predict(test)
    for data in subsets:
        rows = data.rows
        assert rows is not None and data.time is not None and data.time.tolist() == rows.tolist()
        np.testing.assert_array_equal(data.item, item[rows])
        alone = dataclasses.replace(data, subset_of=None)
        apart = Evaluator(METRICS, [alone], 0.5, replicates=20)(lambda _, rows=rows: prediction[rows], "model")
        mine = [s for s in scores if s.slice == data.name]
        assert [(s.metric, s.n) for s in mine] == [(s.metric, s.n) for s in apart] and mine[0].n == len(rows)
        for ours, theirs in zip(mine, apart, strict=True):
            np.testing.assert_array_equal(ours.replicates, theirs.replicates)
            assert ours.value == theirs.value or np.isnan([ours.value, theirs.value]).all()
            assert ours.jackknife is None
    assert all(s.jackknife is not None for s in scores if s.slice == "logged")


def test_other_rows_of_the_same_name_are_predicted_apart() -> None:
    item = np.arange(4)
    first, second = (
        SliceData(name="logged", kind="graded", user=user, item=item, label=np.ones(4, np.float32), num_users=4)
        for user in (np.zeros(4, np.int64), np.arange(4))
    )
    predicted_users: list[list[int]] = []

    def predict(data: SliceData) -> Floats:
        predicted_users.append(data.user.tolist())
        return data.user.astype(np.float32)

    Evaluator({"mse": METRICS["mse"]}, [first, second], 0.5, replicates=5)(predict, "model")
    assert predicted_users == [[0, 0, 0, 0], [0, 1, 2, 3]]


def test_labels_of_another_task_and_two_slices_of_one_name_are_refused() -> None:
    source = Source(dataset_of("explicit"), HAND)
    with pytest.raises(RequestError, match=r"^slice=test: yields rows judged by binary, but this run predicts what is"):
        select_all({"test": HeldOutSlice()}, source, EFFECT_KINDS)
    with pytest.raises(RequestError, match=r"^slice=again: yields 'logged', and so does slice=test; leave one out"):
        select_all({"test": HeldOutSlice(), "again": HeldOutSlice()}, source, OUTCOME_KINDS)
