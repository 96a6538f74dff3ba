"""KuaiRec 2.0: a sparse log of a video feed, and a block of it observed whole (Gao et al., CIKM 2022)."""

from __future__ import annotations

import logging
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Final

import numpy as np
import polars as pl
from pydantic import Field

from causalrec.data.card import Column, DatasetCard
from causalrec.data.dataset import CausalDataset
from causalrec.data.datasets.base import AbstractDataset
from causalrec.data.datasets.kuairand import USER_CATEGORIES, USER_COLUMNS
from causalrec.data.delimited_text import binarise
from causalrec.data.log import InteractionLog
from causalrec.data.quoted_csv import read_csv
from causalrec.data.side_tables import every_id, positions, side_table
from causalrec.data.sources import Source, sha256_of
from causalrec.errors import DataError

ZENODO_FILES: Final = "https://zenodo.org/records/18164998/files"
MATRICES = Source(
    folder="kuairec",
    url=f"{ZENODO_FILES}/KuaiRec.zip",
    url_md5="261550d472c48eff4990fb13c0e5bcf7",
    archive_member="KuaiRec 2.0/data",
    files=dict.fromkeys(("big_matrix.csv", "small_matrix.csv", "item_categories.csv", "user_features.csv"), ""),
)
CAPTIONS = Source(
    folder="kuairec-captions",
    url=f"{ZENODO_FILES}/kuairec_caption_category.csv",
    url_md5="31bc38cdccdf75a71df137779035f8cb",
    archive_member=None,
    files={"kuairec_caption_category.csv": ""},
)
ITEM_COLUMNS = (
    Column("video_duration", "item", "numeric"),
    Column("feat", "item", "multi_hot"),
    Column("first_level_category_name", "item", "category"),
    Column("caption", "item", "text"),
)
COLUMNS = (Column("user", "user", "id"), Column("item", "item", "id"), *USER_COLUMNS, *ITEM_COLUMNS)
LOG_SCHEMA: Final = {
    "user_id": pl.Int64,
    "video_id": pl.Int64,
    "video_duration": pl.Int64,
    "timestamp": pl.Float64,
    "watch_ratio": pl.Float64,
}
LOGGER = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class KuaiRec(AbstractDataset):
    """7,176 users and 10,728 videos, logged; and 1,411 users by 3,327 videos, almost every pair observed.

    The block is not randomised: each of its pairs has an outcome, so no exposure selects among them, but users and
    videos were chosen to make it complete. A pair seen again keeps its last outcome; a log that lacks any timestamp has
    none. No sum of a single file is published: the publisher's md5 of the archive is checked when it is fetched.

    Attributes:
        threshold: outcome is 1 from this watch ratio on (2 is usual), applied before the cap; None for the watch ratio
            itself, refused below 0.
        cap: a watch ratio above it is set to it (replays make ratios of some hundreds, which a squared error would see
            alone); how many were is logged.
        captions: whether captions and their first categories are read; else both stay empty.
        item_text: phrases by item column that make a video's text.
    """

    threshold: Annotated[float, Field(gt=0)] | None
    cap: Annotated[float, Field(gt=0)] = 5.0
    captions: bool = True
    item_text: dict[str, str] = field(default_factory=lambda: {"caption": "{}"})

    @property
    def card(self) -> DatasetCard:
        ratio = self.threshold is None
        return DatasetCard(
            name="kuairec",
            domain="video",
            size="7,176 users, 10,728 videos, 12.5M + 4.7M observed rows",
            licence="CC BY-SA 4.0",
            urls=("https://kuairec.com/", *(str(source.url) for source in self.sources)),
            sha256={name: value for source in self.sources for name, value in source.files.items()},
            columns=COLUMNS,
            outcome="watch_ratio" if ratio else "click",
            feedback="exposure_logged",
            scale=(0.0, max(self.cap, self.threshold or 0.0)),
            threshold=self.threshold,
            randomised="not randomised: 1,411 users by 3,327 videos with almost every pair observed",
            unbiased="fully_observed",
            self_selected=True,
            repeats="keep_last",
            unseen="drop",
        )

    @property
    def sources(self) -> tuple[Source, ...]:
        return (MATRICES, CAPTIONS) if self.captions else (MATRICES,)

    def load(self, root: Path) -> CausalDataset:
        folders = [source.fetch(root) for source in self.sources]
        big, small = (read_log(folders[0] / f"{name}_matrix.csv") for name in ("big", "small"))
        users = _users(folders[0] / "user_features.csv")
        items = _items(folders[0] / "item_categories.csv")
        user_ids = every_id(users["user_id"], big["user_id"], small["user_id"])
        item_ids = every_id(items["video_id"], big["video_id"], small["video_id"])
        items = items.join(_durations(big, small), on="video_id", how="full", coalesce=True)
        items = items.join(self._captions(folders[-1]), on="video_id", how="left")
        return CausalDataset(
            card=self.card,
            logged=self._log(big, user_ids, item_ids, "kuairec"),
            randomised=self._log(small, user_ids, item_ids, "kuairec fully observed"),
            user_table=side_table(users, "user_id", user_ids, USER_COLUMNS),
            item_table=side_table(items, "video_id", item_ids, ITEM_COLUMNS),
            raw_sha256={
                name: sha256_of(root / source.folder / name) for source in self.sources for name in source.files
            },
            user_ids=user_ids,
            item_ids=item_ids,
        )

    def _log(self, rows: pl.DataFrame, users: pl.Series, items: pl.Series, name: str) -> InteractionLog:
        rows = rows.sort("timestamp", maintain_order=True, nulls_last=False)
        ratio = rows["watch_ratio"]
        if self.threshold is None:
            LOGGER.info("%s: %d watch ratios capped at %g", name, int((ratio > self.cap).sum()), self.cap)
            ratio = ratio.clip(upper_bound=self.cap)
        log = InteractionLog(
            user=positions(rows["user_id"], users),
            item=positions(rows["video_id"], items),
            treatment=np.ones(len(rows), np.int64),
            outcome=binarise(ratio.to_numpy(), self.threshold).astype(np.float32),  # compared in full precision
            time=None if rows["timestamp"].null_count() else rows["timestamp"].cast(pl.Int64).to_numpy(),
            num_users=len(users),
            num_items=len(items),
            name=name,
        )
        return log.without_repeats(self.card.repeats)

    def _captions(self, folder: Path) -> pl.DataFrame:
        if self.captions:
            return read_captions(folder / "kuairec_caption_category.csv")
        schema = {"video_id": pl.Int64, "first_level_category_name": pl.String, "caption": pl.String}
        return pl.DataFrame(schema=schema)


def read_log(path: Path) -> pl.DataFrame:
    """Read one matrix; raise DataError, naming the line, on a negative watch ratio."""
    table = read_csv(path, LOG_SCHEMA, optional=["timestamp", "video_duration"])
    bad = table["watch_ratio"] < 0
    if bad.any():
        row = int(bad.arg_max() or 0)
        raise DataError(f"{path}: line {row + 2}: watch_ratio {table['watch_ratio'][row]} is negative; corrupt?")
    return table.with_columns(pl.col("timestamp").fill_nan(None))


def read_captions(path: Path) -> pl.DataFrame:
    """Read captions and first categories; "UNKNOWN" is empty, and pieces of broken lines (no video id) are dropped."""
    names = ["video_id", "caption", "first_level_category_name"]
    try:
        text = pl.read_csv(path, infer_schema=False, truncate_ragged_lines=True, ignore_errors=True, glob=False)
        text = text.select(names)
    except pl.exceptions.PolarsError as error:
        raise DataError(f"{path}: cannot be read as captions ({str(error).splitlines()[0]}); fetch it again") from error
    captions = text.with_columns(pl.col("video_id").cast(pl.Int64, strict=False)).drop_nulls("video_id")
    captions = captions.unique("video_id", keep="first", maintain_order=True)
    LOGGER.info("%s: %d pieces of broken lines dropped", path, len(text) - len(captions))
    named_values = [pl.when(pl.col(name) != "UNKNOWN").then(pl.col(name)) for name in names[1:]]
    return captions.with_columns(named_values).with_columns(
        pl.col("caption").str.replace_all(r"\s+", " ").str.strip_chars()
    )


def _durations(big: pl.DataFrame, small: pl.DataFrame) -> pl.DataFrame:
    """Return each video's length in milliseconds, as its exposures state it (the median: a few rows differ)."""
    both = pl.concat([log.select("video_id", "video_duration") for log in (big, small)])
    return both.group_by("video_id").agg(pl.col("video_duration").median())


def _users(path: Path) -> pl.DataFrame:
    return read_csv(path, {"user_id": pl.Int64, **dict.fromkeys(USER_CATEGORIES, pl.String)}, optional=USER_CATEGORIES)


def _items(path: Path) -> pl.DataFrame:
    table = read_csv(path, {"video_id": pl.Int64, "feat": pl.String})
    bad = ~table["feat"].str.contains(r"^\[\s*\d+(\s*,\s*\d+)*\s*\]$")
    if bad.any():
        row = int(bad.arg_max() or 0)
        raise DataError(f"{path}: line {row + 2}: feat {table['feat'][row]!r} is not a list like [27, 9]; corrupt?")
    return table.with_columns(pl.col("feat").str.extract_all(r"\d+"))
