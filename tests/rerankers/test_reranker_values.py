"""Re-rankers by hand: what levels users have, and which item an aim takes next."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from causalrec.catalogue.facts import CatalogueFacts
from causalrec.catalogue.lists import Candidates
from causalrec.data.card import Column, DatasetCard
from causalrec.data.dataset import CausalDataset
from causalrec.data.log import InteractionLog
from causalrec.errors import RequestError
from causalrec.rerankers.base import AbstractReranker
from causalrec.rerankers.calibrated import CalibratedLists, kl_divergence
from causalrec.rerankers.levels import column_levels, head_torso_tail
from causalrec.rerankers.mmr import MMR
from causalrec.rerankers.popularity_calibrated import PopularityCalibrated, jensen_shannon
from causalrec.rerankers.xquad import XQuAD

GENRES = [["a"], ["a"], ["a", "b"], ["b"], ["c"], []]
PLAIN = [0, 1, 2, 3, 4, 5]


def card(*columns: Column) -> DatasetCard:
    return DatasetCard("toy", "test", "none", (), {}, columns, "click", "explicit")


def facts(rows: Sequence[tuple[int, int, int]], users: int = 2) -> CatalogueFacts:
    """Six items of genres, and rows (user, item, outcome)."""
    user, item, outcome = (np.array([row[k] for row in rows], np.int64) for k in range(3))
    log = InteractionLog(
        user=user,
        item=item,
        treatment=np.ones(len(rows), np.int64),
        outcome=outcome.astype(np.float32),
        num_users=users,
        num_items=len(GENRES),
        name="toy",
    )
    items = pl.DataFrame({"genre": pl.Series(GENRES, dtype=pl.List(pl.String))})
    dataset = CausalDataset(card(Column("genre", "item", "multi_hot")), log, pl.DataFrame({"x": [0] * users}), items)
    return CatalogueFacts(dataset, log)


def order(
    reranker: AbstractReranker, catalogue: CatalogueFacts, score: Sequence[float], k: int, user: int = 0
) -> list[int]:
    """Return the items of a user's list; the candidates are all items, by falling score."""
    given = Candidates(np.array([user]), np.array([PLAIN]), np.array([score], np.float32))
    positions = reranker.bind(catalogue)(given, k)
    return [int(item) for item in positions[0]]


ROWS = [(0, 0, 1), (0, 2, 1), (0, 4, 0), (1, 5, 0)]  # user 0 likes a and a-b; user 1 nothing


def test_levels_of_a_user_are_the_mean_over_liked_items_and_of_all_where_nobody_knows() -> None:
    levels = column_levels(facts(ROWS), "genre")
    assert levels.share.tolist() == [[1, 0, 0], [1, 0, 0], [0.5, 0.5, 0], [0, 1, 0], [0, 0, 1], [0, 0, 0]]
    assert levels.user_shares(np.array([1, 0])).tolist() == [[0.75, 0.25, 0.0]] * 2  # user 1 as all users, here user 0


def test_levels_of_popularity_are_those_of_the_rows_a_user_met() -> None:
    rows = [(0, 0, 0)] * 4 + [(1, 0, 1)] * 4 + [(0, 1, 1), (1, 2, 1)]
    levels = head_torso_tail(facts(rows))
    assert levels.has.argmax(1).tolist() == [0, 2, 2, 2, 2, 2]  # item 0 has rows 0 to 8 of 10; 3 to 5 have none
    assert levels.user_shares(np.array([0])).tolist() == [[0.5, 0.0, 0.5]], "an item met four times is one item"


def test_mmr_takes_the_item_that_is_like_none_above_it() -> None:
    """At weight .5, after item 0: item 1 is worth .4 - .5, item 2 .3 - .5 / sqrt 2, item 3 .2."""
    score = [1.0, 0.8, 0.6, 0.4, 0.2, 0.0]
    assert order(MMR(column="genre"), facts(ROWS), score, 4) == [0, 3, 4, 5]
    light = MMR(column="genre", weight=0.2)  # item 1: .64 - .2, item 2: .48 - .2 / sqrt 2, item 3: .32
    assert order(light, facts(ROWS), score, 3) == [0, 1, 2]


def test_xquad_covers_what_a_user_cares_for() -> None:
    """p = (.75, .25, 0): item 0 has .75, item 2 1.0; then a and b are covered and scores alone are left."""
    score = [1.0, 0.9, 0.8, 0.7, 0.6, 0.0]
    assert order(XQuAD(column="genre"), facts(ROWS), score, 4) == [2, 0, 1, 3]
    light = XQuAD(column="genre", weight=0.1)  # .9 + .075 of item 0, .72 + .1 of item 2; then .81 of item 1, .72 + .025
    assert order(light, facts(ROWS), score, 2) == [0, 1]


def test_smooth_xquad_goes_on_counting_a_level_that_is_covered() -> None:
    """p = (2/3, 1/3, 0). Of the list 2, 0 half is b: item 3 is worth .07 + .9 / 6, item 1 .09."""
    score, likes = [1.0, 0.9, 0.8, 0.7, 0.6, 0.0], facts([(0, 3, 1), (0, 0, 1), (0, 1, 1), (0, 4, 0)])
    assert order(XQuAD(column="genre", weight=0.9, smooth=True), likes, score, 3) == [2, 0, 3]
    assert order(XQuAD(column="genre", weight=0.9), likes, score, 3) == [2, 0, 1]


HEADED = [(1, 4, 1)] * 8 + [(0, 4, 1), (0, 5, 1)]  # user 0: half head, half tail; user 1: head alone
FALLING = [1.0, 0.9, 0.8, 0.7, 0.6, 0.5]


def test_xquad_over_popularity_covers_head_and_tail_as_the_user_does() -> None:
    assert head_torso_tail(facts(HEADED)).user_shares(np.array([0, 1])).tolist() == [[0.5, 0.0, 0.5], [1.0, 0.0, 0.0]]
    assert order(XQuAD(weight=0.9, popularity=True), facts(HEADED), FALLING, 3) == [0, 4, 1]
    assert order(XQuAD(weight=0.9, popularity=True), facts(HEADED), FALLING, 3, user=1) == [4, 0, 1]


def test_calibration_takes_what_the_list_lacks_of_the_users_shares() -> None:
    """p = (.75, .25): after item 0, with q = (1, 0), item 2 makes q equal to p, and its divergence 0."""
    score = [1.0, 0.99, 0.98, 0.97, 0.96, 0.0]
    assert order(CalibratedLists(column="genre", weight=0.9), facts(ROWS), score, 2) == [2, 0]
    wanted, share = np.array([0.75, 0.25]), np.array([0.5, 0.5])
    mixed = 0.99 * 0.5 + 0.01 * 0.75, 0.99 * 0.5 + 0.01 * 0.25
    by_hand = 0.75 * math.log(0.75 / mixed[0]) + 0.25 * math.log(0.25 / mixed[1])
    assert float(kl_divergence(wanted, share, 0.01)) == pytest.approx(by_hand)
    assert float(kl_divergence(np.array([1.0, 0.0]), np.array([0.0, 1.0]), 0.01)) == pytest.approx(math.log(100))
    assert float(kl_divergence(wanted, wanted, 0.01)) == pytest.approx(0, abs=1e-7)


def test_an_item_without_a_level_changes_no_share() -> None:
    score = [1.0, 0.5, 0.4, 0.3, 0.2, 0.9]
    only_a = facts([(0, 0, 1), (0, 3, 0)])
    reranker = CalibratedLists(column="genre", weight=0.5)
    given = Candidates(
        np.array([0]), np.array([[0, 5, 1, 2, 3, 4]]), np.array([sorted(score, reverse=True)], np.float32)
    )
    assert reranker.bind(only_a)(given, 2).tolist() == [[0, 1]], "of a list that is calibrated, by score"


def test_popularity_is_in_proportion_to_what_a_user_is_used_to() -> None:
    reranker = PopularityCalibrated(weight=0.9)
    assert order(reranker, facts(HEADED), FALLING, 3) == [0, 4, 1]
    assert order(reranker, facts(HEADED), FALLING, 2, user=1) == [4, 0]
    shares = np.array([0.5, 0.5]), np.array([1.0, 0.0])
    middle = 0.75, 0.25
    by_hand = (0.5 * math.log2(0.5 / middle[0]) + 0.5 * math.log2(0.5 / middle[1]) + math.log2(1 / middle[0])) / 2
    assert float(jensen_shannon(*shares)) == pytest.approx(by_hand)


def test_settings_that_would_not_be_used_are_refused() -> None:
    columns = card(Column("title", "item", "text"), Column("genre", "item", "multi_hot"), Column("v", "item", "vector"))
    with pytest.raises(RequestError, match=r"^model=lm: column genre is no text"):
        MMR(column="genre", model=Path("lm")).check(columns)
    with pytest.raises(RequestError, match=r"^column: name a column of items: title, genre, v"):
        MMR().check(columns)
    for reranker in (CalibratedLists(column="v"), XQuAD(column="v")):
        with pytest.raises(RequestError, match=r"^column=v: is of kind vector, .*; choose one of genre"):
            reranker.check(columns)
    for only in (CalibratedLists(), XQuAD(), XQuAD(popularity=True)):
        only.check(columns)
    with pytest.raises(RequestError, match=r"^column=genre: is not read where popularity=true"):
        XQuAD(column="genre", popularity=True).check(columns)
    with pytest.raises(RequestError, match="the head ends before the tail begins"):
        PopularityCalibrated(borders=(0.8, 0.2))
