"""Splits without rows say which setting took them."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import polars as pl
import pytest

from causalrec.data.card import DatasetCard
from causalrec.data.dataset import CausalDataset
from causalrec.data.log import InteractionLog
from causalrec.data.split.leave_last import LeaveLast
from causalrec.data.split.random import Random
from causalrec.data.split.temporal import Temporal
from causalrec.errors import DataError


def log(users: int, items: int, time: bool = False) -> InteractionLog:
    """One row of each pair."""
    user, item = (ids.ravel() for ids in np.mgrid[:users, :items])
    outcome = (np.arange(len(user)) % 2).astype(np.float32)
    times = np.arange(len(user)) if time else None
    return InteractionLog(item, np.ones(len(user), np.int64), outcome, items, user, users, time=times)


def data(logged: InteractionLog, randomised: InteractionLog | None = None) -> CausalDataset:
    card = DatasetCard("toy", "", "", (), {}, (), "click", "explicit", randomised=randomised and "uniform")
    users, items = pl.DataFrame({"user": range(logged.num_users)}), pl.DataFrame({"item": range(logged.num_items)})
    return CausalDataset(card=card, logged=logged, randomised=randomised, user_table=users, item_table=items)


def test_repeated_pairs_that_leave_nothing_are_counted() -> None:
    logged = log(4, 5)
    with pytest.raises(DataError) as caught:
        Random()(data(logged, replace(logged, name="random")))
    assert str(caught.value) == (
        "toy: the train split is empty, of 20 logged rows: split.duplicates=drop_train drops 20 whose pair is in the "
        "randomised test too; set split.duplicates=drop_test or split.duplicates=keep"
    )
    with pytest.raises(
        DataError, match=r"test split is empty, of 20 randomised rows: split\.duplicates=drop_test drops 20 that"
    ):
        Random(duplicates="drop_test")(data(logged, replace(logged, name="random")))


def test_the_rule_for_unseen_ids_is_not_blamed_for_a_split_without_training_rows() -> None:
    with pytest.raises(DataError, match="the train split is empty, of 20 logged rows: its share of them is none"):
        Random(validation=0.5, test=0.5, unseen="drop")(data(log(4, 5)))


def test_users_of_two_rows_cannot_be_held_out() -> None:
    with pytest.raises(DataError, match=r"takes 3 rows of a user .* none of the 30 has more than 2; set split=random$"):
        Temporal()(data(log(30, 2, time=True)))
    with pytest.raises(DataError, match="validation split is empty, of 90 logged rows: it takes 4 rows of a user"):
        LeaveLast(test_rows=1, validation_rows=2)(data(log(30, 3, time=True)))
