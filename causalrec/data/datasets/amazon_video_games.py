"""Amazon Video Games: what each customer reviewed, in order, as LLMRank prepared it (Hou et al., ECIR 2024)."""

from __future__ import annotations

from dataclasses import dataclass, field
from html import unescape
from pathlib import Path

import numpy as np
import polars as pl

from causalrec.data.card import Column, DatasetCard
from causalrec.data.dataset import CausalDataset
from causalrec.data.datasets.base import AbstractDataset
from causalrec.data.delimited_text import indices, read_delimited
from causalrec.data.log import InteractionLog
from causalrec.data.sources import Source
from causalrec.errors import DataError

GAMES = Source(
    folder="amazon_video_games",
    page="https://github.com/RUCAIBox/LLMRank (llmrank/dataset/Games-6k, gzipped and renamed)",
    files={
        "Games.item.gz": "48ef7244fc34f46675e644d584fe53d79c68edff4d9dfe96e95f4f569979e02b",
        "Games.test.inter.gz": "45b1db05355adc0ac9cea96ef474ec2d2506691c993d0998c41208e1b9078081",
    },
)
COLUMNS = (Column("user", "user", "id"), Column("item", "item", "id"), Column("title", "item", "text"))


@dataclass(frozen=True, kw_only=True)
class AmazonVideoGames(AbstractDataset):
    """50,546 customers and 16,859 products: 440,264 reviews, the latest 5 to 50 of each customer, outcome 1.

    Rows are each customer's history and, last, the target that LLMRank predicts. Only reviews are recorded: not what a
    customer saw, or bought without reviewing it. The files have no timestamps: `time` is the position in the customer's
    sequence (0 = oldest), comparable within a customer only. Of an item that a sequence repeats, the last row stays;
    the verified files repeat none.

    Attributes:
        item_text: phrases by item column that make a product's text.
    """

    item_text: dict[str, str] = field(default_factory=lambda: {"title": "{}"})

    @property
    def card(self) -> DatasetCard:
        return DatasetCard(
            name="amazon_video_games",
            domain="e-commerce",
            size="50,546 users, 16,859 items, 440,264 rows",
            licence="no formal licence; research use as granted by UCSD, cite Ni, Li & McAuley (EMNLP 2019)",
            urls=("https://cseweb.ucsd.edu/~jmcauley/datasets/amazon_v2/", "https://github.com/RUCAIBox/LLMRank"),
            sha256=GAMES.files,
            columns=COLUMNS,
            outcome="click",
            feedback="positive_only",
            self_selected=True,
            repeats="keep_last",
            unseen="drop",
            times_compare=False,
        )

    @property
    def sources(self) -> tuple[Source, ...]:
        return (GAMES,)

    def load(self, root: Path) -> CausalDataset:
        folder = GAMES.fetch(root)
        items = read_delimited(folder / "Games.item.gz", "\t", ["id", "title"], header=True)
        titles = pl.Series("title", [unescape(title) for title in items["title"]])  # &amp; &reg; ...
        users, log = read_sequences(folder / "Games.test.inter.gz", items["id"].to_list())
        return CausalDataset(
            card=self.card,
            logged=log.without_repeats(self.card.repeats),
            user_table=users,
            item_table=titles.to_frame(),
            raw_sha256=dict(GAMES.files),
            user_ids=users["user"],
            item_ids=items["id"],
        )


def read_sequences(path: Path, items: list[str]) -> tuple[pl.DataFrame, InteractionLog]:
    """Read one sequence per line, oldest item first, its last item in a column of its own; a user has one line.

    Raises DataError, naming the line, on a customer given twice or an item without a title row.
    """
    table = read_delimited(path, "\t", ["user", "history", "target"], header=True)
    if table["user"].is_duplicated().any():
        row = int((~table["user"].is_first_distinct()).arg_max() or 0)
        raise DataError(f"{path}: line {row + 2}: user {table['user'][row]!r} has a line already; another version?")
    sequence = pl.concat_str("history", "target", separator=" ").str.split(" ").alias("item")
    rows = table.with_row_index("row").select(pl.col("row").cast(pl.Int64), sequence)
    positions = rows.select(pl.col("row"), pl.int_ranges(pl.col("item").list.len(), dtype=pl.Int64).alias("position"))
    long = rows.explode("item").with_columns(positions.explode("position")["position"])
    has_title = long["item"].is_in(items)
    if not has_title.all():
        bad = int((~has_title).arg_max() or 0)
        raise DataError(f"{path}: line {long['row'][bad] + 2}: item {long['item'][bad]!r} is not in its table")
    log = InteractionLog(
        user=long["row"].to_numpy(),
        item=indices(long, "item", items, path),
        treatment=np.ones(len(long), np.int64),
        outcome=np.ones(len(long), np.float32),
        time=long["position"].to_numpy(),
        num_users=len(table),
        num_items=len(items),
        name="amazon_video_games",
    )
    return table.select("user"), log
