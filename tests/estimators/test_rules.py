"""Rules as a penalty: their grammar, what they refuse, worked truths, and shares of training rows alone."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
import torch

from causalrec.config.component import validate_component
from causalrec.data.card import Column, DatasetCard
from causalrec.data.dataset import CausalDataset
from causalrec.data.knowledge import KnowledgeGraph
from causalrec.data.log import InteractionLog
from causalrec.errors import RequestError
from causalrec.estimators.objective.naive import Naive
from causalrec.estimators.penalty.rules import Rules
from causalrec.estimators.rules.shares import disliked_shares
from causalrec.models import inference_batch
from causalrec.training.fit_request import FitRequest
from causalrec.training.selection import search_requests
from causalrec.training.stacked.merge import penalty_value
from causalrec.types import OUTCOME, Outputs
from tests.statistical.rule_world import RULES, draw_world, fit_errors, permute_genres
from tests.training.test_stacked import VIEW, task

RULE = "dislikes(u, g) and has(i, g) -> dislikes(u, i)"
HAS = {"has": "genre"}
COLUMNS = (
    Column("user", "user", "id"),
    Column("age", "user", "numeric"),
    Column("job", "user", "category"),
    Column("item", "item", "id"),
    Column("genre", "item", "multi_hot"),
    Column("title", "item", "text"),
)
CARD = DatasetCard("toy", "", "", (), {}, COLUMNS, "click", "explicit")
RATINGS = dataclasses.replace(CARD, outcome="rating", scale=(1.0, 5.0))


def log_of(rows: list[tuple[int, int, float]]) -> InteractionLog:
    user, item, outcome = (np.array(column) for column in zip(*rows, strict=True))
    exposed = np.ones(len(rows), np.int64)
    return InteractionLog(item, exposed, outcome.astype(np.float32), 3, user, 2, propensity=exposed.astype(np.float32))


LOG = log_of([(0, 0, 0.0), (0, 1, 1.0), (1, 0, 1.0), (1, 1, 1.0)])


def toy(log: InteractionLog = LOG, card: DatasetCard = CARD, graph: KnowledgeGraph | None = None) -> CausalDataset:
    """Two users, three items: of crime, of crime and drama, of none."""
    users = pl.DataFrame({"user": [0, 1], "age": [20, 30], "job": ["nurse", "baker"]})
    genres = pl.Series("genre", [["crime"], ["crime", "drama"], []], dtype=pl.List(pl.String))
    items = pl.DataFrame({"item": [0, 1, 2], "genre": genres, "title": ["a", "b", "c"]})
    return CausalDataset(card, log, users, items, knowledge=graph)


def rules(*texts: str, **settings: Any) -> Rules:
    return Rules(rules=list(texts), **{"predicates": HAS, **settings})


def value(penalty: Rules, user: list[int], item: list[int], raw: torch.Tensor, link: Any = "logit") -> torch.Tensor:
    batch = inference_batch(np.array(user), np.array(item), VIEW)
    return penalty_value(penalty, batch, Outputs({OUTCOME: raw}, link))


# --- worked numbers


def test_shares_are_shrunk_to_the_groups_by_hand() -> None:
    log = log_of([(0, 0, 0.0), (0, 1, 0.0), (1, 0, 1.0), (1, 1, 1.0)])
    shares = disliked_shares(log, np.array([[1.0], [1.0], [0.0]]), 0.5)
    # m = 2/4; sum (k - n m)^2 = 1 + 1, less n m (1-m) = .5 + .5; over n (n-1) m (1-m) = .5 + .5: rho = 1, held at .99
    prior = 1 / 0.99 - 1
    assert shares[:, 0] == pytest.approx([(2 + prior / 2) / (2 + prior), (prior / 2) / (2 + prior)])


def test_no_user_with_two_rows_of_a_group_leaves_shares_near_the_groups() -> None:
    shares = disliked_shares(log_of([(0, 0, 0.0), (1, 1, 1.0)]), np.array([[1.0], [1.0], [0.0]]), 0.5)
    assert shares[:, 0] == pytest.approx([(1 + 99 / 2) / 100, (99 / 2) / 100])


def test_violations_are_those_of_lukasiewicz_by_hand() -> None:
    penalty = rules('works(u, "nurse") and has(i, g) -> dislikes(u, i)', predicates={**HAS, "works": "job"})
    raw = torch.logit(torch.tensor([0.7, 0.2, 0.9], dtype=torch.float64)).requires_grad_()
    # item 0 has one genre, item 1 two: three groundings, each violated by 1 - (1 - liked); item 2 has none
    mean = value(penalty.bind(toy()), [0, 0, 0], [0, 1, 2], raw)
    assert float(mean.detach()) == pytest.approx((0.7 + 2 * 0.2) / 3)
    mean.backward()  # type: ignore[no-untyped-call]
    assert raw.grad is not None and raw.grad.tolist() == pytest.approx([0.7 * 0.3 / 3, 2 * 0.2 * 0.8 / 3, 0])
    assert float(value(penalty.bind(toy()), [1, 1], [0, 1], raw[:2].detach())) == 0.0, "no nurse: nothing is said"


def test_soft_truths_meet_in_the_t_norm() -> None:
    bound = rules(RULE).bind(toy())
    shares = disliked_shares(LOG, np.array([[1.0, 0.0], [1.0, 1.0], [0.0, 0.0]]), 0.5)
    liked = 0.9
    expected = sum(max(0.0, share - (1 - liked)) for share in (shares[0, 0], shares[0, 0], shares[0, 1])) / 3
    raw = torch.logit(torch.tensor([liked, liked], dtype=torch.float64))
    assert float(value(bound, [0, 0], [0, 1], raw)) == pytest.approx(expected, abs=1e-7)


def test_ratings_are_read_by_their_place_on_the_scale() -> None:
    log = log_of([(0, 0, 1.0), (0, 1, 2.0), (1, 0, 5.0), (1, 1, 3.0)])
    bound = rules('has(i, "crime") and works(u, "baker") -> likes(u, i)', predicates={**HAS, "works": "job"}).bind(
        toy(log, RATINGS)
    )
    assert float(value(bound, [1], [0], torch.tensor([2.0]), "identity")) == pytest.approx(1 - 1 / 4)
    tastes = [rules(RULE, threshold=cut).bind(toy(log, RATINGS))._grounded[0].atoms[0].table for cut in (None, 4.0)]
    assert tastes[0] is not None and tastes[1] is not None
    assert float(tastes[0][1, 0]) < float(tastes[1][1, 0]), "a rating of 3 is disliked below 4, not below 3"


def test_negation_stands_in_a_body() -> None:
    settings = {"predicates": {**HAS, "works": "job"}}
    bound = rules('not has(i, "drama") and works(u, j) -> likes(u, i)', **settings).bind(toy())
    raw = torch.logit(torch.tensor([0.3, 0.3], dtype=torch.float64))
    assert float(value(bound, [0, 0], [0, 1], raw)) == pytest.approx(0.7), "item 1 is a drama: no grounding"


def test_a_body_may_read_what_the_model_says() -> None:
    bound = rules('likes(u, i) and has(i, "drama") -> dislikes(u, i)').bind(toy())
    raw = torch.logit(torch.tensor([0.9], dtype=torch.float64))
    assert float(value(bound, [0], [1], raw)) == pytest.approx(0.9 - 0.1)


def test_two_variables_make_a_grounding_of_each_pair_of_levels() -> None:
    """Users by jobs, items by genres: item 1 has two genres, a user one job."""
    bound = rules("works(u, j) and has(i, g) -> likes(u, i)", predicates={**HAS, "works": "job"}).bind(toy())
    _, counts = bound._grounded[0].violations(torch.tensor([0, 0, 1]), torch.tensor([0, 1, 2]), torch.ones(3))
    assert counts.tolist() == [1, 2, 0]


def test_a_batch_of_which_rules_say_nothing_has_no_violation() -> None:
    raw = torch.tensor([1.0], requires_grad=True)
    mean = value(rules(RULE).bind(toy()), [0], [2], raw)
    mean.backward()  # type: ignore[no-untyped-call]
    assert float(mean.detach()) == 0.0 and raw.grad is not None and raw.grad.tolist() == [0.0]


def test_relations_of_a_graph_are_predicates_too() -> None:
    graph = KnowledgeGraph(
        name="films",
        head=np.array([0, 1, 1, 2]),
        relation=np.array([0, 0, 0, 1]),
        tail=np.array([3, 3, 4, 4]),
        item_entity=np.array([0, 1, -1]),
        entities=("film a", "film b", "film c", "Ann", "Bea"),
        relations=("directed_by", "filmed_in"),
    )
    directed = {"directed": "knowledge.directed_by"}
    bound = rules("directed(i, d) and likes(u, d) -> likes(u, i)", predicates=directed).bind(toy(graph=graph))
    assert bound._grounded[0].slots[0].ids.tolist() == [[0, -1], [0, 1], [-1, -1]]
    with pytest.raises(RequestError, match=r"films has no relation 'directed'; did you mean 'directed_by'\?"):
        rules("d(i, x) and likes(u, x) -> likes(u, i)", predicates={"d": "knowledge.directed"}).bind(toy(graph=graph))
    with pytest.raises(RequestError, match="reads the relation 'directed_by', but toy comes without a knowledge graph"):
        rules("directed(i, d) and likes(u, d) -> likes(u, i)", predicates=directed).bind(toy())


def test_the_connectives_are_those_of_ltntorch() -> None:
    """LTNtorch 1.0.2 (Carraro, Serafini & Aiolli 2024), where it is installed."""
    operators = pytest.importorskip("ltn.fuzzy_ops")
    a, b = torch.rand(2, 50, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    body = operators.AndLuk()(a, b)
    assert (a + b - 1).clamp_min(0).tolist() == pytest.approx(body.tolist())
    liked = torch.rand(50, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    violation = (body - liked).clamp_min(0)
    assert (1 - operators.ImpliesLuk()(body, liked)).tolist() == pytest.approx(violation.tolist())


# --- what is refused


@pytest.mark.parametrize(
    ("texts", "line"),
    [
        ([], "penalty=rules: 0 rules; give 1 to 100 under penalty.rules.rules"),
        ([RULE] * 101, "penalty=rules: 101 rules; give 1 to 100"),
        (["has(i, g) and dislikes(u, g)"], "rule 1: expected ->, but read its end"),
        ([RULE, "has(i g) -> likes(u, i)"], "rule 2: expected ), but read g"),
        (["has(i, g) & dislikes(u, g) -> dislikes(u, i)"], "rule 1: '& dislikes(u, g) -> ' cannot be read"),
        (["and -> likes(u, i)"], "rule 1: expected the name of a predicate, but read and"),
        ([f"{RULE} likes"], "rule 1: expected nothing, but read likes"),
        ([""], "rule 1: expected the name of a predicate, but read its end"),
        (["dislikes(u, g) and hat(i, g) -> dislikes(u, i)"], "unknown predicate 'hat'; did you mean 'has'?"),
        (["has(i) and likes(u, g) -> likes(u, i)"], "has(i) has 1 arguments, and predicates have two"),
        (["likes(u, g) -> likes(u, i)"], "rule 1: the variable i of the head is unbound"),
        (["has(i, g) -> likes(u, i)"], "rule 1: the variable u of the head is unbound"),
        (["has(i, h) and likes(u, g) -> likes(u, i)"], "rule 1: the variable g is unbound: no column of the item"),
        (['has(i, h) and likes(u, "x") -> likes(u, i)'], "rule 1: the constant x is unbound: no column of the item"),
        (["has(j, g) and likes(u, g) and likes(u, i) -> dislikes(u, i)"], "first argument of has(j, g) is unbound"),
        (
            ["has(i, g) and likes(i, g) and likes(u, i) -> dislikes(u, i)"],
            "of likes(i, g) is unbound: it must be the u",
        ),
        (["not has(i, g) and likes(u, i) -> dislikes(u, i)"], "the variable g is unbound"),
        (["has(i, u) and likes(u, i) -> dislikes(u, i)"], "the second argument of has(i, u) must be a level"),
        (["likes(u, i) -> has(i, g)"], "the head has(i, g) says nothing that the model predicts"),
        (["has(i, g) and likes(u, g) -> not likes(u, i)"], "the head not likes(u, i) says nothing that the model"),
        (
            [
                "has(i, g) and likes(u, g) and likes(u, i) -> dislikes(u, i)",
                "has(i, g) and likes(u, g) and dislikes(u, i) -> likes(u, i)",
            ],
            "the rules go in a cycle, ",
        ),
    ],
)
def test_rules_that_cannot_be_grounded_are_refused_in_a_line(texts: list[str], line: str) -> None:
    with pytest.raises(RequestError) as refusal:
        rules(*texts)
    assert line in str(refusal.value) and "\n" not in str(refusal.value)


@pytest.mark.parametrize(
    ("settings", "line"),
    [
        (
            {"predicates": {"has": "genres"}},
            "predicates.has='genres': no column of a user or item of toy; did you mean",
        ),
        ({"predicates": {"has": "title"}}, "predicates.has='title': is of kind text, and rules read categories and li"),
        ({"predicates": {"has": "job"}}, "has(i, g): job is of the user; its first argument must be u"),
        ({"threshold": 0.5}, "penalty.rules.threshold=0.5: outcomes of toy are 0 or 1 already; leave it out"),
    ],
)
def test_what_the_card_does_not_hold_is_refused_before_any_file_is_read(settings: dict[str, Any], line: str) -> None:
    with pytest.raises(RequestError) as refusal:
        rules(RULE, **settings).check_card("rules", CARD)
    assert line in str(refusal.value)


def test_outcomes_without_a_scale_and_thresholds_off_it_are_refused() -> None:
    rules(RULE, threshold=4.0).check_card("rules", RATINGS)
    with pytest.raises(RequestError, match=r"threshold=9: outside the scale 1\.\.5 of toy"):
        rules(RULE, threshold=9.0).check_card("rules", RATINGS)
    with pytest.raises(RequestError, match=r"a watch_ratio has no scale of liking; set dataset\.threshold, or drop it"):
        rules(RULE).check_card("rules", dataclasses.replace(CARD, outcome="watch_ratio"))
    with pytest.raises(RequestError, match="penalty=rules: rules speak of users and items, and toy has no users"):
        rules(RULE).check_card("rules", dataclasses.replace(CARD, columns=COLUMNS[3:]))


def test_names_that_no_rule_reads_and_levels_that_no_item_has_are_refused() -> None:
    with pytest.raises(RequestError, match=r"predicates\.works: no rule reads it; drop it"):
        rules(RULE, predicates={**HAS, "works": "job"})
    with pytest.raises(RequestError, match=r"predicates\.likes: is what the model says; give the column another name"):
        rules(RULE, predicates={**HAS, "likes": "job"})
    with pytest.raises(RequestError, match=r"rule 1: genre has no level 'Crime'; did you mean 'crime'\?"):
        rules('has(i, "Crime") and dislikes(u, "Crime") -> dislikes(u, i)').bind(toy())


def test_the_component_reads_yaml() -> None:
    node = {"_target_": "causalrec.estimators.penalty.rules.Rules", "rules": [RULE], "predicates": HAS, "weight": 0.5}
    assert validate_component("penalty.rules", node).build() == rules(RULE, weight=0.5)


# --- training rows alone


def tastes_of(penalty: Rules) -> torch.Tensor:
    table = penalty._grounded[0].atoms[0].table
    assert table is not None
    return table


def test_rows_outside_the_training_log_change_no_truth() -> None:
    data = toy()
    with_test = dataclasses.replace(data, randomised=log_of([(0, 1, 0.0), (1, 2, 0.0)]))
    bound = [rules(RULE).bind(each.training_side(LOG)) for each in (data, with_test)]
    assert torch.equal(tastes_of(bound[0]), tastes_of(bound[1]))
    other = rules(RULE).bind(data.training_side(log_of([(0, 0, 1.0), (0, 1, 1.0), (1, 0, 0.0), (1, 1, 1.0)])))
    assert not torch.equal(tastes_of(bound[0]), tastes_of(other))


def test_a_folds_rules_read_of_its_training_rows_alone(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    rows = [(int(u), int(i), float(rng.random() < 0.5)) for u, i in np.argwhere(np.ones((2, 3)))]

    def requests(log: InteractionLog) -> list[FitRequest]:
        def bind(train: InteractionLog) -> dict[str, Any]:
            return {"rules": rules(RULE).bind(toy().training_side(train))}

        request = task(tmp_path, Naive(), train=log, penalties=bind(log), bind_penalties=bind)
        return search_requests([({}, request)], 3)

    before = requests(log_of(rows))
    for k, fold in enumerate(before):
        outside = {(int(u), int(i)) for u, i in zip(fold.validation.users, fold.validation.item, strict=True)}
        flipped = [(u, i, 1 - y if (u, i) in outside else y) for u, i, y in rows]
        after = requests(log_of(flipped))[k]
        assert torch.equal(tastes_of(fold.penalties["rules"]), tastes_of(after.penalties["rules"]))  # type: ignore[arg-type]
        assert not torch.equal(
            tastes_of(fold.penalties["rules"]),  # type: ignore[arg-type]
            tastes_of(rules(RULE).bind(toy().training_side(log_of(rows)))),
        )


def test_pairs_are_drawn_evenly_and_know_their_rows() -> None:
    drawer = rules(RULE, pairs=3000).rows
    assert drawer is not None
    rows = drawer.draw(LOG, np.random.default_rng(0), 2)
    assert rows.row.shape == (2, 3000) and rows.weight.min() == rows.weight.max() == 1
    counts = np.bincount((rows.user * 3 + rows.item).ravel(), minlength=6)
    assert counts.min() > 850 and counts.max() < 1150
    logged = rows.row >= 0
    assert (LOG.users[rows.row[logged]] == rows.user[logged]).all() and logged.mean() == pytest.approx(4 / 6, abs=0.03)


# --- does it help


def test_a_true_rule_lowers_the_true_error_and_one_of_permuted_genres_does_not(tmp_path: Path) -> None:
    """The small form of tests/statistical/test_planted_rule.py."""
    world = draw_world(0, users=150, items=250, density=0.06)
    penalty = Rules(rules=RULES, predicates=HAS, weight=10, pairs=512)
    bound = [None, penalty.bind(world.dataset), penalty.bind(permute_genres(world.dataset, 0))]
    none, true, permuted = [fit_errors(world, each, tmp_path / f"{k}", 0, 15) for k, each in enumerate(bound)]
    assert true[1] < none[1] - 0.005 and true[0] < none[0]
    assert permuted[1] > none[1] - 0.002 and permuted[0] > none[0]
