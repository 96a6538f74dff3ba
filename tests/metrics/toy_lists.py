"""A catalogue of four items and the lists of three of its four users, small enough to work by hand."""

from __future__ import annotations

import numpy as np
import polars as pl

from causalrec.catalogue.facts import CatalogueFacts
from causalrec.catalogue.lists import Lists
from causalrec.data.card import Column, DatasetCard
from causalrec.data.dataset import CausalDataset
from causalrec.data.log import InteractionLog

USERS, ITEMS = 4, 4
COLUMNS = (
    Column("genres", "item", "multi_hot"),
    Column("title", "item", "text"),
    Column("look", "item", "vector"),
    Column("year", "item", "numeric"),
)
MET = ((0, 3), (1, 3), (2, 3), (3, 3), (3, 0), (1, 1))  # training rows (user, item)
GENRES = [["a"], ["a", "b"], ["c"], None]
LOOK = np.array([[1, 0], [1, 1], [0, 1], [np.nan, 0]], np.float32)


def toy_dataset(columns: tuple[Column, ...] = COLUMNS) -> CausalDataset:
    card = DatasetCard("toy", "test", "none", (), {}, columns, "click", "positive_only")
    titles = ["red coat", "red hat", "blue coat", ""]
    table = {"genres": GENRES, "title": titles, "year": np.arange(ITEMS)}
    user, item = (np.array(ids, np.int64) for ids in zip(*MET, strict=True))
    treatment = np.ones(len(user), np.int64)
    log = InteractionLog(item, treatment, treatment.astype(np.float32), ITEMS, user, USERS, name="toy")
    users = pl.DataFrame({"id": np.arange(USERS)})
    return CausalDataset(card, log, users, pl.DataFrame(table), item_vectors={"look": LOOK})


def toy_facts() -> CatalogueFacts:
    dataset = toy_dataset()
    return CatalogueFacts(dataset, dataset.logged)


def toy_lists() -> Lists:
    item = np.array([[0, 1], [0, 2], [0, -1]])
    gain = np.array([[1, 0], [0, 1], [1, 0]], np.float32)
    return Lists(np.arange(3), item, gain, toy_facts())
