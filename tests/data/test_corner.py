"""The corner of a data set: rows of the first ids, and every table cut alike."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import polars as pl

from causalrec.data.card import DatasetCard
from causalrec.data.corner import corner
from causalrec.data.dataset import CausalDataset
from causalrec.data.log import InteractionLog

CARD = DatasetCard("made", "none", "none", (), {}, (), "rating", "explicit", scale=(1, 5))


def dataset(users: int, items: int, **more: object) -> CausalDataset:
    """Every user with every item; the outcome tells the pair."""
    user, item = (axis.ravel() for axis in np.meshgrid(np.arange(users), np.arange(items), indexing="ij"))
    log = InteractionLog(
        user=user,
        item=item,
        treatment=np.ones(len(user), np.int64),
        outcome=(1 + (user * items + item) % 5).astype(np.float32),
        num_users=users,
        num_items=items,
    )
    tables = (pl.DataFrame({"age": np.arange(size)}) for size in (users, items))
    ids = pl.Series(np.arange(items) + 1000)
    return CausalDataset(CARD, log, *tables, item_ids=ids, item_vectors={"picture": np.eye(items)}, **more)  # type: ignore[arg-type]


def test_rows_and_tables_of_the_first_ids_are_left() -> None:
    everything = dataset(30, 40)
    small = corner(everything, 10, 20)
    assert (small.logged.num_users, small.logged.num_items, len(small.logged)) == (10, 20, 200)
    assert (len(small.user_table), len(small.item_table), small.item_vectors["picture"].shape) == (10, 20, (20, 40))
    assert small.item_ids is not None and small.item_ids.to_list() == [*range(1000, 1020)]
    rows = small.logged.users * 40 + small.logged.item
    assert (small.logged.outcome == everything.logged.outcome[rows]).all(), "an id stays who it is"
    assert small.card.unseen == "drop", "some ids are left without a training row"


def test_data_that_are_small_or_would_leave_hardly_a_row_stay_whole() -> None:
    everything = dataset(30, 40)
    assert corner(everything, 100, 100) is everything
    assert corner(everything, 5, 5) is everything
    few = replace(everything, randomised=everything.logged.take(np.arange(1100, 1200)))
    assert corner(few, 10, 20) is few, "no random row is in the corner"
