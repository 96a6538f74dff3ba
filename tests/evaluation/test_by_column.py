"""Slices by a column: the rows of each level, by hand, and what has no levels."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
import polars as pl
import pytest

from causalrec.data.card import Column, DatasetCard
from causalrec.data.dataset import CausalDataset
from causalrec.data.log import InteractionLog
from causalrec.data.split.splits import Splits
from causalrec.errors import RequestError
from causalrec.evaluation.slice.base import SliceData
from causalrec.evaluation.slice.by_column import ColumnSlice, number_levels
from causalrec.evaluation.slice.catalogue import CatalogueData
from causalrec.evaluation.slice.full_ranking import FullRankingSlice
from causalrec.evaluation.slice.test import HeldOutSlice
from causalrec.types import Feedback
from tests.evaluation.slice_source import Source

USERS = pl.DataFrame(
    {
        "user": np.arange(5),
        "gender": ["F", "M", "F", None, "x y|z"],
        "age": [10.0, 20.0, 30.0, 40.0, 50.0],
        "member": [0.0, 1.0, 0.0, 1.0, float("nan")],
    }
)
ITEMS = pl.DataFrame({"item": np.arange(3), "genres": [["a", "b"], ["b"], []], "title": ["p", "q", "r"]})
COLUMNS = (
    Column("user", "user", "id"),
    Column("gender", "user", "category"),
    Column("age", "user", "numeric"),
    Column("member", "user", "numeric"),
    Column("genres", "item", "multi_hot"),
    Column("title", "item", "text"),
    Column("shown", "pair", "numeric"),
)


def log_of(*pairs: tuple[int, int]) -> InteractionLog:
    user, item = (np.array([pair[k] for pair in pairs], np.int64) for k in (0, 1))
    outcome = (user % 2).astype(np.float32)
    return InteractionLog(item, np.ones(len(item), np.int64), outcome, 3, user, 5, name="test")


def splits(train: InteractionLog, validation: InteractionLog, test: InteractionLog) -> Splits:
    return Splits(train=train, validation=validation, test=test, test_is_randomised=True, duplicates=0, unseen=0)


def source_of(feedback: Feedback = "explicit") -> Source:
    card = DatasetCard("toy", "test", "none", (), {}, COLUMNS, "click", feedback)
    train, test = log_of((0, 0), (1, 1)), log_of((0, 1), (1, 0), (2, 2), (3, 0), (4, 1), (0, 2))
    if feedback == "positive_only":
        train, test = (dataclasses.replace(log, outcome=np.ones(len(log), np.float32)) for log in (train, test))
    dataset = CausalDataset(card, train, USERS, ITEMS)
    return Source(dataset, splits(train, log_of((2, 0)), test))


def rows(**settings: Any) -> dict[str, list[tuple[int, int]]]:
    chosen = ColumnSlice(**settings).select(source_of())
    return {data.name: list(zip(data.user.tolist(), data.item.tolist(), strict=True)) for data in chosen}


def test_each_category_of_users_is_a_subset_of_the_test_with_a_name_a_table_can_hold() -> None:
    assert rows(column="gender") == {
        "randomised_gender=F": [(0, 1), (2, 2), (0, 2)],
        "randomised_gender=M": [(1, 0)],
        "randomised_gender=missing": [(3, 0)],
        "randomised_gender=x_y_z": [(4, 1)],
    }


def test_an_item_with_several_entries_is_in_each_of_their_subsets() -> None:
    assert rows(column="genres") == {
        "randomised_genres=a": [(1, 0), (3, 0)],
        "randomised_genres=b": [(0, 1), (1, 0), (3, 0), (4, 1)],
        "randomised_genres=missing": [(2, 2), (0, 2)],
    }


def test_numbers_are_cut_where_the_users_are_parted_equally() -> None:
    """Hand: the median of 10..50 is 30, which ends the lower half."""
    assert rows(column="age", bins=2) == {
        "randomised_age=q1of2": [(0, 1), (1, 0), (2, 2), (0, 2)],
        "randomised_age=q2of2": [(3, 0), (4, 1)],
    }
    assert rows(column="member") == {
        "randomised_member=0": [(0, 1), (2, 2), (0, 2)],
        "randomised_member=1": [(1, 0), (3, 0)],
        "randomised_member=missing": [(4, 1)],
    }


def test_bins_hold_about_equally_many_and_each_number_once() -> None:
    values = np.random.default_rng(0).normal(size=1000)
    levels = number_levels(values, 5)
    assert [int(members.sum()) for members in levels.values()] == [200] * 5
    assert (np.sum(list(levels.values()), axis=0) == 1).all()
    tied = number_levels(np.r_[np.zeros(900), np.arange(1, 101)], 4)
    assert {name: int(members.sum()) for name, members in tied.items()} == {"q1of2": 900, "q2of2": 100}


def test_levels_whose_names_become_alike_stay_apart() -> None:
    source = source_of()
    table = USERS.with_columns(gender=pl.Series(["a b", "a_b", "a|b", "a b", "c"]))
    changed = dataclasses.replace(source, dataset=dataclasses.replace(source.dataset, user_table=table))
    users_by_slice = {data.name: data.user.tolist() for data in ColumnSlice(column="gender").select(changed)}
    assert users_by_slice == {
        "randomised_gender=a_b": [0, 3, 0],
        "randomised_gender=a_b_2": [1],
        "randomised_gender=a_b_3": [2],
        "randomised_gender=c": [4],
    }


def test_of_positives_alone_the_full_ranking_is_grouped() -> None:
    rankings = list(ColumnSlice(column="gender").select(source_of("positive_only")))
    assert rankings[0].name == "full_ranking_gender=F" and rankings[0].kind == "ranking"
    assert isinstance(rankings[0], CatalogueData) and rankings[0].users.tolist() == [0, 2]
    assert list(ColumnSlice(column="gender", of=HeldOutSlice()).select(source_of("positive_only"))) == []


def test_a_labelled_test_of_positives_alone_is_judged_and_its_zeros_are_no_hits() -> None:
    source = source_of("positive_only")
    outcome = np.array([1, 0, 1, 1, 1, 0], np.float32)
    labelled = dataclasses.replace(
        source, splits=dataclasses.replace(source.splits, test=dataclasses.replace(source.splits.test, outcome=outcome))
    )
    (held_out,) = HeldOutSlice().select(labelled)
    assert held_out.label.tolist() == outcome.tolist()
    (ranking,) = FullRankingSlice().select(labelled)
    assert ranking.positives.item.tolist() == [1, 2, 0, 1]  # of users 0, 2, 3 and 4


def test_a_subset_keeps_what_its_rows_hold() -> None:
    (data, *_) = ColumnSlice(column="gender").select(source_of())
    assert isinstance(data.subset_of, SliceData) and data.rows is not None and not data.jackknife
    np.testing.assert_array_equal(data.subset_of.label[data.rows], data.label)


@pytest.mark.parametrize(
    ("column", "message"),
    [
        ("gendr", "column=gendr: unknown column; did you mean 'gender' or"),
        (
            "title",
            "column=title: rows cannot be grouped by a column of kind text of each item; toy has",
        ),
        ("user", "column=user: rows cannot be grouped by a column of kind id of each user; toy has"),
        ("shown", "column=shown: rows cannot be grouped by a column of kind numeric of each pair; toy"),
    ],
)
def test_what_has_no_levels_is_refused_in_one_line_before_data_are_read(column: str, message: str) -> None:
    with pytest.raises(RequestError) as caught:
        ColumnSlice(column=column).check(source_of().dataset.card)
    assert str(caught.value).startswith(message) and "\n" not in str(caught.value)


def test_too_many_levels_are_refused() -> None:
    with pytest.raises(RequestError) as caught:
        list(ColumnSlice(column="gender", max_levels=3).select(source_of()))
    assert str(caught.value) == (
        "column=gender: has 4 levels, more than max_levels=3; choose a coarser column, or set max_levels=4"
    )
