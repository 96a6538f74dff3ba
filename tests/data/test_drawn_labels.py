"""Likes drawn from ratings: as often as the formula says, in a log of positives with a labelled test."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from causalrec.data.card import Column, DatasetCard
from causalrec.data.dataset import CausalDataset
from causalrec.data.datasets import drawn_labels
from causalrec.data.datasets.base import AbstractDataset
from causalrec.data.datasets.coat import Coat
from causalrec.data.datasets.drawn_labels import DrawnLabels, like_probability
from causalrec.data.log import InteractionLog
from causalrec.data.sources import Source
from causalrec.errors import DataError, RequestError

USERS, ITEMS = 200, 50


@dataclass(frozen=True, kw_only=True)
class Ratings(AbstractDataset):
    """Every pair rated 1..5 in turn, in the log and in the test."""

    @property
    def card(self) -> DatasetCard:
        columns = (Column("user", "user", "id"), Column("item", "item", "id"))
        return DatasetCard("ratings", "made up", "none", (), {}, columns, "rating", "explicit", scale=(1.0, 5.0))

    @property
    def sources(self) -> tuple[Source, ...]:
        return ()

    def load(self, root: Path) -> CausalDataset:
        user, item = np.divmod(np.arange(USERS * ITEMS), ITEMS)
        rating = 1 + (user + item) % 5
        log = InteractionLog(item, np.ones_like(item), rating.astype(np.float32), ITEMS, user, USERS)
        tables = [pl.DataFrame({name: range(count)}) for name, count in (("u", USERS), ("i", ITEMS))]
        return CausalDataset(self.card, log, *tables, randomised=replace(log, name="test"))


def test_the_chance_of_a_like_is_that_of_the_paper() -> None:
    rating = np.arange(1, 6, dtype=np.float32)
    expected = [0.1 + 0.9 * share for share in (1 / 31, 3 / 31, 7 / 31, 15 / 31, 1.0)]
    np.testing.assert_allclose(like_probability(rating, (1.0, 5.0), 0.1), expected)


def test_likes_fall_as_often_as_they_must_and_the_log_holds_them_alone() -> None:
    dataset = DrawnLabels(of=Ratings(), noise=0.1).load(Path())
    assert (dataset.logged.outcome == 1).all() and dataset.card.feedback == "positive_only"
    test = dataset.randomised
    assert test is not None and len(test) == USERS * ITEMS and set(np.unique(test.outcome)) == {0.0, 1.0}
    ratings = np.arange(1, 6, dtype=np.float32)
    chances = zip(*(like_probability(ratings, (1.0, 5.0), noise) for noise in (0.1, 0.0)), strict=True)
    for level, (noisy, plain) in enumerate(chances):
        pairs = (np.add(*np.divmod(np.arange(USERS * ITEMS), ITEMS)) % 5) == level
        logged = np.isin(np.flatnonzero(pairs), dataset.logged.codes).mean()
        error = 4 * (0.25 / pairs.sum()) ** 0.5
        assert abs(logged - noisy) < error and abs(test.outcome[pairs].mean() - plain) < error


def test_a_draw_is_a_replicate_and_the_same_one_the_same() -> None:
    first, same, other = (DrawnLabels(of=Ratings(), draw=k).load(Path()).logged for k in (3, 3, 4))
    assert np.array_equal(first.codes, same.codes) and not np.array_equal(first.codes, other.codes)
    assert DrawnLabels(of=Ratings()).card.resampled_by == ("draw",)


def test_labels_need_a_rating_scale() -> None:
    with pytest.raises(RequestError, match=r"its outcome is a click.*name a data set of ratings"):
        _ = DrawnLabels(of=Coat(threshold=3)).card


def test_a_log_without_a_like_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(drawn_labels, "like_probability", lambda rating, scale, noise: np.zeros(len(rating)))
    with pytest.raises(DataError, match=r"none of 10000 rated pairs was liked; raise dataset\.noise"):
        DrawnLabels(of=Ratings()).load(Path())
