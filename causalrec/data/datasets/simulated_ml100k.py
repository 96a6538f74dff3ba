"""What simulations over the users and movies of ML-100K share: the real files, their text, and frozen columns."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Annotated, Final

import numpy as np
import polars as pl
from pydantic import Field

from causalrec.data.card import Column
from causalrec.data.dataset import CausalDataset
from causalrec.data.datasets.base import AbstractDataset
from causalrec.data.datasets.ml100k import COLUMNS, GENRES, ITEM_TEXT, ML100K, OFFICIAL, USER_TEXT
from causalrec.data.log import InteractionLog
from causalrec.data.pair_columns import PairFeature
from causalrec.data.sources import Source
from causalrec.data.truth import Oracle
from causalrec.types import Doubles, Floats, Ints

SIMULATED_COLUMNS: Final = (
    *COLUMNS,
    Column("popularity", "item", "numeric"),
    Column("activity", "user", "numeric"),
    Column("affinity", "pair", "numeric"),
)
URLS: Final = ("https://grouplens.org/datasets/movielens/100k/", str(OFFICIAL.url))
LEVELS: Final = (0.1, 0.3, 0.5, 0.7, 0.9)  # true rate by completed rating, as in MRDR's semi-synthetic study
LICENCE: Final = "research use, no redistribution (GroupLens README); exposure and outcomes are simulated"


@dataclass(frozen=True, kw_only=True)
class AbstractSimulatedML100K(AbstractDataset):
    """Exposures and outcomes drawn over the real users and movies of ML-100K.

    Attributes:
        draw: seed of what is drawn.
        item_text: phrases by item column that make a movie's text.
        user_text: phrases by user column that make a user's text.
    """

    draw: Annotated[int, Field(ge=0)] = 0
    item_text: dict[str, str] = field(default_factory=lambda: {**ITEM_TEXT, "popularity": "Popularity {:.1f}."})
    user_text: dict[str, str] = field(default_factory=lambda: dict(USER_TEXT))

    @property
    def sources(self) -> tuple[Source, ...]:
        return self.real.sources

    @property
    def real(self) -> ML100K:
        """The ratings as they were published."""
        return ML100K(threshold=None)

    def draw_dataset(
        self,
        real: CausalDataset,
        columns: tuple[pl.DataFrame, pl.DataFrame, PairFeature],
        rate: Doubles,
        propensity: Doubles,
        test_items: int,
    ) -> CausalDataset:
        """Draw exposure, clicks of exposed pairs, and afresh those of items drawn uniformly per user, as the test.

        Args:
            real: the ratings, for ids and the names of raw files.
            columns: tables of users and items, and the affinity of pairs, as `frozen_columns` gives them.
            rate: float64[U,I], the true mean outcome of each pair under exposure.
            propensity: float64[U,I], the true probability of exposure.
            test_items: of a user.
        """
        true_rate, chance = rate.astype(np.float32), propensity.astype(np.float32)
        rng = np.random.default_rng(self.draw)
        shown_user, shown_item = np.nonzero(rng.random(rate.shape) < chance)
        test_user = np.repeat(np.arange(len(rate)), test_items)
        test_item = np.concatenate([rng.choice(rate.shape[1], test_items, replace=False) for _ in rate])

        def log(user: Ints, item: Ints, name: str, probability: Floats) -> InteractionLog:
            outcome = (rng.random(len(user)) < true_rate[user, item]).astype(np.float32)
            return InteractionLog(
                user=user.astype(np.int64),
                item=item.astype(np.int64),
                treatment=np.ones(len(user), np.int64),
                outcome=outcome,
                propensity=probability,
                num_users=rate.shape[0],
                num_items=rate.shape[1],
                name=name,
            )

        name, uniform = self.card.name, np.full(len(test_user), test_items / rate.shape[1], np.float32)
        users, items, affinity = columns
        return CausalDataset(
            card=self.card,
            logged=log(shown_user, shown_item, name, chance[shown_user, shown_item]),
            randomised=log(test_user, test_item, f"{name} randomised", uniform),
            user_table=users,
            item_table=items,
            pair_features={"affinity": affinity},
            oracle=Oracle(rate=lambda u, i: true_rate[u, i], propensity=lambda u, i: chance[u, i]),
            knowledge=real.knowledge,
            raw_sha256=real.raw_sha256,
            user_ids=real.user_ids,
            item_ids=real.item_ids,
        )


def frozen_columns(real: CausalDataset) -> tuple[pl.DataFrame, pl.DataFrame, PairFeature]:
    """Compute popularity, activity and genre affinity from the original log, each standardised over its population."""
    log = real.logged
    assert log.user is not None
    popularity = standardise(np.log1p(np.bincount(log.item, minlength=log.num_items)))
    activity = standardise(np.log1p(np.bincount(log.user, minlength=log.num_users)))
    genres = genre_matrix(real.item_table)
    genres /= np.maximum(np.linalg.norm(genres, axis=1, keepdims=True), 1)
    profile = np.zeros((log.num_users, genres.shape[1]))
    np.add.at(profile, log.user, genres[log.item])
    profile /= np.maximum(profile.sum(axis=1, keepdims=True), 1e-9)
    raw = profile @ genres.T
    affinity = PairFeature(
        profile.astype(np.float32), genres.astype(np.float32), float(1 / raw.std()), float(-raw.mean() / raw.std())
    )
    return (
        real.user_table.with_columns(activity=activity),
        real.item_table.with_columns(popularity=popularity),
        affinity,
    )


def genre_matrix(items: pl.DataFrame) -> Doubles:
    return np.array([[float(genre in listed) for genre in GENRES] for listed in items["genre"].to_list()])


def standardise(values: Doubles) -> Doubles:
    """Shift and scale to mean 0 and standard deviation 1."""
    return np.asarray((values - values.mean()) / values.std(), dtype=np.float64)
