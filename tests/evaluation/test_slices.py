"""Which rows a model is scored on: names of the test, and whole rankings where a log has positives alone."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Literal

import numpy as np
import polars as pl
import pytest
import yaml

from causalrec.config import leaf, package_folder
from causalrec.data.log import CausalDataset, DatasetCard, InteractionLog
from causalrec.data.splits import Splits
from causalrec.errors import DataError
from causalrec.evaluation.evaluator import Evaluator
from causalrec.evaluation.slices import PARTS, Slice, by_popularity, slices
from causalrec.metrics.base import AbstractMetric
from causalrec.types import Feedback, Floats

USERS, ITEMS = 5, 4
METRICS = {
    name: leaf(name, node, AbstractMetric)
    for file in sorted((package_folder("conf") / "metric").glob("*.yaml"))
    for name, node in yaml.safe_load(Path(file).read_text()).items()
}


def log_of(*pairs: tuple[int, int], users: int = USERS, items: int = ITEMS) -> InteractionLog:
    user, item = (np.array([pair[k] for pair in pairs], np.int64) for k in (0, 1))
    ones = np.ones(len(item), np.int64)
    return InteractionLog(item, ones, ones.astype(np.float32), items, user, users, name="test")


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


def test_each_test_user_meets_every_item_but_those_of_training_and_validation() -> None:
    (found,) = slices(dataset_of(), HAND)
    assert (found.name, found.kind, found.num_users) == ("full_ranking", "ranking", USERS)
    rows = dict(zip(zip(found.user.tolist(), found.item.tolist(), strict=True), found.label.tolist(), strict=True))
    assert len(rows) == len(found.user)
    assert rows == {
        **{(0, 2): 1.0, (0, 3): 0.0},
        **{(1, 0): 0.0, (1, 1): 0.0, (1, 2): 0.0},  # (1, 3) is a training row too
        **{(3, 0): 0.0, (3, 1): 1.0, (3, 2): 1.0, (3, 3): 0.0},
    }
    assert found.label.dtype == np.float32
    assert found.user.dtype == found.item.dtype == np.int64


def drawn_splits(users: int = 40, items: int = 30) -> Splits:
    rng = np.random.default_rng(1)
    codes = rng.choice(users * items, 300, replace=False)
    codes = codes[codes // items % 3 != 0]  # every third user has no row at all
    parts = [
        log_of(*zip(c // items, c % items, strict=True), users=users, items=items) for c in np.split(codes, [120, 150])
    ]
    return Splits(*parts, False, 0, 0)


def test_the_rows_are_those_that_loops_would_find() -> None:
    splits = drawn_splits()
    (found,) = slices(dataset_of(users=40, items=30), splits)
    known = {*splits.train.codes.tolist(), *splits.validation.codes.tolist()}
    assert splits.test.user is not None
    users, test = sorted(set(splits.test.user.tolist())), set(splits.test.codes.tolist())
    expected = [(u * 30 + i, float(u * 30 + i in test)) for u in users for i in range(30) if u * 30 + i not in known]
    assert list(zip((found.user * 30 + found.item).tolist(), found.label.tolist(), strict=True)) == expected
    assert found.label.sum() == len(splits.test)


@pytest.mark.parametrize("most", [1, 95, 120])
def test_too_many_pairs_make_a_seeded_sample_of_whole_users(most: int) -> None:
    splits, dataset = drawn_splits(), dataset_of(users=40, items=30)
    (whole,) = slices(dataset, splits)
    (found,) = slices(dataset, splits, most_pairs=most)
    kept = np.unique(found.user)
    assert len(kept) == max(1, most // 30) < len(np.unique(whole.user))
    rows = np.isin(whole.user, kept)
    for column in ("user", "item", "label"):
        np.testing.assert_array_equal(getattr(found, column), getattr(whole, column)[rows])
    assert found.num_users == 40
    (again,) = slices(dataset, splits, most_pairs=most)
    np.testing.assert_array_equal(again.user, found.user)


def test_the_sample_is_not_the_first_users() -> None:
    (found,) = slices(dataset_of(users=40, items=30), drawn_splits(), most_pairs=300)
    test = drawn_splits().test
    assert test.user is not None
    assert np.unique(found.user).tolist() != np.unique(test.user)[:10].tolist()


def test_only_rankings_are_scored_and_as_by_hand() -> None:
    (part,) = slices(dataset_of(), HAND)

    def prefers_late_items(shown: Slice) -> Floats:
        return shown.item.astype(np.float32)

    found = {s.metric: s for s in Evaluator(METRICS, [part], 1.0, replicates=20)(prefers_late_items, "model")}
    assert set(found) == {name for name, chosen in METRICS.items() if "ranking" in chosen.target.labels}
    assert {"ndcg@5", "recall@5"} <= set(found) and not {"auc", "mse", "bias"} & set(found)
    second, third = 1 / np.log2(3), 0.5
    by_user = [second, (second + third) / (1 + second)]  # user 0 ranks 3, 2; user 3 ranks 3, 2, 1, 0; user 1 has none
    assert found["ndcg@5"].value == pytest.approx(np.mean(by_user))
    assert found["ndcg_zero@5"].value == pytest.approx(np.sum(by_user) / 3)
    assert found["recall@5"].value == 1.0
    assert (found["ndcg@5"].slice, found["ndcg@5"].n) == ("full_ranking", 9)
    assert found["ndcg@5"].low <= found["ndcg@5"].value <= found["ndcg@5"].high


def test_positives_without_users_are_refused() -> None:
    test = dataclasses.replace(HAND.test, user=None, num_users=0)
    with pytest.raises(DataError, match=r"^test: positive-only rows without users"):
        slices(dataset_of(), dataclasses.replace(HAND, test=test))


@pytest.mark.parametrize("unbiased", ["randomised", "fully_observed"])
@pytest.mark.parametrize("apart", [True, False])
def test_the_test_is_named_by_what_makes_it_unbiased(
    unbiased: Literal["randomised", "fully_observed"], apart: bool
) -> None:
    splits = dataclasses.replace(HAND, test_is_randomised=apart)
    (found,) = slices(dataset_of("explicit", unbiased), splits)
    assert (found.name, found.kind) == (unbiased if apart else "logged", "binary")
    np.testing.assert_array_equal(found.item, HAND.test.item)


def counted(*counts: int) -> InteractionLog:
    """A log whose item k has counts[k] rows."""
    item = np.repeat(np.arange(len(counts)), counts)
    ones = np.ones(len(item), np.int64)
    return InteractionLog(item, ones, ones.astype(np.float32), len(counts), np.arange(len(item)), len(item))


def test_head_and_tail_hold_a_fifth_of_the_rows_each_and_cold_items_none() -> None:
    log = counted(1, 0, 20, 10, 1, 30, 18, 0, 20)  # 100 rows; by falling count: 5 2 8 6 3 0 4, then 1 7
    item = np.array([7, 5, 0, 3, 6, 2, 8, 4, 1, 5])
    found = by_popularity("logged", item, log)
    told = {name: item[rows].tolist() for name, rows in found.items()}
    # rows before each: 0 30 50 70 88 98 99; from 20 on the torso, from 80 on the tail
    assert told == {
        "logged_head": [5, 5],
        "logged_torso": [6, 2, 8],
        "logged_tail": [0, 3, 4],
        "logged_cold": [7, 1],
    }
    assert sorted(np.concatenate(list(found.values())).tolist()) == list(range(10))


def test_an_item_on_the_border_starts_the_next_part_and_empty_parts_are_left_out() -> None:
    found = by_popularity("x", np.arange(4), counted(2, 6, 1, 1))  # by count: 1 (0 before), 0 (6), 2 (8), 3 (9)
    assert {name: rows.tolist() for name, rows in found.items()} == {"x_head": [1], "x_torso": [0], "x_tail": [2, 3]}
    assert by_popularity("x", np.array([1, 1]), counted(2, 6, 1, 1)).keys() == {"x_head"}


def test_few_shot_items_are_judged_by_the_rows_the_shots_were_drawn_from() -> None:
    drawn = log_of((0, 1), (1, 1), (2, 1), (3, 1), (4, 1), (0, 2), (0, 3), (0, 0))
    splits = dataclasses.replace(HAND, train=log_of((0, 2)), drawn_from=drawn)
    (found,) = slices(dataset_of("explicit"), splits)
    told = {name: found.part(name).item.tolist() for name in found.parts}
    assert told == {"logged_head": [1], "logged_torso": [2, 2], "logged_tail": [3]}
    (alone,) = slices(dataset_of("explicit"), dataclasses.replace(splits, drawn_from=None))
    assert set(alone.parts) == {"logged_head", "logged_cold"}


def test_parts_are_scored_on_the_same_predictions_and_never_predicted_again() -> None:
    rng = np.random.default_rng(0)
    user, item = np.repeat(np.arange(30), 8), np.tile(np.arange(8), 30)
    label = rng.integers(2, size=240).astype(np.float32)
    log = counted(40, 30, 20, 10, 5, 3, 2, 0)
    whole = Slice("logged", "binary", user, item, label, 30, np.arange(240), by_popularity("logged", item, log))
    asked: list[str] = []

    def predict(part: Slice) -> Floats:
        asked.append(part.name)
        return np.random.default_rng(1).random(len(part.item)).astype(np.float32)

    scores = Evaluator(METRICS, [whole], 0.5, replicates=20)(predict, "model")
    assert asked == ["logged"]
    assert {s.slice for s in scores} == {"logged", *(f"logged_{part}" for part in PARTS)}
    prediction = predict(whole)
    for name, rows in whole.parts.items():
        part = whole.part(name)
        np.testing.assert_array_equal(part.item, item[rows])
        assert part.time is not None and part.time.tolist() == rows.tolist() and part.num_users == 30
        apart = Evaluator(METRICS, [part], 0.5, replicates=20)(lambda _, rows=rows: prediction[rows], "model")
        mine = [s for s in scores if s.slice == name]
        assert [(s.metric, s.n) for s in mine] == [(s.metric, s.n) for s in apart] and mine[0].n == len(rows)
        for ours, theirs in zip(mine, apart, strict=True):
            np.testing.assert_array_equal(ours.replicates, theirs.replicates)
            assert ours.value == theirs.value or np.isnan([ours.value, theirs.value]).all()
            assert ours.jackknife is None
    assert all(s.jackknife is not None for s in scores if s.slice == "logged")
