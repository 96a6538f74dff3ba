"""Policies: each one's distribution by hand, its limits, and what they refuse."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import polars as pl
import pytest

from causalrec.data.card import Column, DatasetCard
from causalrec.data.contexts import ActionDistribution, Contexts
from causalrec.data.dataset import CausalDataset
from causalrec.data.log import InteractionLog
from causalrec.data.truth import Oracle
from causalrec.errors import DataError, RequestError
from causalrec.evaluation.baseline.base import AbstractBaseline
from causalrec.evaluation.baseline.item_effect import ItemEffect
from causalrec.evaluation.baseline.item_mean import ItemMean
from causalrec.evaluation.baseline.user_mean import UserMean
from causalrec.policies import once_per_user as once
from causalrec.policies.base import AbstractPolicy, PolicySource, take_probability
from causalrec.policies.epsilon_greedy import EpsilonGreedy
from causalrec.policies.estimated_frequencies import EstimatedFrequencies
from causalrec.policies.estimated_logistic import EstimatedLogistic
from causalrec.policies.logged import LoggingPolicy
from causalrec.policies.mixture import Mixture
from causalrec.policies.once_per_user import once_per_user
from causalrec.policies.scores.base import AbstractScores, ActionScores
from causalrec.policies.scores.baseline import BaselineScores
from causalrec.policies.scores.oracle import OracleScores
from causalrec.policies.softmax import Softmax
from causalrec.policies.thompson import Thompson
from causalrec.policies.top_k import TopK
from causalrec.policies.uniform import Uniform
from causalrec.types import Doubles

SCORES = np.array([[0.0, np.log(3.0), 0.0, -1.0], [2.0, 2.0, 1.0, 2.0]])  # of two users and four actions
ROUNDS = np.array([1, 0, 1, 1])  # users of four rounds


@dataclass(frozen=True)
class Table(AbstractScores):
    """Scores by user, and as many draws of them as there are tables."""

    can_draw: ClassVar[bool] = True
    tables: tuple[Doubles, ...] = (SCORES,)

    def bind(self, source: PolicySource) -> ActionScores:
        return self.draws(source, 1)[0]

    def draws(self, source: PolicySource, count: int | None) -> Sequence[ActionScores]:
        return [lambda contexts, table=table: table[contexts.user] for table in self.tables[:count]]


def card(**changes: Any) -> DatasetCard:
    columns = (Column("item", "item", "id"), Column("hour", "row", "category"), Column("age", "row", "numeric"))
    facts = {"name": "made_up", "domain": "x", "licence": "x", "urls": (), "sha256": {}, "columns": columns}
    return DatasetCard(**{**facts, "outcome": "click", "feedback": "exposure_logged", "repeats": "allowed", **changes})


def log(
    item: Sequence[int], outcome: Sequence[float] | None = None, num_items: int = 4, **columns: Any
) -> InteractionLog:
    items = np.array(item, np.int64)
    reward = np.zeros(len(items), np.float32) if outcome is None else np.array(outcome, np.float32)
    return InteractionLog(items, np.ones(len(items), np.int64), reward, num_items, **columns)


def source(train: InteractionLog, **dataset: Any) -> PolicySource:
    """What a policy of these training rounds may be made of; columns of the card are not in the log unless given."""
    users, items = pl.DataFrame({"user": range(train.num_users)}), pl.DataFrame({"item": range(train.num_items)})
    names = {name: np.zeros(len(train), kind) for name, kind in (("hour", str), ("age", float))}
    if not train.columns:
        train = InteractionLog(**{**vars(train), "columns": names})
    dataset_of = CausalDataset(
        card=card(), logged=train, user_table=users[: train.num_users], item_table=items, **dataset
    )
    return PolicySource(dataset=dataset_of, train=train, test=train, seed=0)


def by_users(count: int = 2) -> PolicySource:
    return source(log([0, 1], user=np.array([0, 1]), num_users=count))


def rounds(users: Sequence[int] = ROUNDS, actions: int = 4) -> Contexts:
    return Contexts(count=len(users), num_actions=actions, num_users=2, user=np.asarray(users, np.int64))


def probabilities(policy: AbstractPolicy) -> Doubles:
    return policy.bind(by_users())(rounds())


@pytest.mark.parametrize(
    ("policy", "of_users"),
    [
        (Uniform(), [[0.25] * 4, [0.25] * 4]),
        (Softmax(scores=Table()), [np.exp(SCORES[0]) / (5 + np.exp(-1)), np.exp(SCORES[1]) / np.exp(SCORES[1]).sum()]),
        (TopK(scores=Table(), k=2), [[0.25, 0.5, 0.25, 0.0], [1 / 3, 1 / 3, 0.0, 1 / 3]]),
        (TopK(scores=Table(), k=4), [[0.25] * 4, [0.25] * 4]),
        (EpsilonGreedy(scores=Table(), epsilon=0.2), [[0.05, 0.85, 0.05, 0.05], [0.95 / 3, 0.95 / 3, 0.05, 0.95 / 3]]),
        (
            Thompson(scores=Table((SCORES, SCORES, -SCORES)), prior=1.0),
            [[0.0625, 0.5625, 0.0625, 0.3125], [11 / 48, 11 / 48, 15 / 48, 11 / 48]],
        ),
        (
            Mixture(policies={"best": TopK(scores=Table(), k=1), "any": Uniform()}, weights={"best": 0.6, "any": 0.4}),
            [[0.1, 0.7, 0.1, 0.1], [0.3, 0.3, 0.1, 0.3]],
        ),
    ],
    ids=lambda value: type(value).__name__,
)
def test_a_distribution_is_as_by_hand(policy: AbstractPolicy, of_users: Any) -> None:
    rows = probabilities(policy)
    assert rows.dtype == np.float64 and rows.shape == (4, 4)
    np.testing.assert_allclose(rows, np.array(of_users)[ROUNDS], rtol=0, atol=1e-15)
    assert take_probability(rows, np.array([2, 1, 0, 3])) == pytest.approx(
        [of_users[u][a] for u, a in zip(ROUNDS, (2, 1, 0, 3), strict=True)]
    )


def test_rows_sum_to_one_whatever_the_scores() -> None:
    rng = np.random.default_rng(0)
    wide = tuple(np.round(rng.normal(scale=30, size=(2, 3000)), 1) for _ in range(7))  # with ties
    scores, binding = Table(wide), source(log([0, 1], num_items=3000, user=np.array([0, 1]), num_users=2))
    policies: list[AbstractPolicy] = [Uniform(), Softmax(scores=scores), TopK(scores=scores, k=11)]
    policies += [EpsilonGreedy(scores=scores, epsilon=0.3), Thompson(scores=scores), Thompson(scores=scores, prior=0.0)]
    policies += [Mixture(policies=dict(enumerate_names(policies)), weights=dict.fromkeys("abcdef", 1 / 6))]
    for policy in policies:
        rows = policy.bind(binding)(rounds(actions=3000))
        assert (rows >= 0).all() and np.abs(rows.sum(1) - 1).max() < 1e-12, policy


def enumerate_names(policies: Sequence[AbstractPolicy]) -> Sequence[tuple[str, AbstractPolicy]]:
    return list(zip("abcdef", policies, strict=True))


def test_limits_are_the_policies_they_tend_to() -> None:
    best, even = probabilities(TopK(scores=Table(), k=1)), probabilities(Uniform())
    for coldest in (1e-9, 1e-300):
        np.testing.assert_array_equal(probabilities(Softmax(scores=Table(), temperature=coldest)), best)
    np.testing.assert_allclose(probabilities(Softmax(scores=Table(), temperature=1e12)), even, atol=1e-12)
    np.testing.assert_allclose(probabilities(EpsilonGreedy(scores=Table(), epsilon=1.0)), even, atol=1e-15)
    np.testing.assert_array_equal(probabilities(EpsilonGreedy(scores=Table(), epsilon=0.0)), best)
    alone = Mixture(policies={"it": Softmax(scores=Table())}, weights={"it": 1.0})
    np.testing.assert_array_equal(probabilities(alone), probabilities(Softmax(scores=Table())))
    np.testing.assert_array_equal(probabilities(Thompson(scores=Table(), draws=1, prior=0.0)), best)


def test_the_order_of_ids_decides_no_tie() -> None:
    order = np.array([3, 0, 2, 1])
    for policy in (TopK, EpsilonGreedy, Thompson):
        settings = {"k": 2} if policy is TopK else {}
        plain = probabilities(policy(scores=Table(), **settings))
        moved = probabilities(policy(scores=Table((SCORES[:, order],)), **settings))
        np.testing.assert_allclose(moved, plain[:, order], atol=1e-15)


def test_thompson_takes_an_action_as_often_as_it_is_best_among_resamples() -> None:
    """Two arms of rates .5 and .6 seen 40 times each: the share is that of a bootstrap made by hand."""
    rng = np.random.default_rng(1)
    item = np.repeat([0, 1], 40)
    outcome = (np.arange(80) % 10 < np.where(item == 0, 5, 6)).astype(np.float32)
    bound = source(log(item, outcome, num_items=2))
    policy = Thompson(scores=BaselineScores(baseline=ItemMean(prior=0.0)), draws=600, prior=0.0)
    share = policy.bind(bound)(Contexts(count=3, num_actions=2))
    assert share.shape == (3, 2) and (share == share[0]).all()
    picks = rng.integers(80, size=(20_000, 80))
    hits = np.stack([(outcome[picks] * (item[picks] == arm)).sum(1) / (item[picks] == arm).sum(1) for arm in (0, 1)])
    expected = (hits[1] > hits[0]).mean() + 0.5 * (hits[1] == hits[0]).mean()
    assert 0.75 < expected < 0.9
    assert share[0, 1] == pytest.approx(expected, abs=4 * np.sqrt(expected * (1 - expected) / 600))
    again = policy.bind(bound)(Contexts(count=1, num_actions=2))
    assert (again[0] == share[0]).all(), "the same seed draws the same"


def test_each_user_is_scored_once(monkeypatch: pytest.MonkeyPatch) -> None:
    scored: list[int] = []

    def distribution(contexts: Contexts) -> Doubles:
        scored.extend(contexts.user.tolist())
        return np.full((len(contexts), 3), 1 / 3) + contexts.user[:, None]

    many = np.tile(np.arange(50), 2000)
    for limit, repeats in ((1 << 28, 1), (10, 2)):  # the table fits; it does not, and each block asks anew
        monkeypatch.setattr(once, "TABLE_BYTES", limit)
        cached = once_per_user(distribution, 50, 3)
        for block in (many[:60_000], many[60_000:]):
            contexts = Contexts(count=len(block), num_actions=3, num_users=50, user=block)
            np.testing.assert_array_equal(cached(contexts), 1 / 3 + np.repeat(block[:, None], 3, 1))
        assert sorted(scored) == sorted([*range(50)] * repeats)
        scored.clear()


def test_without_users_all_rounds_have_one_row() -> None:
    bound = BaselineScores(baseline=ItemMean(prior=0.0))
    rows = TopK(scores=bound, k=1).bind(source(log([0, 1, 1], [0.0, 1.0, 1.0], num_items=2)))(
        Contexts(count=5, num_actions=2)
    )
    assert rows.tolist() == [[0.0, 1.0]] * 5


@pytest.mark.parametrize("wrong", [np.nan, np.inf])
def test_a_score_that_is_no_number_is_refused_and_its_user_named(wrong: float) -> None:
    table = SCORES.copy()
    table[0, 2] = wrong
    binding = source(log([0, 1], user=np.array([0, 1]), num_users=2), user_ids=pl.Series(["ann", "bob"]))
    for policy in (Softmax(scores=Table((table,))), Thompson(scores=Table((SCORES, table)))):
        with pytest.raises(DataError, match=f"made_up: user ann: the score of action 2 is {wrong}; a policy needs"):
            policy.bind(binding)(rounds())


def test_the_logging_policy_is_that_of_the_data_or_refused() -> None:
    def logging(contexts: Contexts) -> Doubles:
        return np.tile([0.7, 0.1, 0.1, 0.1], (len(contexts), 1))

    bound = LoggingPolicy().bind(source(log([0, 1]), logging_policy=logging))
    assert bound(rounds())[2].tolist() == [0.7, 0.1, 0.1, 0.1]
    with pytest.raises(RequestError, match=r"made_up: .*; estimate them: policy estimated_frequencies or"):
        LoggingPolicy().bind(source(log([0, 1])))


def test_frequencies_are_as_by_hand() -> None:
    """Ten rounds: at position 1 actions 0, 0, 0, 1, at position 2 six times action 2; prior 2."""
    position = np.array([1] * 4 + [2] * 6)
    bound = EstimatedFrequencies(columns=("position",), prior=2.0).bind(
        source(log([0, 0, 0, 1] + [2] * 6, position=position))
    )
    overall = np.array([3.5, 1.5, 6.5, 0.5]) / 12
    expected = [(np.array([3, 1, 0, 0]) + 2 * overall) / 6, (np.array([0, 0, 6, 0]) + 2 * overall) / 8, overall]
    contexts = Contexts(count=3, num_actions=4, position=np.array([1, 2, 9]))
    np.testing.assert_allclose(bound(contexts), expected, atol=1e-15)
    np.testing.assert_allclose(
        EstimatedFrequencies(prior=2.0).bind(source(log([0, 0, 0, 1] + [2] * 6)))(contexts), [overall] * 3
    )


def test_frequencies_by_two_columns_tell_their_combinations_apart() -> None:
    hour, user = np.array(["a", "a", "b", "b"]), np.array([0, 1, 0, 1])
    age = np.zeros(4)
    columns = {"hour": hour, "age": age}
    rounds_of = log([0, 1, 2, 3], user=user, num_users=2, columns=columns)
    bound = EstimatedFrequencies(columns=("hour", "user"), prior=1e-9).bind(source(rounds_of))
    np.testing.assert_allclose(bound(Contexts.of_log(rounds_of)), np.eye(4), atol=1e-8)
    with pytest.raises(RequestError, match="columns: age is a number, not a category; choose estimated_logistic"):
        EstimatedFrequencies(columns=("age",)).bind(source(rounds_of))


def logistic_rounds(count: int, seed: int) -> tuple[InteractionLog, Doubles]:
    """Rounds of a policy that is logistic in a number and a category, and its true distribution."""
    rng = np.random.default_rng(seed)
    age, hour = rng.normal(40, 10, count), rng.integers(3, size=count)
    raw = np.array([0.0, 0.5, -0.5]) + np.outer((age - 40) / 10, [1.0, 0.0, -1.0]) + 1.5 * np.eye(3)[hour]
    truth = np.exp(raw) / np.exp(raw).sum(1, keepdims=True)
    item = (rng.random(count)[:, None] > truth.cumsum(1)).sum(1)
    columns = {"age": age, "hour": np.array(["x", "y", "z"])[hour]}
    return log(item, num_items=4, columns=columns), truth  # the fourth action is never taken


def test_the_regression_recovers_a_logistic_policy_and_frequencies_do_not() -> None:
    train, _ = logistic_rounds(8000, 0)
    test, truth = logistic_rounds(500, 1)
    contexts = Contexts.of_log(test)
    fitted = EstimatedLogistic().bind(source(train))(contexts)
    assert np.abs(fitted.sum(1) - 1).max() < 1e-12 and fitted[:, 3] == pytest.approx(0.25 / 8001)
    assert np.abs(fitted[:, :3] - truth).mean() < 0.02
    coarse = EstimatedFrequencies(columns=("hour",)).bind(source(train))(contexts)
    assert np.abs(coarse[:, :3] - truth).mean() > 0.08, "what follows the number is lost"
    hour = EstimatedLogistic(columns=("hour",)).bind(source(train))(contexts)
    np.testing.assert_allclose(hour[:, :3], coarse[:, :3], atol=0.01)
    new = Contexts(count=1, num_actions=4, columns={"age": np.array([40.0]), "hour": np.array(["never"])})
    assert EstimatedLogistic().bind(source(train))(new).sum() == pytest.approx(1), "a level without a round has none"


def test_the_regression_without_columns_has_the_frequencies() -> None:
    bound = EstimatedLogistic(columns=(), prior=2.0).bind(source(log([0, 0, 0, 1] + [2] * 6)))
    expected = (np.array([3, 1, 6, 0]) + 0.5) / 12
    np.testing.assert_allclose(bound(Contexts(count=1, num_actions=4)), [expected], atol=1e-4)


def test_a_baseline_orders_actions_by_its_training_rounds_alone() -> None:
    train = log([0, 0, 1, 2, 3], [1.0, 0.0, 1.0, 0.0, 0.5], user=np.array([0, 1, 0, 1, 0]), num_users=2)
    component: AbstractBaseline = ItemMean(prior=0.0)
    scores = BaselineScores(baseline=component).bind(source(train))
    np.testing.assert_allclose(scores(rounds()), [[0.5, 1.0, 0.0, 0.5]] * 4)
    assert not hasattr(component, "_mean"), "the component is shared and stays as it was"
    of_users = BaselineScores(baseline=UserMean(prior=0.0)).bind(source(train))(rounds())
    np.testing.assert_allclose(of_users[:2], [[0.0] * 4, [2.5 / 3] * 4], rtol=1e-6)
    with pytest.raises(RequestError, match="made_up: no training rounds"):
        BaselineScores(baseline=component).bind(source(log([])))


def test_effects_of_arms_order_no_actions() -> None:
    treatment = np.array([0, 1, 2, 1])
    arms = InteractionLog(np.zeros(4, np.int64), treatment, np.ones(4, np.float32), 1)
    scores = BaselineScores(baseline=ItemEffect()).bind(source(arms))
    with pytest.raises(RequestError, match="ItemEffect: predicts effects of arms, not the mean reward of actions"):
        scores(Contexts(count=2, num_actions=1))


def test_the_oracle_takes_what_is_truly_best() -> None:
    rate = np.array([[0.1, 0.9, 0.2, 0.3], [0.8, 0.1, 0.1, 0.1]])
    truth = Oracle(rate=lambda u, i: rate[u, i], propensity=lambda u, i: rate[u, i])
    train = log([0, 1], user=np.array([0, 1]), num_users=2)
    best = TopK(scores=OracleScores(), k=1).bind(source(train, oracle=truth))(rounds())
    assert best.argmax(1).tolist() == [0, 1, 0, 0]
    by_context = source(train, oracle=truth, context_oracle=lambda contexts: -rate[contexts.user])
    assert TopK(scores=OracleScores(), k=1).bind(by_context)(rounds())[1].tolist() == [1.0, 0.0, 0.0, 0.0]
    with pytest.raises(RequestError, match="made_up: its true outcomes are not known"):
        TopK(scores=OracleScores(), k=1).check(card())
    with pytest.raises(RequestError, match="made_up: has no true mean reward of actions"):
        OracleScores().bind(source(train))


@pytest.mark.parametrize(
    ("policy", "message"),
    [
        (EstimatedFrequencies(columns=("houre",)), "columns: the rounds of made_up have no houre; did you mean 'hour'"),
        (EstimatedLogistic(columns=("weekday",)), "columns: the rounds of made_up have no weekday"),
        (Thompson(scores=OracleScores()), "thompson: OracleScores has no draws; give it a baseline"),
        (Mixture(policies={"a": Thompson(scores=OracleScores())}, weights={"a": 1.0}), "thompson: OracleScores has no"),
    ],
)
def test_what_the_card_forbids_is_refused_before_files_are_read(policy: AbstractPolicy, message: str) -> None:
    with pytest.raises(RequestError, match=message):
        policy.check(card())


def test_what_the_rounds_lack_is_refused() -> None:
    with pytest.raises(DataError, match="the rounds have no position, by which their policy is estimated"):
        EstimatedFrequencies(columns=("position",)).bind(source(log([0, 1])))
    with pytest.raises(RequestError, match="k=5: made_up has 4 actions; choose at most as many"):
        TopK(scores=Table(), k=5).bind(by_users())
    with pytest.raises(RequestError, match="OracleScores: has no draws"):
        OracleScores().draws(by_users(), 2)


@pytest.mark.parametrize(
    ("weights", "message"),
    [
        ({"a": 0.5}, "weights: sum to 0.5; they are shares of rounds, and sum to 1"),
        ({"b": 1.0}, "weights: [ab] (has no weight|is no policy of the mixture)"),
    ],
)
def test_a_mixture_of_other_weights_is_refused(weights: dict[str, float], message: str) -> None:
    with pytest.raises(RequestError, match=message):
        Mixture(policies={"a": Uniform()}, weights=weights)


def test_a_distribution_of_moments_is_not_remembered_by_user() -> None:
    """Scores that read more than the user are asked for every round."""

    @dataclass(frozen=True)
    class Hourly(AbstractScores):
        by_user: ClassVar[bool] = False

        def bind(self, source: PolicySource) -> ActionScores:
            return lambda contexts: np.outer(contexts.time, [1.0, -1.0])

    bound: ActionDistribution = TopK(scores=Hourly(), k=1).bind(source(log([0, 1], num_items=2)))
    contexts = Contexts(count=2, num_actions=2, num_users=1, user=np.zeros(2, np.int64), time=np.array([1, -1]))
    assert bound(contexts).tolist() == [[1.0, 0.0], [0.0, 1.0]]
