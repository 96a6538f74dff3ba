"""Upworthy headlines: what showing one headline instead of another, over the same image, does to clicks."""

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
from causalrec.data.datasets.upworthy import (
    COMPACT,
    LICENCE,
    UNRELIABLE,
    URLS,
    arms_sources,
    load_arms,
    strip_html,
    weeks,
)
from causalrec.data.log import InteractionLog
from causalrec.data.sources import Source
from causalrec.errors import DataError
from causalrec.types import Bools, Ints, Share

QUOTED: Final = r"""["“”]|(^|[\s(])['‘]\S(.*\S)?['’](\W|$)"""  # a lone apostrophe ('Cause) quotes nothing
DIFFERENCES: Final = {  # of a headline; a pair's column is that of the second less that of the first
    "words": pl.col("headline").str.count_matches(r"\S+"),
    "characters": pl.col("headline").str.len_chars(),
    "question": pl.col("headline").str.contains("?", literal=True),
    "digits": pl.col("headline").str.contains(r"[0-9]"),
    "quotes": pl.col("headline").str.contains(QUOTED),
    "second_person": pl.col("headline").str.contains(r"(?i)\byou(r|rs|rself|rselves)?\b"),
}
GROUP: Final = ("clickability_test_id", "eyecatcher_id")
COLUMNS: Final = (
    Column("first", "item", "text"),
    Column("second", "item", "text"),
    *(Column(name, "item", "numeric") for name in DIFFERENCES),
    Column("week", "item", "numeric"),
)
LOGGER = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class UpworthyHeadlines(AbstractDataset):
    """6,798 pairs of headlines that one test showed over one image: the effect of the second instead of the first.

    A group is the arms of one test with one image (arms without an image id are left out); arms of a group with the
    same headline are one, their counts summed. One headline of each group, drawn evenly, is the first of its pairs and
    each other one a second: as the order is random, effects average to 0, over draws of the order and only about so in
    one of them (-0.013, -0.016, -0.006 for seeds 0, 1, 2), and pairs of one group share the noise of their first.

    Item = the pair; user = its test, never split when held out, in learners' folds and in resampling. Each pair stands
    twice in the log: treatment 0 with the click rate of the first and 1 with that of the second, so that `propensity` =
    0.5 of every row. outcome = clicks per 100 impressions, effects are in percentage points. Arms of a test were shown
    with equal probability: the second has 0.45..0.55 of the impressions in 97.8 % of the pairs, most others are sums.
    Impressions (median 3,150 of a headline) are no weights here: sampling noise is 0.23 of the variance of differences.

    Columns: both headlines; words, characters and whether there is a question mark, digit, quotation or "you", each of
    the second less the first; the week. Training rows are randomised as the held-out ones are; a validation split
    inside the training part knows no tests. Raises DataError where fewer than two tests have a pair.

    Attributes:
        test_share: share of the pairs that is held out, by whole tests.
        seed: draws the order within pairs and the tests held out.
        keep_unreliable: whether tests in the weeks 201325..201402 stay, whose randomisation the owners doubt (how many
            are left out is logged).
        item_text: phrases by item column that make a pair's text.
    """

    test_share: Share = 0.2
    seed: Annotated[int, Field(ge=0)] = 0
    keep_unreliable: bool = False
    item_text: dict[str, str] = field(default_factory=lambda: {"first": "First: {}", "second": "Second: {}"})

    @property
    def card(self) -> DatasetCard:
        first, last = UNRELIABLE
        doubted = f"weeks {first}..{last}, whose randomisation the owners doubt, {{}}"
        return DatasetCard(
            name="upworthy_headlines",
            domain="news",
            size="6,798 pairs of 8,826 headlines in 2,028 groups (one test, one image) of 1,969 tests",
            licence=LICENCE,
            urls=URLS,
            sha256=COMPACT.files,
            columns=COLUMNS,
            outcome="reward",
            resampled_by=("seed",),
            feedback="exposure_logged",
            scale=(0.0, 100.0),
            arms=("the second headline",),
            randomised="headlines of a test shown with equal chance over one image; whole tests held out; "
            + doubted.format("kept" if self.keep_unreliable else "left out"),
            randomised_training=True,
            logged_propensity=True,
            repeats="allowed",
            unseen="keep",
        )

    @property
    def sources(self) -> tuple[Source, ...]:
        return arms_sources()

    def load(self, root: Path) -> CausalDataset:
        arms, raw_sha256 = load_arms(root, self.card.name, keep_unreliable=self.keep_unreliable)
        pairs = pair_headlines(headlines(arms), self.seed)
        tests = pairs["test"].unique(maintain_order=True)
        if len(tests) < 2:
            raise DataError(f"upworthy_headlines: {len(tests)} tests have a pair; two are needed to hold one out")
        log = _log(pairs, tests)
        assert log.user is not None
        held = self._test_mask(log.user[: len(pairs)], len(tests))[log.item]
        return CausalDataset(
            card=self.card,
            logged=log.take(~held),
            randomised=log.take(held, "upworthy_headlines held out"),
            user_table=pl.DataFrame({"test": tests}),
            item_table=pairs.select(column.name for column in COLUMNS),
            raw_sha256=raw_sha256,
            user_ids=tests,
        )

    def _test_mask(self, test: Ints, count: int) -> Bools:
        """Return which pairs are held out: of tests in random order, each that fits into what is left of the share."""
        sizes, left = np.bincount(test, minlength=count), max(1, round(self.test_share * len(test)))
        chosen = np.zeros(count, bool)
        for index in np.random.default_rng(self.seed).permutation(count):
            if sizes[index] <= left and chosen.sum() < count - 1:
                chosen[index] = True
                left -= sizes[index]
        if not chosen.any():
            chosen[np.argmin(sizes)] = True
        return chosen[test]


def headlines(arms: pl.DataFrame) -> pl.DataFrame:
    """Return one row per distinct headline of each group that has two or more, in file order, with its counts."""
    arms = arms.with_columns(headline=pl.Series([strip_html(text) for text in arms["headline"]], dtype=pl.String))
    summed = (
        arms.filter(pl.col("eyecatcher_id") != "")
        .group_by(*GROUP, "headline", maintain_order=True)
        .agg(pl.sum("clicks"), pl.sum("impressions"), pl.min("test_week"))
    )
    comparable = summed.filter(pl.len().over(GROUP) > 1)
    groups, tests = (comparable.n_unique(list(columns)) for columns in (GROUP, GROUP[:1]))
    LOGGER.info("upworthy_headlines: %d headlines in %d groups of %d tests", len(comparable), groups, tests)
    return comparable


def pair_headlines(shown: pl.DataFrame, seed: int) -> pl.DataFrame:
    """Return one row per pair, groups in file order: the headline drawn as the first, and another one."""
    position = pl.Series("position", np.random.default_rng([seed, 1]).permutation(len(shown)))
    rate = 100 * pl.col("clicks") / pl.col("impressions")
    features = (expression.cast(pl.Float64).alias(name) for name, expression in DIFFERENCES.items())
    measured = shown.with_columns(position, rate.alias("rate"), *features)
    is_first = pl.col("position") == pl.col("position").min().over(GROUP)
    both = measured.filter(~is_first).join(
        measured.filter(is_first), on=list(GROUP), suffix="_first", how="left", maintain_order="left"
    )
    return both.select(
        *(pl.col(name) - pl.col(f"{name}_first") for name in DIFFERENCES),
        test=pl.col(GROUP[0]),
        first=pl.col("headline_first"),
        second=pl.col("headline"),
        week=weeks(pl.min_horizontal("test_week", "test_week_first")),
        rate_first=pl.col("rate_first"),
        rate_second=pl.col("rate"),
    )


def _log(pairs: pl.DataFrame, tests: pl.Series) -> InteractionLog:
    """Return each pair twice: all under treatment 0, then all under 1."""
    count = len(pairs)
    test = pairs["test"].replace_strict(tests, np.arange(len(tests)), return_dtype=pl.Int64).to_numpy()
    return InteractionLog(
        user=np.tile(test, 2),
        item=np.tile(np.arange(count), 2),
        treatment=np.repeat(np.arange(2), count),
        outcome=np.concatenate([pairs["rate_first"], pairs["rate_second"]]).astype(np.float32),
        propensity=np.full(2 * count, 0.5, np.float32),
        num_users=len(tests),
        num_items=count,
        name="upworthy_headlines",
    )
