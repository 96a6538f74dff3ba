"""Every re-ranker: the plain list at weight 0, whole lists without repeats, nobody's list changed by another user's."""

from __future__ import annotations

from typing import Any

import numpy as np
import polars as pl
import pytest
import yaml

from causalrec.catalogue.facts import CatalogueFacts
from causalrec.catalogue.lists import NO_ITEM, Candidates
from causalrec.config.class_source import keyword_names
from causalrec.config.component import ComponentConfig, validate_component
from causalrec.config.compose import package_folder
from causalrec.data.card import Column, DatasetCard
from causalrec.data.dataset import CausalDataset
from causalrec.data.log import InteractionLog
from causalrec.errors import RequestError
from causalrec.rerankers import greedy
from causalrec.rerankers.base import AbstractReranker
from causalrec.rerankers.mmr import MMR
from causalrec.types import Floats, Ints

USERS, ITEMS, WIDTH = 40, 120, 30
CARD = DatasetCard(
    name="toy",
    domain="test",
    licence="none",
    urls=(),
    sha256={},
    columns=(
        Column("genre", "item", "multi_hot"),
        Column("price", "item", "numeric"),
        Column("look", "item", "vector"),
        Column("gender", "user", "category"),
    ),
    outcome="click",
    feedback="explicit",
)
NODES = {
    name: node
    for path in sorted((package_folder("conf") / "reranker").glob("*.yaml"))
    for name, node in yaml.safe_load(path.read_text(encoding="utf-8")).items()
}
COLUMN = {"column": "genre"}  # where a re-ranker reads one
each_reranker = pytest.mark.parametrize("name", NODES)


def reads_column(name: str) -> bool:
    return "column" in (keyword_names(NODES[name]["_target_"]) or ())


def component(name: str, **settings: Any) -> ComponentConfig[AbstractReranker]:
    about = COLUMN if reads_column(name) else {}
    return validate_component(f"reranker.{name}", {**NODES[name], **about, **settings}, AbstractReranker)


def facts() -> CatalogueFacts:
    """Items of one to three genres, a tenth of them of none; the last five users have no row."""
    rng = np.random.default_rng(0)
    genres = [sorted(rng.choice(list("abcdef"), rng.integers(1, 4), replace=False).tolist()) for _ in range(ITEMS)]
    genres[::10] = [[] for _ in genres[::10]]
    count = 600
    log = InteractionLog(
        user=rng.integers(0, USERS - 5, count),
        item=(ITEMS * rng.random(count) ** 2).astype(np.int64),
        treatment=np.ones(count, np.int64),
        outcome=rng.integers(0, 2, count).astype(np.float32),
        num_users=USERS,
        num_items=ITEMS,
        name="toy",
    )
    items = pl.DataFrame({"genre": pl.Series(genres, dtype=pl.List(pl.String))})
    vectors = {"look": rng.normal(size=(ITEMS, 8)).astype(np.float32)}
    users = pl.DataFrame({"gender": ["F"] * USERS})
    return CatalogueFacts(CausalDataset(CARD, log, users, items, item_vectors=vectors), log)


FACTS = facts()


def candidates(width: int = WIDTH) -> Candidates:
    """Every user's best by random scores; user k has k of them, where that is fewer."""
    rng = np.random.default_rng(1)
    score = np.sort(rng.normal(size=(USERS, width)).astype(np.float32), 1)[:, ::-1]
    item = np.stack([rng.permutation(ITEMS)[:width] for _ in range(USERS)])
    absent = np.arange(width) >= np.arange(USERS)[:, None]
    return Candidates(np.arange(USERS), np.where(absent, NO_ITEM, item), np.where(absent, -np.inf, score))


def rerank(name: str, given: Candidates, k: int, **settings: Any) -> Ints:
    return component(name, **settings).build().bind(FACTS)(given, k)


@each_reranker
def test_at_weight_0_it_is_the_plain_list(name: str) -> None:
    given = candidates()
    plain = np.where(given.item[:, :10] >= 0, np.arange(10), -1)
    assert (rerank(name, given, 10, weight=0) == plain).all()


@each_reranker
@pytest.mark.parametrize("weight", [0.3, 1.0])
def test_a_list_has_no_item_twice_and_its_gaps_at_its_end(name: str, weight: float) -> None:
    given = candidates()
    positions = rerank(name, given, WIDTH + 5, weight=weight)
    for user in range(USERS):
        count = min(user, WIDTH)
        assert sorted(positions[user, :count].tolist()) == list(range(count)), "every candidate, once"
        assert (positions[user, count:] == -1).all()
    if weight == 1.0:
        assert (positions[WIDTH:, :WIDTH] != np.arange(WIDTH)).any(), "the aim alone is another order"


@each_reranker
def test_a_shorter_list_is_the_beginning_of_a_longer_one(name: str) -> None:
    given = candidates()
    assert (rerank(name, given, 5) == rerank(name, given, 20)[:, :5]).all()


@each_reranker
def test_a_list_depends_on_nobody_else(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    given = candidates()
    together = rerank(name, given, 10)
    monkeypatch.setattr(greedy, "NUMBERS_AT_ONCE", 1)  # a user at a time
    assert (rerank(name, given, 10) == together).all()
    backwards = Candidates(given.user[::-1], given.item[::-1], given.score[::-1])
    assert (rerank(name, backwards, 10) == together[::-1]).all()


@each_reranker
def test_a_weight_means_the_same_in_any_unit_of_the_scores(name: str) -> None:
    given = candidates()
    scaled = Candidates(given.user, given.item, given.score * 8 + 1024)
    assert (rerank(name, scaled, 10, weight=0.6) == rerank(name, given, 10, weight=0.6)).mean() > 0.99  # rounding


@each_reranker
def test_without_users_or_candidates_there_is_no_list(name: str) -> None:
    none = Candidates(np.zeros(0, np.int64), np.zeros((0, 7), np.int64), np.zeros((0, 7), np.float32))
    assert rerank(name, none, 3).shape == (0, 3)
    empty = Candidates(np.arange(2), np.zeros((2, 0), np.int64), np.zeros((2, 0), np.float32))
    assert rerank(name, empty, 3).tolist() == [[-1] * 3] * 2


@each_reranker
def test_what_the_data_lack_is_one_line(name: str) -> None:
    component(name).build().check(CARD)
    for column in ("price", "gender", "genres") if reads_column(name) else ():  # a number; of users; misspelt
        with pytest.raises(RequestError, match=rf"^column={column}: (no such column|is of kind numeric).*genre"):
            component(name, column=column).build().check(CARD)


def test_a_weight_is_a_share_that_is_named_once() -> None:
    for settings in ({"weight": 1.1}, {"weight": -0.1}, {"curve": [0.2, 2]}, {"candidates": 0}):
        with pytest.raises(RequestError, match=r"^reranker\.mmr\."):
            component("mmr", **settings)
    for curve in ([0.5], [0.2, 0.2]):
        with pytest.raises(RequestError, match=r"names 0\.[25] twice, or it is the weight"):
            component("mmr", curve=curve).build()


def plain_mmr(score: Floats, vectors: Floats, weight: float, k: int) -> list[int]:
    """As Carbonell & Goldstein write it: a loop over items, for a user."""
    scaled = (score - score.min()) / (score.max() - score.min())
    chosen: list[int] = []
    while len(chosen) < k:
        left = [i for i in range(len(score)) if i not in chosen]
        likest = {i: max((float(vectors[i] @ vectors[j]) for j in chosen), default=0.0) for i in left}
        chosen.append(max(left, key=lambda i: (1 - weight) * scaled[i] - weight * likest[i]))
    return chosen


@pytest.mark.parametrize("weight", [0.2, 0.5, 0.9])
def test_mmr_is_a_plain_loop(weight: float) -> None:
    given = candidates()
    vectors = FACTS.space("look")
    positions = MMR(column="look", weight=weight).bind(FACTS)(given, 10)
    for user in range(WIDTH, USERS):
        assert positions[user].tolist() == plain_mmr(given.score[user], vectors[given.item[user]], weight, 10)
