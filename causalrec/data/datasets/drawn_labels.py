"""Positive-only feedback drawn from the ratings of another data set, with a test whose labels are drawn too."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated

import numpy as np
from pydantic import Field

from causalrec.data.card import DatasetCard
from causalrec.data.dataset import CausalDataset
from causalrec.data.datasets.base import AbstractDataset
from causalrec.data.log import InteractionLog
from causalrec.data.sources import Source
from causalrec.data.table_problems import Problem
from causalrec.errors import DataError, RequestError
from causalrec.types import Doubles, Floats, Seed

Chance = Annotated[float, Field(ge=0, lt=1)]


def like_probability(rating: Floats, scale: tuple[float, float], noise: float) -> Doubles:
    """Return the chance that a rated item was liked, `noise + (1 - noise) (2^r - 1) / (2^r_max - 1)`, float64[N].

    Source: the click model of Chapelle et al. (CIKM 2009), as Saito et al. (WSDM 2020) and Counter-IF (NeurIPS 2025)
    take it.

    Args:
        rating: on the scale, float32[N].
        scale: its ends.
        noise: the chance of a like at the lowest rating, and more.

    >>> like_probability(np.array([1.0, 5.0], np.float32), (1.0, 5.0), 0.1).round(3).tolist()
    [0.129, 1.0]
    """
    share: Doubles = (2.0 ** rating.astype(np.float64) - 1) / (2.0 ** scale[1] - 1)
    return noise + (1 - noise) * share


@dataclass(frozen=True, kw_only=True)
class DrawnLabels(AbstractDataset):
    """A data set of ratings as a log of likes: each rated pair is liked by chance, and liked pairs alone are logged.

    The rows of the randomised part are all there, each with its drawn label.

    Attributes:
        of: the data set of ratings.
        noise: the least chance of a like in the logged part; in the randomised part it is 0.
        draw: number of the draw; another one is a replicate of the same row.
    """

    of: AbstractDataset
    noise: Chance = 0.1
    draw: Seed = 0

    @property
    def item_text(self) -> Mapping[str, str]:  # type: ignore[override]
        return self.of.item_text

    @property
    def user_text(self) -> Mapping[str, str]:  # type: ignore[override]
        return self.of.user_text

    @property
    def card(self) -> DatasetCard:
        card = self.of.card
        if card.outcome != "rating" or card.feedback != "explicit":
            raise RequestError(
                f"dataset.of={card.name}: its outcome is a {card.outcome} ({card.feedback} feedback), and labels are "
                f"drawn from a rating scale; name a data set of ratings, its threshold null"
            )
        return replace(
            card,
            name=f"{card.name}_drawn",
            outcome="click",
            feedback="positive_only",
            scale=(0.0, 1.0),
            resampled_by=("draw", *card.resampled_by),
            unseen="keep",  # who liked nothing is in the test all the same
            caveat="labels are drawn from ratings: what is found holds for this simulation of likes",
        )

    @property
    def sources(self) -> tuple[Source, ...]:
        return self.of.sources

    def check_files(self, root: Path) -> None:
        self.of.check_files(root)

    def identity(self, root: Path) -> str:
        return self.of.identity(root)

    def problems(self, root: Path) -> list[Problem]:
        return self.of.problems(root)

    def load(self, root: Path) -> CausalDataset:
        card, ratings = self.card, self.of.load(root)
        logged = self._likes(ratings.logged, self.noise, 0)
        liked = logged.outcome > 0
        if not liked.any():
            raise DataError(f"{card.name}: none of {len(liked)} rated pairs was liked; raise dataset.noise")
        test = None if ratings.randomised is None else self._likes(ratings.randomised, 0.0, 1)
        return replace(ratings, card=card, logged=logged.take(liked), randomised=test)

    def _likes(self, log: InteractionLog, noise: float, stream: int) -> InteractionLog:
        chance = like_probability(log.outcome, self.of.card.scale, noise)
        rng = np.random.default_rng([self.draw, stream])
        return replace(log, outcome=(rng.random(len(log)) < chance).astype(np.float32))
