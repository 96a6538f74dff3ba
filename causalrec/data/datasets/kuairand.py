"""KuaiRand-Pure: videos of a feed, and the same feed with random videos put in (Gao et al., CIKM 2022)."""

from __future__ import annotations

import logging
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Final, Literal

import numpy as np
import polars as pl
from pydantic import Field

from causalrec.data.card import Column, DatasetCard
from causalrec.data.dataset import CausalDataset
from causalrec.data.datasets.base import AbstractDataset
from causalrec.data.log import InteractionLog
from causalrec.data.quoted_csv import read_csv
from causalrec.data.side_tables import every_id, positions, side_table
from causalrec.data.sources import Source
from causalrec.errors import DataError

PURE = Source(
    folder="kuairand-pure",
    url="https://zenodo.org/records/10439422/files/KuaiRand-Pure.tar.gz",
    url_md5="0820331067a3784d9691136f772b35a7",
    archive_member="KuaiRand-Pure/data",
    files={
        "log_standard_4_08_to_4_21_pure.csv": "5bb6eb0b3d9f47e5436cb5dc82ee1899b845ebf9750a5560b801e929e18bd41c",
        "log_standard_4_22_to_5_08_pure.csv": "429e3b948828942e572f2c3a5be5a25799ffe75591d22d18cf417b9b534d31fd",
        "log_random_4_22_to_5_08_pure.csv": "60b80994da969cd53da4d50c37ba3dafd6fb185df804c92c8410df34845a9d2c",
        "user_features_pure.csv": "dc729a656301b4c6d07f713fe41d05ec9bfaab670b90e531c70037caf033c011",
        "video_features_basic_pure.csv": "a6f7ee02684c5777422306cdc416e170302288aa89aca9dfea995edbd625bcc2",
    },
)
Period = Literal["4_08_to_4_21", "4_22_to_5_08"]
Signal = Literal["is_click", "long_view", "watch_ratio"]
USER_CATEGORIES: Final = (
    "user_active_degree",
    "is_live_streamer",
    "is_video_author",
    "follow_user_num_range",
    "fans_user_num_range",
    "friend_user_num_range",
    "register_days_range",
    *(f"onehot_feat{k}" for k in (0, 1, 2, 4, 5, 6, 9, 10, 11, 12, 13, 14, 15, 16, 17)),  # 3, 7, 8 have > 100 levels
)
ITEM_CATEGORIES: Final = ("video_type", "upload_type", "music_type")
USER_COLUMNS = tuple(Column(name, "user", "category") for name in USER_CATEGORIES)
ITEM_COLUMNS = (
    *(Column(name, "item", "category") for name in ITEM_CATEGORIES),
    Column("video_duration", "item", "numeric"),
    Column("tag", "item", "multi_hot"),
)
COLUMNS = (Column("user", "user", "id"), Column("item", "item", "id"), *USER_COLUMNS, *ITEM_COLUMNS)
LOG_SCHEMA: Final = dict.fromkeys(("user_id", "video_id", "time_ms"), pl.Int64)
SIGNAL_SCHEMA: Final[dict[Signal, dict[str, object]]] = {
    "is_click": {"is_click": pl.Int64},
    "long_view": {"long_view": pl.Int64},
    "watch_ratio": {"play_time_ms": pl.Int64, "duration_ms": pl.Int64},
}
LOGGER = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class KuaiRand(AbstractDataset):
    """27,285 users and 7,583 videos: the feed's own exposures, and 1,186,059 of uniformly random videos.

    A pair seen again keeps its last outcome. The video statistics file is not read: its counters come after exposure.
    Sums of the single files are as several public projects record them; the publisher's is the archive's md5.

    Attributes:
        logs: periods of the standard feed that are the log; by default the period of the random exposures.
        outcome: `is_click`, `long_view` (both 0/1), or `watch_ratio` = play time / duration, refused below 0.
        cap: a watch ratio above it is set to it; how many were, and how many rows without a duration were dropped, is
            logged.
        item_text: phrases by item column that make a video's text.
    """

    logs: Annotated[tuple[Period, ...], Field(min_length=1)] = ("4_22_to_5_08",)
    outcome: Signal = "is_click"
    cap: Annotated[float, Field(gt=0)] = 5.0
    item_text: dict[str, str] = field(default_factory=dict)

    @property
    def card(self) -> DatasetCard:
        ratio = self.outcome == "watch_ratio"
        return DatasetCard(
            name="kuairand",
            domain="video",
            size="27,285 users, 7,583 videos, 1.4M + 1.2M random rows",
            licence="CC BY-SA 4.0",
            urls=("https://kuairand.com/", str(PURE.url)),
            sha256=PURE.files,
            columns=COLUMNS,
            outcome="watch_ratio" if ratio else "click",
            feedback="exposure_logged",
            scale=(0.0, self.cap if ratio else 1.0),
            randomised="feed places given to uniformly random videos of a pool",
            self_selected=True,
            repeats="keep_last",
            unseen="drop",
        )

    @property
    def sources(self) -> tuple[Source, ...]:
        return (PURE,)

    def load(self, root: Path) -> CausalDataset:
        folder = PURE.fetch(root)
        standard = pl.concat([self._rows(folder / f"log_standard_{period}_pure.csv") for period in self.logs])
        uniform = self._rows(folder / "log_random_4_22_to_5_08_pure.csv")
        users, items = _users(folder / "user_features_pure.csv"), _items(folder / "video_features_basic_pure.csv")
        user_ids = every_id(users["user_id"], standard["user_id"], uniform["user_id"])
        item_ids = every_id(items["video_id"], standard["video_id"], uniform["video_id"])
        return CausalDataset(
            card=self.card,
            logged=self._log(standard, user_ids, item_ids, "kuairand"),
            randomised=self._log(uniform, user_ids, item_ids, "kuairand randomised"),
            user_table=side_table(users, "user_id", user_ids, USER_COLUMNS),
            item_table=side_table(items, "video_id", item_ids, ITEM_COLUMNS),
            raw_sha256=dict(PURE.files),
            user_ids=user_ids,
            item_ids=item_ids,
        )

    def _rows(self, path: Path) -> pl.DataFrame:
        table = read_csv(path, {**LOG_SCHEMA, **SIGNAL_SCHEMA[self.outcome]})
        ids = ["user_id", "video_id", "time_ms"]
        if self.outcome == "watch_ratio":
            return watch_ratios(table, "play_time_ms", "duration_ms", self.cap, path).select(*ids, "outcome")
        bad = ~table[self.outcome].is_in([0, 1])
        if bad.any():
            row = int(bad.arg_max() or 0)
            raise DataError(f"{path}: line {row + 2}: {self.outcome} {table[self.outcome][row]} is not 0 or 1")
        return table.select(*ids, pl.col(self.outcome).cast(pl.Float32).alias("outcome"))

    def _log(self, rows: pl.DataFrame, users: pl.Series, items: pl.Series, name: str) -> InteractionLog:
        rows = rows.sort("time_ms", maintain_order=True)
        log = InteractionLog(
            user=positions(rows["user_id"], users),
            item=positions(rows["video_id"], items),
            treatment=np.ones(len(rows), np.int64),
            outcome=rows["outcome"].to_numpy(),
            time=(rows["time_ms"] // 1000).to_numpy(),
            num_users=len(users),
            num_items=len(items),
            name=name,
        )
        return log.without_repeats(self.card.repeats)


def watch_ratios(table: pl.DataFrame, played: str, duration: str, cap: float, path: Path) -> pl.DataFrame:
    """Add `outcome` float32 = played / duration, at most `cap`; drop rows without a duration.

    Args:
        table: one row per exposure.
        played: column of the play time.
        duration: column of the video's length, in the same unit.
        cap: largest ratio; what is above is set to it, and counted in the log.
        path: the file, for errors.

    Raises DataError, naming the line, on a negative time.
    """
    for name in (played, duration):
        bad = table[name] < 0
        if bad.any():
            row = int(bad.arg_max() or 0)
            raise DataError(f"{path}: line {row + 2}: {name} {table[name][row]} is negative; the file is corrupt")
    timed = table.filter(pl.col(duration) > 0).with_columns(outcome=pl.col(played) / pl.col(duration))
    capped = int((timed["outcome"] > cap).sum())
    LOGGER.info(
        "%s: %d watch ratios capped at %g, %d rows without duration", path, capped, cap, len(table) - len(timed)
    )
    return timed.with_columns(pl.col("outcome").clip(upper_bound=cap).cast(pl.Float32))


def _users(path: Path) -> pl.DataFrame:
    return read_csv(path, {"user_id": pl.Int64, **dict.fromkeys(USER_CATEGORIES, pl.String)}, optional=USER_CATEGORIES)


def _items(path: Path) -> pl.DataFrame:
    optional = (*ITEM_CATEGORIES, "video_duration", "tag")
    schema = {"video_id": pl.Int64, **dict.fromkeys(optional, pl.String), "video_duration": pl.Float64}
    return read_csv(path, schema, optional=optional).with_columns(
        pl.col("tag").str.replace_all(r"\s", "").str.split(","), video_duration=pl.col("video_duration").fill_nan(None)
    )
