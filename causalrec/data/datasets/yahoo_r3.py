"""Yahoo! R3: self-selected song ratings and a randomised survey (Marlin & Zemel, RecSys 2009)."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import numpy as np
import polars as pl

from causalrec.data.card import Column, DatasetCard
from causalrec.data.dataset import CausalDataset
from causalrec.data.datasets.base import AbstractDataset
from causalrec.data.delimited_text import binarise, integers, numbers, ratings_in_scale, read_delimited
from causalrec.data.log import InteractionLog
from causalrec.data.sources import Source, sha256_of
from causalrec.errors import DataError

TRAIN: Final = "ydata-ymusic-rating-study-v1_0-train.txt"
TEST: Final = "ydata-ymusic-rating-study-v1_0-test.txt"
YAHOO = Source(
    folder="yahoo_r3",
    page="https://webscope.sandbox.yahoo.com/ (R3, after its licence is agreed to)",
    files={TRAIN: "", TEST: ""},
)
ROWS: Final = {TRAIN: 311_704, TEST: 54_000}
USERS: Final = 15_400
ITEMS: Final = 1_000
SCALE = (1.0, 5.0)
COLUMNS = (Column("user", "user", "id"), Column("item", "item", "id"))


@dataclass(frozen=True, kw_only=True)
class YahooR3(AbstractDataset):
    """15,400 users and 1,000 songs: 311,704 self-selected ratings 1..5, and 54,000 of 10 random songs for 5,400 users.

    The user supplies the files: the licence forbids passing them on. No checksum is published, so the number of rows
    and the range of ids stand in for it. The files have no times: of a repeated pair the row further down stays.

    Attributes:
        threshold: outcome is 1 from this rating on, None for rating points; mandatory, for published tables differ (3,
            4 and 5 all occur).
        item_text: phrases by item column that make a song's text.
    """

    threshold: float | None
    item_text: dict[str, str] = field(default_factory=dict)

    @property
    def card(self) -> DatasetCard:
        return DatasetCard(
            name="yahoo_r3",
            domain="music",
            size="15,400 users, 1,000 songs, 311,704 + 54,000 random rows",
            licence="Yahoo! Webscope agreement: non-commercial research by the signatory, no redistribution",
            urls=("https://webscope.sandbox.yahoo.com/",),
            sha256=YAHOO.files,
            columns=COLUMNS,
            outcome="rating" if self.threshold is None else "click",
            feedback="explicit",
            scale=SCALE,
            threshold=self.threshold,
            randomised="10 songs per user, uniform, for 5,400 of the users",
            self_selected=True,
            repeats="keep_last",
            unseen="drop",
        )

    @property
    def sources(self) -> tuple[Source, ...]:
        return (YAHOO,)

    def load(self, root: Path) -> CausalDataset:
        folder = YAHOO.fetch(root)
        users = pl.DataFrame({"user": np.arange(1, USERS + 1)})
        items = pl.DataFrame({"item": np.arange(1, ITEMS + 1)})
        return CausalDataset(
            card=self.card,
            logged=self._ratings(folder / TRAIN, "yahoo_r3"),
            randomised=self._ratings(folder / TEST, "yahoo_r3 randomised"),
            user_table=users,
            item_table=items,
            raw_sha256={name: sha256_of(folder / name) for name in YAHOO.files},
            user_ids=users["user"],
            item_ids=items["item"],
        )

    def _ratings(self, path: Path, name: str) -> InteractionLog:
        table = read_delimited(path, "\t", ["user", "item", "rating"], header=False)
        if len(table) != ROWS[path.name]:
            raise DataError(f"{path}: {len(table)} ratings, expected {ROWS[path.name]}; truncated or another release?")
        values = ratings_in_scale(numbers(table, "rating", path, 1), SCALE, path, 1)
        log = InteractionLog(
            user=integers(table, "user", path, 1, low=1, high=USERS) - 1,
            item=integers(table, "item", path, 1, low=1, high=ITEMS) - 1,
            treatment=np.ones(len(values), np.int64),
            outcome=binarise(values, self.threshold),
            num_users=USERS,
            num_items=ITEMS,
            name=name,
        )
        return log.without_repeats(self.card.repeats)
