"""Splits of another domain: who is in the test, what is refused, and how far the test is from the training rows."""

from __future__ import annotations

from typing import Any

import numpy as np
import polars as pl
import pytest

from causalrec.data.card import Column, DatasetCard
from causalrec.data.dataset import CausalDataset
from causalrec.data.domain_distance import domain_distance
from causalrec.data.log import InteractionLog
from causalrec.data.split.base import AbstractSplit
from causalrec.data.split.feature_shift import FeatureShift
from causalrec.data.split.few_shot import FewShot
from causalrec.data.split.popularity_shift import PopularityShift
from causalrec.data.split.random import Random
from causalrec.data.split.splits import Splits
from causalrec.data.split.user_shift import UserShift
from causalrec.errors import DataError, RequestError

USERS, ITEMS, ROWS = 60, 40, 1_200


def dataset(*, randomised: bool = False) -> CausalDataset:
    """Likes of popular items; older users, and items of two genres or of a year."""
    rng = np.random.default_rng(0)
    popularity = np.arange(ITEMS) + 1.0
    codes = rng.choice(USERS * ITEMS, ROWS, replace=False, p=np.tile(popularity, USERS) / popularity.sum() / USERS)
    columns = (
        Column("user", "user", "id"),
        Column("item", "item", "id"),
        Column("age", "user", "numeric"),
        Column("job", "user", "category"),
        Column("genre", "item", "multi_hot"),
        Column("year", "item", "numeric"),
    )
    how = "at random" if randomised else None
    card = DatasetCard("toy", "", "", (), {}, columns, "click", "explicit", randomised=how)
    users = pl.DataFrame({"age": np.arange(USERS) + 10.0, "job": ["a", "b", "c"] * (USERS // 3)})
    genres = [["war"], ["war", "love"], ["love"], []] * (ITEMS // 4)
    items = pl.DataFrame({"genre": genres, "year": 1980.0 + np.arange(ITEMS)})
    test = log_of(np.arange(0, USERS * ITEMS, 7)) if randomised else None
    return CausalDataset(card, log_of(codes), users, items, randomised=test)


def log_of(codes: Any) -> InteractionLog:
    rng = np.random.default_rng(1)
    return InteractionLog(
        user=codes // ITEMS,
        item=codes % ITEMS,
        treatment=np.ones(len(codes), np.int64),
        outcome=rng.integers(2, size=len(codes)).astype(np.float32),
        num_users=USERS,
        num_items=ITEMS,
        name="toy",
    )


def logs_of(splits: Splits) -> tuple[InteractionLog, ...]:
    return splits.train, splits.validation, splits.test


@pytest.mark.parametrize("randomised", [False, True])
def test_a_group_of_items_is_the_test_and_is_in_no_other_split(randomised: bool) -> None:
    data = dataset(randomised=randomised)
    splits = FeatureShift(column="genre", levels=("love",), unseen="keep", duplicates="keep")(data)
    train, validation, test = (set(log.item % 4) for log in logs_of(splits))
    assert train == validation == {0, 3} and test == {1, 2}
    pool = data.randomised if randomised else data.logged
    assert pool is not None and len(splits.test) == np.isin(pool.item % 4, [1, 2]).sum()
    assert splits.train.pool is not None and splits.train.pool.num_pairs == USERS * ITEMS // 2


def test_bounds_of_a_number_are_a_band_whose_upper_end_is_open() -> None:
    splits = UserShift(column="age", at_least=20, below=30, unseen="keep")(dataset())
    ages = [log.users + 10 for log in logs_of(splits)]
    assert set(ages[2]) <= set(range(20, 30)) and not np.isin(np.concatenate(ages[:2]), range(20, 30)).any()


def test_few_rows_of_another_domain_are_those_of_its_training_side() -> None:
    base = FeatureShift(column="year", below=1990, unseen="keep")
    splits, every_row = FewShot(base=base, train_size=20)(dataset()), base(dataset())
    assert len(splits.train) == 20 and (splits.train.item >= 10).all()
    assert splits.test.codes.tolist() == every_row.test.codes.tolist()


def test_a_test_evenly_by_item_leaves_every_item_a_row_and_is_reproducible() -> None:
    data = dataset()
    splits = PopularityShift(test=0.2)(data)
    counts = np.bincount(splits.test.item, minlength=ITEMS)
    of_all = np.bincount(data.logged.item, minlength=ITEMS)
    assert len(splits.test) <= 240 and set(counts[of_all > counts.max()]) == {counts.max()}
    rare = (of_all <= counts.max()) & (of_all > 0)
    assert (counts[rare] == of_all[rare] - 1).all()
    assert splits.hashes == PopularityShift(test=0.2)(data).hashes != PopularityShift(test=0.2, seed=1)(data).hashes
    assert len(splits.train) + len(splits.validation) + len(splits.test) == ROWS


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda: FeatureShift(column="year"), r"split=feature_shift: a group is split\.levels=.*; name one"),
        (lambda: FeatureShift(column="genre", levels=("a",), below=3), "name one of these alone"),
        (lambda: UserShift(column="age", at_least=3, below=3), r"split\.at_least=3: is not below split\.below=3"),
    ],
)
def test_a_group_that_is_none_is_refused_when_it_is_written(make: Any, said: str) -> None:
    with pytest.raises(RequestError, match=said):
        make()


@pytest.mark.parametrize(
    ("split", "said"),
    [
        (FeatureShift(column="yaer", below=3), r"split\.column=yaer: toy has no .* of items .*; did you mean 'year'"),
        (FeatureShift(column="age", below=3), r"split\.column=age: toy has no .* of items"),
        (FeatureShift(column="genre", below=3), r"is of kind multi_hot; set split\.levels=\[NAME\]"),
        (UserShift(column="age", levels=("3",)), r"is of kind numeric; set split\.at_least=X or split\.below=Y"),
        (
            FeatureShift(column="genre", levels=("wra",)),
            r"split\.levels=wra: genre has no such level; did you mean 'war'",
        ),
    ],
)
def test_a_group_that_the_data_do_not_have_is_named_with_the_nearest(split: AbstractSplit, said: str) -> None:
    with pytest.raises(RequestError, match=said):
        split(dataset())


def test_an_empty_side_says_which() -> None:
    with pytest.raises(DataError, match=r"the test side is empty: no row is inside the group 99 <= age"):
        UserShift(column="age", at_least=99)(dataset())
    with pytest.raises(DataError, match=r"the training side is empty: no row is outside the group age < 99"):
        UserShift(column="age", below=99)(dataset())
    with pytest.raises(RequestError, match=r"split=popularity_shift: the test of toy is randomised"):
        PopularityShift().check(dataset(randomised=True).card)


def test_the_distance_is_none_of_a_random_split_and_large_of_each_shift() -> None:
    data = dataset()
    at_random = [Random(test=0.3, seed=seed)(data) for seed in range(5)]
    assert 0.46 < np.mean([domain_distance(data, each.train, each.test).auc for each in at_random]) < 0.54
    apart = {}
    for name, split in {
        "popularity": PopularityShift(test=0.3),
        "feature": FeatureShift(column="genre", levels=("war",), unseen="keep"),
        "user": UserShift(column="age", at_least=40, unseen="keep"),
    }.items():
        splits = split(data)
        apart[name] = domain_distance(data, splits.train, splits.test)
    assert min(apart[name].low for name in ("feature", "user")) > 0.95 and apart["popularity"].auc > 0.56


def test_the_column_of_a_group_is_left_out_of_what_is_said_beside_the_number() -> None:
    data = dataset()
    split = UserShift(column="job", levels=("a",), unseen="keep")
    (note,) = split.footnotes(data, split(data))
    assert note.startswith("test of another domain (job=a); validation rows are of the training domain; distance, wit")
    every, without = (domain_distance(data, split(data).train, split(data).test, name) for name in (None, "job"))
    assert every.auc > 0.95 > 0.8 > without.auc
