"""Rules: their grammar, what is refused, hand-worked truths, an oracle, what training rows say, a planted rule."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import ltn
import numpy as np
import polars as pl
import pytest
import torch
from torch.nn import functional

from causalrec.cli import main
from causalrec.data.card import Column, DatasetCard
from causalrec.data.dataset import CausalDataset
from causalrec.data.knowledge import KnowledgeGraph
from causalrec.data.log import InteractionLog
from causalrec.encoders.base import EncoderInputs
from causalrec.encoders.mf import MF
from causalrec.errors import RequestError
from causalrec.estimators.objective.naive import Naive
from causalrec.estimators.penalty.base import AbstractPenalty
from causalrec.estimators.penalty.rules import Rules, UniformPairs
from causalrec.estimators.rules.grammar import parse_rule
from causalrec.estimators.rules.truth import RuleTruth, liking_of
from causalrec.training.fit_request import FitRequest
from causalrec.training.selection import search_requests
from causalrec.types import OUTCOME, Batch, Floats, Ints, Outputs
from tests.training.test_stacked import task

WEIGHT = 3.0
GENRE = "dislikes(u, g) and has(i, g) -> dislikes(u, i)"
MIRROR = "likes(u, g) and has(i, g) -> likes(u, i)"  # else the level of every prediction is pushed one way
USERS, ITEMS = 3, 4


def log_of(user: Ints, item: Ints, outcome: Floats, users: int, items: int) -> InteractionLog:
    return InteractionLog(
        user=user,
        item=item,
        treatment=np.ones(len(user), np.int64),
        outcome=outcome.astype(np.float32),
        num_users=users,
        num_items=items,
        name="toy",
    )


def toy_log(outcome: tuple[float, ...] = (0, 0, 1, 1, 0)) -> InteractionLog:
    return log_of(np.array([0, 0, 0, 1, 1]), np.array([0, 1, 2, 0, 3]), np.array(outcome), USERS, ITEMS)


def toy(log: InteractionLog | None = None, **changes: Any) -> CausalDataset:
    columns = (
        Column("user", "user", "id"),
        Column("sex", "user", "category"),
        Column("genre", "item", "multi_hot"),
        Column("country", "item", "category"),
        Column("year", "item", "numeric"),
    )
    card = DatasetCard("toy", "", "", (), {}, columns, "click", "explicit")
    users = pl.DataFrame({"sex": ["F", "M", "F"]})
    genres = [["war"], ["war", "love"], ["love"], []]
    items = pl.DataFrame({"genre": genres, "country": ["x", "y", "x", "y"], "year": [1.0, 2.0, 3.0, 4.0]})
    return CausalDataset(card, log or toy_log(), users, items, **changes)


def bound(*rules: str, data: CausalDataset | None = None, **settings: Any) -> RuleTruth:
    truth = Rules(rules=rules, **settings).bind(data or toy())._truth
    assert truth is not None
    return truth


def violations_of(truth: RuleTruth, user: list[int], item: list[int], likes: list[float]) -> list[tuple[float, float]]:
    """What each rule of outcomes has of each row: how far it is broken, and groundings."""
    columns = torch.tensor(user), torch.tensor(item), torch.tensor(likes)
    pairs = [truth.violations(rule, *columns) for rule in truth.rule_set.of_outcomes]
    return [(round(float(a), 5), float(b)) for value, count in pairs for a, b in zip(value, count, strict=True)]


# --- grammar and refusals


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "a predicate was expected at character 0, but its end came"),
        ("has(i, g)", "'and' or '->' was expected"),
        ("has(i, g -> likes(u, i)", "',' or ')' was expected at character 11, but '->' came"),
        ("has(i, ) -> likes(u, i)", "a variable, or a level in quotes was expected"),
        ("has(i, g) -> likes(u, i) and has(i, g)", "the end was expected"),
        ("has(i, 3) -> likes(u, i)", "a variable, or a level in quotes was expected at character 8, but '3' came"),
        ("and(i, g) -> likes(u, i)", "a predicate was expected"),
        ("has(i, g) -> __import__('os')(u)", "the end was expected"),
        ("has(i, g) -> likes(u, i)" + " " * 1000, "a rule of 1,024 characters; write at most 1,000"),
    ],
)
def test_a_text_that_is_no_rule_says_what_was_expected_where(text: str, said: str) -> None:
    with pytest.raises(RequestError) as error:
        parse_rule(text)
    assert said in str(error.value)


@pytest.mark.parametrize(
    ("rules", "said"),
    [
        (["dislikes(u, g) -> dislikes(u, i)"], "i is unbound: it stands in the head and not in the body"),
        (["likes(u, g) and has(i, h) -> likes(u, i)"], "g and i are variables of items (or unbound: in no column"),
        (
            ["haz(i, g) and likes(u, g) -> likes(u, i)"],
            "haz: no predicate, no category or list of toy, and no relation",
        ),
        (["year(i, g) and likes(u, g) -> likes(u, i)"], "year: no predicate, no category or list of toy"),
        (["has(i) and likes(u, g) -> likes(u, i)"], "has has 2 arguments, and here 1"),
        (['has("war", i) and likes(u, i) -> likes(u, i)'], "a level stands second, in a column or relation"),
        (['likes(u, "war") and has(i, g) -> likes(u, i)'], "a level stands second, in a column or relation"),
        (["genre(i, g) and country(i, g) and likes(u, g) -> likes(u, i)"], "g runs over genre and over country; give"),
        (["sex(i, s) and likes(u, i) -> dislikes(u, i)"], "i is a user elsewhere, and in likes(u, i) a item"),
        (
            ["likes(u, i) and has(i, g) -> likes(u, i)"],
            "run in a circle: likes or dislikes of a user and an item <- li",
        ),
        (
            ["bad(u, i) -> dislikes(u, i)", "dislikes(u, i) and has(i, g) -> bad(u, i)"],
            "run in a circle: likes or dislikes of a user and an item <- bad <- likes or dislikes",
        ),
        (
            ["a(u) and has(i, g) and likes(u, g) -> likes(u, i)", "sex(u, s) and b(u) -> a(u)", "a(u) -> b(u)"],
            "a <- b <-",
        ),
        (["has(i, g) and likes(u, g) -> good(u, i)"], "no other rule uses good"),
        (["has(i, g) and likes(u, g) -> likes(u, g)"], "the head speaks of a level"),
        (
            ["bad(i) and sex(u, s) -> dislikes(u, i)", "has(i, g) -> not bad(i)"],
            "cannot be negated; negate it in their",
        ),
    ],
)
def test_rules_that_cannot_be_grounded_are_refused_by_the_card_alone(rules: list[str], said: str) -> None:
    with pytest.raises(RequestError) as error:
        Rules(rules=tuple(rules)).check_card(toy().card)
    assert said in str(error.value)


def test_levels_and_columns_that_there_are_not_are_named_with_the_nearest() -> None:
    with pytest.raises(RequestError, match=r"genre has no level \"wra\"; did you mean 'war'"):
        bound('has(i, "wra") and sex(u, s) -> dislikes(u, i)')
    with pytest.raises(RequestError, match=r"column=gerne: no category or list of items; did you mean 'genre'"):
        Rules(rules=(GENRE,), column="gerne").check_card(toy().card)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["penalty.rules.rules=['dislikes(u, g) -> dislikes(u, i)']"], "i is unbound"),
        (["penalty.rules.rules=[]"], "penalty.rules.rules=[]"),
        (["penalty.rules.rules=['has(i, g']"], "',' or ')' was expected"),
        ([f'penalty.rules.rules=["{GENRE}"]', "dataset.threshold=null"], "undefined for the link identity"),
    ],
)
def test_a_run_with_rules_that_cannot_be_read_is_refused_before_work(
    words: list[str], said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(["train", "dataset=ml100k", "penalty=rules", "logger=none", "objective=naive", *words]) == 2
    assert said in capsys.readouterr().err and not list(tmp_path.iterdir())


# --- truths


def test_likes_of_levels_are_those_of_training_rows_by_hand() -> None:
    holds = np.array([[1, 0], [1, 1], [0, 1], [0, 0]], np.float32)  # war, love
    liking = liking_of(toy_log(), holds, prior_rows=2)
    assert liking.tolist() == [[pytest.approx(-2 / 4), 0.0], [pytest.approx(1 / 3), 0.0], [0.0, 0.0]]


def test_violations_are_those_of_a_hand() -> None:
    truth = bound(GENRE, prior_rows=2)
    assert violations_of(truth, [0, 0, 0, 1, 2], [0, 1, 3, 0, 0], [0.9, 0.4, 0.9, 0.9, 0.9]) == [
        (pytest.approx(0.5 - 0.1), 1),  # user 0 dislikes war by half
        (0, 2),
        (0, 0),  # an item without genres
        (0, 1),  # user 1 likes war
        (0, 1),  # no rows
    ]


def test_levels_by_name_negations_users_columns_and_further_heads() -> None:
    truth = bound('sex(u, "F") and not has(i, "love") -> likes(u, i)')
    assert violations_of(truth, [0, 1, 0], [0, 0, 1], [0.2, 0.2, 0.2]) == [(pytest.approx(0.8), 1), (0, 0), (0, 0)]
    truth = bound(
        "bad(u, i) -> not likes(u, i)",
        "has(i, g) and dislikes(u, g) -> bad(u, i)",
        GENRE,
        prior_rows=2,
    )
    assert violations_of(truth, [0], [0], [0.9]) == [(pytest.approx(0.4), 1), (pytest.approx(0.4), 1)]
    truth = bound("genre(i, g) and country(i, c) and likes(u, g) and dislikes(u, c) -> likes(u, i)")
    assert violations_of(truth, [1], [0], [0.0])[0][1] == 1


def test_relations_of_the_graph_are_predicates() -> None:
    graph = KnowledgeGraph(
        name="toy",
        head=np.array([0, 1, 1]),
        relation=np.array([0, 0, 1]),
        tail=np.array([2, 2, 3]),
        item_entity=np.array([0, 1, -1, -1]),
        entities=("a", "b", "kubrick", "france"),
        relations=("film.director", "film.country"),
    )
    data = toy(knowledge=graph)
    truth = bound("dislikes(u, d) and film.director(i, d) -> dislikes(u, i)", data=data, prior_rows=2)
    assert violations_of(truth, [0, 0], [0, 2], [1.0, 1.0]) == [(pytest.approx(0.5), 1), (0, 0)]


def test_connectives_are_those_of_ltntorch() -> None:
    torch.manual_seed(0)
    dislikes, has, likes = torch.rand(50), (torch.rand(50) < 0.6).float(), torch.rand(50)
    body = ltn.fuzzy_ops.AndLuk()(dislikes, has)
    oracle = 1 - ltn.fuzzy_ops.ImpliesLuk()(body, 1 - likes)
    ours = ((dislikes + has - 1).clamp_min(0) - (1 - likes)).clamp_min(0)
    assert torch.allclose(ours, oracle, atol=1e-6)
    truth = bound(GENRE)
    (table,) = truth.tables.values()
    assert table.liking is not None
    user, item, chance = torch.tensor([0, 0, 1, 2]), torch.tensor([0, 1, 1, 2]), torch.tensor([0.9, 0.8, 0.7, 0.6])
    of_levels = [
        1
        - ltn.fuzzy_ops.ImpliesLuk()(
            ltn.fuzzy_ops.AndLuk()((-table.liking[user, level]).clamp_min(0), table.holds[item, level]), 1 - chance
        )
        for level in range(2)
    ]
    value, _ = truth.violations(truth.rule_set.rules[0], user, item, chance)
    assert torch.allclose(value, sum(of_levels, torch.zeros(4)), atol=1e-6)


def test_what_a_penalty_reads_changes_with_training_rows_alone() -> None:
    data = toy()
    with_test = toy(randomised=toy_log((1, 1, 0, 0, 1)))
    first, second = (Rules(rules=(GENRE,)).bind(each.training_side(toy_log())) for each in (data, with_test))
    assert first._truth is not None and second._truth is not None
    for mine, other in zip(first._truth.tables.values(), second._truth.tables.values(), strict=True):
        assert mine.liking is not None and other.liking is not None and torch.equal(mine.liking, other.liking)
    other = Rules(rules=(GENRE,)).bind(data.training_side(toy_log((1, 1, 0, 0, 1))))
    assert other._truth is not None and repr(other) == repr(first)
    (changed,), (same,) = other._truth.tables.values(), first._truth.tables.values()
    assert changed.liking is not None and same.liking is not None and not torch.equal(changed.liking, same.liking)


def test_the_rules_of_a_fold_read_its_training_rows_alone(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    codes, outcome = np.arange(USERS * ITEMS), (rng.random(USERS * ITEMS) < 0.5).astype(np.float32)

    def requests(labels: Floats) -> list[FitRequest]:
        log = log_of(codes // ITEMS, codes % ITEMS, labels, USERS, ITEMS).with_propensity(
            np.ones(len(codes), np.float32)
        )

        def bind(train: InteractionLog) -> dict[str, AbstractPenalty]:
            return {"rules": Rules(rules=(GENRE,)).bind(toy().training_side(train))}

        request = task(tmp_path, Naive(), train=log, penalties=bind(log), bind_penalties=bind)
        return search_requests([({}, request)], 3)

    for k, fold in enumerate(requests(outcome)):
        outside = np.isin(codes, fold.validation.codes)
        other, all_rows = (
            requests(np.where(outside, 1 - outcome, outcome))[k],
            Rules(rules=(GENRE,)).bind(
                toy().training_side(log_of(codes // ITEMS, codes % ITEMS, outcome, USERS, ITEMS))
            ),
        )
        assert torch.equal(liking_in(fold.penalties["rules"]), liking_in(other.penalties["rules"]))
        assert not torch.equal(liking_in(fold.penalties["rules"]), liking_in(all_rows))


def liking_in(penalty: AbstractPenalty) -> torch.Tensor:
    assert isinstance(penalty, Rules) and penalty._truth is not None
    (table,) = penalty._truth.tables.values()
    assert table.liking is not None
    return table.liking


def test_the_value_is_a_mean_over_groundings_and_pairs_are_uniform() -> None:
    penalty = Rules(rules=(GENRE,), prior_rows=2).bind(toy())
    filled = torch.ones(3)
    batch = Batch(
        item=torch.tensor([0, 1, 3]),
        treatment=filled.long(),
        outcome=filled,
        observed=filled,
        propensity=filled,
        weight=filled,
        features=torch.zeros(3, 0),
        user=torch.tensor([0, 0, 0]),
    )
    (term,) = penalty.ratios(batch, Outputs({OUTCOME: torch.full((3,), 20.0)}, "logit")).values()
    assert term.normaliser is not None
    assert float(term.value.sum() / term.normaliser.sum()) == pytest.approx((0.5 + 0.5 + 0) / 3, abs=1e-6)
    rows = UniformPairs(batch_size=5_000).draw(toy_log(), np.random.default_rng(0), 2)
    counts = np.bincount((rows.user * ITEMS + rows.item).ravel(), minlength=USERS * ITEMS)
    assert (rows.row == -1).all() and abs(counts - 10_000 / 12).max() < 4 * (10_000 / 12) ** 0.5


# --- a planted rule


def plant_rule(seed: int, users: int, items: int, rows: int) -> tuple[CausalDataset, Floats, Floats]:
    """Users who dislike 4 of 18 genres: the data, true probabilities, and which pairs the rule is of."""
    rng = np.random.default_rng(seed)
    genre = np.zeros((items, 18), np.float32)
    for item in range(items):
        genre[item, rng.choice(18, rng.integers(1, 3), replace=False)] = 1
    averse = np.zeros((users, 18), np.float32)
    for user in range(users):
        averse[user, rng.choice(18, 4, replace=False)] = 1
    of_rule = (averse @ genre.T > 0).astype(np.float32)
    logits = 0.8 + 0.7 * rng.normal(size=(users, 1)) + 0.7 * rng.normal(size=items)
    chance = np.where(of_rule > 0, 0.05, 1 / (1 + np.exp(-logits))).astype(np.float32)
    codes = rng.choice(users * items, rows, replace=False)
    outcome = (rng.random(rows) < chance.ravel()[codes]).astype(np.float32)
    log = log_of(codes // items, codes % items, outcome, users, items)
    columns = (Column("user", "user", "id"), Column("genre", "item", "multi_hot"))
    card = DatasetCard("planted", "", "", (), {}, columns, "click", "explicit")
    lists = [[f"g{k:02}" for k in np.flatnonzero(row)] for row in genre]
    data = CausalDataset(card, log, pl.DataFrame({"user": range(users)}), pl.DataFrame({"genre": lists}))
    return data, chance, of_rule


def true_error(data: CausalDataset, chance: Floats, of_rule: Floats, weight: float, seed: int, epochs: int) -> float:
    """The mean squared error over the pairs that the rule is of, of matrix factorisation with a rule of a weight."""
    log = data.logged
    torch.manual_seed(seed)
    encoder = MF(
        EncoderInputs(num_users=log.num_users, num_items=log.num_items, item_text=(), data=Path(), cache=Path())
    )
    intercept = torch.zeros(1, requires_grad=True)
    optimizer = torch.optim.AdamW([*encoder.parameters(), intercept], lr=0.02, weight_decay=1.0)
    penalty = Rules(rules=(GENRE, MIRROR)).bind(data)
    truth, rng = penalty._truth, np.random.default_rng(seed)
    assert truth is not None and log.user is not None

    def score(user: torch.Tensor, item: torch.Tensor) -> torch.Tensor:
        return (encoder.user_table.users(user) * encoder.item_table.items(item)).sum(-1) + intercept

    ids, outcome = (torch.from_numpy(log.user), torch.from_numpy(log.item)), torch.from_numpy(log.outcome)
    for _ in range(epochs):
        for rows in torch.from_numpy(rng.permutation(len(log))).split(512):
            loss = functional.binary_cross_entropy_with_logits(score(ids[0][rows], ids[1][rows]), outcome[rows])
            if weight:
                sampled = penalty.rows.draw(log, rng, 1)
                user, item = torch.from_numpy(sampled.user[0]), torch.from_numpy(sampled.item[0])
                for rule in truth.rule_set.rules:
                    value, count = truth.violations(rule, user, item, score(user, item).sigmoid())
                    loss = loss + weight * value.sum() / count.sum()
            optimizer.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]
            optimizer.step()
    codes = torch.arange(log.num_users * log.num_items)
    with torch.no_grad():
        predicted = score(codes // log.num_items, codes % log.num_items).sigmoid().numpy().reshape(chance.shape)
    return float((((predicted - chance) ** 2) * of_rule).sum() / of_rule.sum())


def permute_genres(data: CausalDataset, seed: int) -> CausalDataset:
    order = np.random.default_rng(seed).permutation(len(data.item_table))
    return CausalDataset(data.card, data.logged, data.user_table, data.item_table[order])


def differences(seed: int, size: tuple[int, int, int], epochs: int) -> tuple[float, float]:
    """True error with the rules minus without, over the pairs they are of: of genres as they are, and dealt anew."""
    data, chance, of_rule = plant_rule(seed, *size)
    plain = true_error(data, chance, of_rule, 0.0, seed, epochs)
    ruled = [true_error(each, chance, of_rule, WEIGHT, seed, epochs) for each in (data, permute_genres(data, seed))]
    return ruled[0] - plain, ruled[1] - plain


def test_a_planted_rule_lowers_the_true_error_of_its_pairs() -> None:
    true, permuted = differences(0, (300, 300, 4_500), 12)
    assert true < -0.005 and true < permuted - 0.005


@pytest.mark.long
def test_a_planted_rule_at_one_percent_lowers_the_true_error_and_one_of_permuted_genres_does_not() -> None:
    sampled = np.array([differences(seed, (943, 1_682, 15_861), 20) for seed in range(20)])
    half = 2.093 * sampled.std(0, ddof=1) / 20**0.5  # of t with 19 degrees of freedom
    assert sampled[:, 0].mean() + half[0] < 0 and sampled[:, 1].mean() + half[1] > 0
