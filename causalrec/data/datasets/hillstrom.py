"""Hillstrom: a randomised trial of two e-mail campaigns on a shop's customers (MineThatData challenge, 2008)."""

from __future__ import annotations

from dataclasses import dataclass
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
from causalrec.data.sources import Source, fetch_first, sha256_of
from causalrec.errors import DataError
from causalrec.types import Bools, Share

PAGE: Final = "https://blog.minethatdata.com/2008/03/minethatdata-e-mail-analytics-and-data.html"
NAME: Final = "Kevin_Hillstrom_MineThatData_E-MailAnalytics_DataMiningChallenge_2008.03.20.csv"
OFFICIAL: Final = Source(
    folder="hillstrom",
    url=f"https://www.minethatdata.com/{NAME}",
    archive_member=None,
    files={NAME: "0e5893329d8b93cefecc571777672028290ab69865718020c78c7284f291aece"},
)
GZIPPED: Final = Source(
    folder="hillstrom",
    page=f"{PAGE} (gzipped)",
    files={"hillstrom.csv.gz": "1623313e71a60c65151a000b7604744022c8d7bbff206944914e2e02587bf1ba"},
)
NOBODY: Final = "No E-Mail"
CAMPAIGNS: Final = {"mens": "Mens E-Mail", "womens": "Womens E-Mail"}
LEVELS: Final = {
    "history_segment": (
        *("1) $0 - $100", "2) $100 - $200", "3) $200 - $350", "4) $350 - $500"),
        *("5) $500 - $750", "6) $750 - $1,000", "7) $1,000 +"),
    ),
    "zip_code": ("Urban", "Surburban", "Rural"),  # spelt so in the file
    "channel": ("Phone", "Web", "Multichannel"),
    "segment": (NOBODY, *CAMPAIGNS.values()),
}
FLAGS: Final = ("mens", "womens", "newbie", "visit", "conversion")
SCHEMA: Final = {
    "recency": pl.Int64,
    "history_segment": pl.String,
    "history": pl.Float64,
    **dict.fromkeys(("mens", "womens"), pl.Int64),
    "zip_code": pl.String,
    "newbie": pl.Int64,
    **dict.fromkeys(("channel", "segment"), pl.String),
    **dict.fromkeys(("visit", "conversion"), pl.Int64),
    "spend": pl.Float64,
}
COLUMNS: Final = (
    *(Column(name, "user", "numeric") for name in ("recency", "history", "mens", "womens", "newbie")),
    *(Column(name, "user", "category") for name in ("history_segment", "zip_code", "channel")),
)


@dataclass(frozen=True, kw_only=True)
class Hillstrom(AbstractDataset):
    """64,000 customers, a random third of them sent an e-mail on men's, a third one on women's goods, a third none.

    One user per customer and one item; `propensity` = the probability of the arm received, 1/3, or 1/2 with one arm.
    Training customers are randomised as the test customers are.
    Raises DataError, naming the line, on an unknown level, a negative number, and a purchase without visit or spend.

    Attributes:
        outcome: within two weeks: `visit` or `conversion` (0/1), or `spend` in dollars, 0 for all but 578 customers.
        arms: `both` has treatments 1 (men's) and 2 (women's); `mens` and `womens` leave the other arm's customers out.
        test_share: share of the customers that is held out as the randomised test.
        seed: draws those customers.
    """

    outcome: Literal["visit", "conversion", "spend"] = "visit"
    arms: Literal["both", "mens", "womens"] = "both"
    test_share: Share = 0.3
    seed: Annotated[int, Field(ge=0)] = 0

    @property
    def card(self) -> DatasetCard:
        spend = self.outcome == "spend"
        return DatasetCard(
            name="hillstrom",
            domain="retail",
            size="64,000 customers, two campaigns and none",
            licence="none stated; published by its owner for a public challenge",
            urls=(PAGE, str(OFFICIAL.url)),
            sha256={**OFFICIAL.files, **GZIPPED.files},
            columns=COLUMNS,
            outcome="reward" if spend else "click",
            resampled_by=("seed",),
            feedback="exposure_logged",
            scale=(0.0, np.inf) if spend else (0.0, 1.0),
            arms=self._campaigns,
            randomised="each campaign and none sent to a random third of the customers; customers held out",
            randomised_training=True,
            logged_propensity=True,
            unseen="keep",
        )

    @property
    def sources(self) -> tuple[Source, ...]:
        return (OFFICIAL, GZIPPED)

    @property
    def _campaigns(self) -> tuple[str, ...]:
        return tuple(CAMPAIGNS.values()) if self.arms == "both" else (CAMPAIGNS[self.arms],)

    def load(self, root: Path) -> CausalDataset:
        source, folder = fetch_first(self.sources, root)
        name = next(iter(source.files))
        sent = (NOBODY, *self._campaigns)
        customers = read_customers(folder / name).filter(pl.col("segment").is_in(sent))
        log = self._log(customers, sent, folder / name)
        held = self._test_mask(len(log))
        return CausalDataset(
            card=self.card,
            logged=log.take(~held),
            randomised=log.take(held, "hillstrom held out"),
            user_table=customers.select(column.name for column in COLUMNS),
            item_table=pl.DataFrame({"item": ["e-mail"]}),
            raw_sha256={name: sha256_of(folder / name)},
        )

    def _log(self, customers: pl.DataFrame, sent: tuple[str, ...], path: Path) -> InteractionLog:
        segment, count = customers["segment"], len(customers)
        if absent := set(sent) - set(segment):
            raise DataError(f"{path}: no customer of the segment {min(absent)!r}; the file is truncated or corrupt")
        return InteractionLog(
            user=np.arange(count, dtype=np.int64),
            item=np.zeros(count, np.int64),
            treatment=segment.replace_strict(sent, range(len(sent)), return_dtype=pl.Int64).to_numpy(),
            outcome=customers[self.outcome].to_numpy().astype(np.float32),
            propensity=np.full(count, 1 / len(sent), np.float32),
            num_users=count,
            num_items=1,
            name="hillstrom",
        )

    def _test_mask(self, count: int) -> Bools:
        held = np.zeros(count, bool)
        held[np.random.default_rng(self.seed).permutation(count)[: max(1, round(self.test_share * count))]] = True
        return held


def read_customers(path: Path) -> pl.DataFrame:
    """Read the customers; raise DataError, naming the line, on the first value that cannot be."""
    table = read_csv(path, SCHEMA)
    conversion = pl.col("conversion") == 1
    rules = [
        *((~pl.col(name).is_in(levels), name, f"is none of {', '.join(levels)}") for name, levels in LEVELS.items()),
        *((~pl.col(name).is_in([0, 1]), name, "is not 0 or 1") for name in FLAGS),
        *((pl.col(name) < 0, name, "is negative") for name in ("recency", "history", "spend")),
        (conversion & (pl.col("visit") == 0), "visit", "without which there is no conversion 1"),
        (conversion != (pl.col("spend") > 0), "spend", "does not go with the conversion"),
    ]
    for bad, name, what in rules:
        violations = table.select(bad).to_series()
        if violations.any():
            row = int(violations.arg_max() or 0)
            raise DataError(f"{path}: line {row + 2}: {name} {table[name][row]!r} {what}; the file is corrupt")
    return table
