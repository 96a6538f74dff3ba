"""Upworthy Research Archive, exploratory set: randomised headline tests (Matias et al., Scientific Data 2021)."""

from __future__ import annotations

import html
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
from causalrec.data.log import InteractionLog
from causalrec.data.quoted_csv import read_csv
from causalrec.data.side_tables import UNKNOWN
from causalrec.data.sources import Source, fetch_first, sha256_of
from causalrec.errors import DataError
from causalrec.types import Bools, Share

PAGE: Final = "https://osf.io/jd64p/"
URLS: Final = (PAGE, "https://doi.org/10.1038/s41597-021-00934-7")
LICENCE: Final = "open access by its owners (OSF), article CC BY 4.0; no licence of the data was found"
COMPACT = Source(
    folder="upworthy",
    page="https://github.com/elilk2/Upworthy-Analysis-Project (parquet as CSV, every field quoted, gzipped)",
    files={"upworthy_exploratory.csv.gz": "19da1bffdc11d6b7054c2ff1ca32d13137a493adc31d93b7dbe46379cea41ac4"},
)
OFFICIAL = Source(
    folder="upworthy",
    page=PAGE,
    files={"upworthy-archive-exploratory-packages-03.12.2020.csv": ""},
)
UNRELIABLE: Final = (201325, 201402)  # weeks YYYYWW whose randomisation the owners doubt (notice of June 2024)
COLUMNS = (
    Column("item", "item", "id"),
    Column("headline", "item", "text"),
    Column("eyecatcher", "item", "category"),
    Column("test", "item", "category"),
    Column("week", "item", "numeric"),
    Column("impressions", "item", "numeric"),
)
SCHEMA: Final = {
    "clickability_test_id": pl.String,
    "headline": pl.String,
    "eyecatcher_id": pl.String,
    "impressions": pl.Int64,
    "clicks": pl.Int64,
    "test_week": pl.Int64,
}
LOGGER = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class Upworthy(AbstractDataset):
    """One row per arm, a package of headline and image, of 4,873 tests with 2..14 arms shown with equal probability.

    No users: only counts are published. outcome = clicks / impressions, a rate per impression whose noise falls with
    the column `impressions`; one row per arm because every impression of an arm is alike. `propensity` = 1/k of a test
    of k arms. Training rows are randomised as the held-out ones are. Whole tests are held out, so no test has arms on
    both sides (a validation split inside the training part knows no tests). lede and excerpt are no columns: they were
    not shown. Exact repeats of a headline and image within a test are separate arms. Only the first source has a
    published checksum; the owner gives none.

    Attributes:
        test_share: share of the tests that is held out.
        seed: draws those tests.
        keep_unreliable: whether tests in the weeks 201325..201402 stay, whose randomisation the owners doubt (1,102
            tests, 4,490 arms; how many are left out is logged).
        item_text: phrases by item column that make an arm's text.
    """

    test_share: Share = 0.2
    seed: Annotated[int, Field(ge=0)] = 0
    keep_unreliable: bool = False
    item_text: dict[str, str] = field(default_factory=lambda: {"headline": "{}"})

    @property
    def card(self) -> DatasetCard:
        return DatasetCard(
            name="upworthy",
            domain="news",
            size="22,666 arms of 4,873 tests",
            licence=LICENCE,
            urls=URLS,
            sha256=COMPACT.files,
            columns=COLUMNS,
            outcome="reward",
            feedback="exposure_logged",
            randomised="arms of a test shown with equal chance; whole tests held out",
            randomised_training=True,
            logged_propensity=True,
            unseen="keep",
        )

    @property
    def sources(self) -> tuple[Source, ...]:
        return arms_sources()

    def load(self, root: Path) -> CausalDataset:
        arms, raw_sha256 = load_arms(root, self.card.name, keep_unreliable=self.keep_unreliable)
        held = self._test_mask(arms["clickability_test_id"])
        log = _log(arms)
        return CausalDataset(
            card=self.card,
            logged=log.take(~held),
            randomised=log.take(held, "upworthy held out"),
            user_table=pl.DataFrame(),
            item_table=_items(arms),
            raw_sha256=raw_sha256,
        )

    def _test_mask(self, tests: pl.Series) -> Bools:
        names = tests.unique().sort()
        if len(names) < 2:
            raise DataError(f"upworthy: {len(names)} tests are left; at least two are needed to hold one out")
        order = np.random.default_rng(self.seed).permutation(len(names))
        chosen = names.gather(order[: min(max(1, round(self.test_share * len(names))), len(names) - 1)])
        return tests.is_in(chosen.implode()).to_numpy()


def arms_sources() -> tuple[Source, ...]:
    """Return the places the arms can come from, in order of preference."""
    return (COMPACT, OFFICIAL)


def load_arms(root: Path, name: str, *, keep_unreliable: bool) -> tuple[pl.DataFrame, dict[str, str]]:
    """Return the arms of all tests but those with an arm in `UNRELIABLE` weeks (how many is logged), unless these are
    to be kept, and the checksum of the file they are from.
    """
    source, folder = fetch_first(arms_sources(), root)
    file = next(iter(source.files))
    arms, sums = read_arms(folder / file), {file: sha256_of(folder / file)}
    doubted = arms.filter(pl.col("test_week").is_between(*UNRELIABLE))["clickability_test_id"].unique()
    if keep_unreliable or not len(doubted):
        return arms, sums
    reliable = arms.filter(~pl.col("clickability_test_id").is_in(doubted.implode()))
    LOGGER.info("%s: %d tests, %d arms of doubted weeks left out", name, len(doubted), len(arms) - len(reliable))
    return reliable, sums


def weeks(week: pl.Expr) -> pl.Expr:
    """Return weeks YYYYWW as weeks since the start of 2013, float64."""
    return ((week // 100 - 2013) * 52 + week % 100).cast(pl.Float64)


def read_arms(path: Path) -> pl.DataFrame:
    """Read the arms; raise DataError, naming the line, on counts that cannot be and on a test of one arm."""
    table = read_csv(path, SCHEMA, optional=["eyecatcher_id"])
    arms = pl.len().over("clickability_test_id")
    for bad, what in (
        (pl.col("impressions") < 1, "impressions below 1"),
        ((pl.col("clicks") < 0) | (pl.col("clicks") > pl.col("impressions")), "clicks outside 0..impressions"),
        (arms < 2, "a test of a single arm"),
    ):
        violations = table.select(bad).to_series()
        if violations.any():
            row = int(violations.arg_max() or 0)
            test = table["clickability_test_id"][row]
            raise DataError(f"{path}: line {row + 2}: {what} (test {test}); the file is truncated or corrupt")
    return table


def _log(arms: pl.DataFrame) -> InteractionLog:
    arms = arms.with_columns(k=pl.len().over("clickability_test_id"))
    return InteractionLog(
        item=np.arange(len(arms), dtype=np.int64),
        treatment=np.ones(len(arms), np.int64),
        outcome=(arms["clicks"] / arms["impressions"]).to_numpy().astype(np.float32),
        propensity=(1.0 / arms["k"].to_numpy()).astype(np.float32),
        num_items=len(arms),
        name="upworthy",
    )


def _items(arms: pl.DataFrame) -> pl.DataFrame:
    image = pl.col("eyecatcher_id")
    return arms.select(
        headline=pl.Series([strip_html(text) for text in arms["headline"]], dtype=pl.String),
        eyecatcher=pl.when(image != "").then(image).otherwise(pl.lit(UNKNOWN)),
        test=pl.col("clickability_test_id"),
        week=weeks(pl.col("test_week")),
        impressions=pl.col("impressions").cast(pl.Float64),
    )


def strip_html(text: str) -> str:
    """Strip HTML tags and entities from a headline, and the space they leave.

    >>> strip_html("<strong>Bicycles: </strong>one &amp; all<br>")
    'Bicycles: one & all'
    """
    stripped = pl.Series([text]).str.replace_all(r"</?[A-Za-z][^>]*>", " ")[0]
    return " ".join(html.unescape(str(stripped)).split())
