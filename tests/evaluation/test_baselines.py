"""The mandatory baselines, by hand and on data whose biases are known."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
import yaml
from sklearn.metrics import roc_auc_score

from causalrec.config.component import validate_component
from causalrec.config.compose import package_folder
from causalrec.data.log import InteractionLog
from causalrec.evaluation.baseline.base import AbstractBaseline
from causalrec.evaluation.baseline.bias_logistic import BiasLogistic
from causalrec.evaluation.baseline.constant import Constant
from causalrec.evaluation.baseline.item_mean import ItemMean
from causalrec.evaluation.baseline.popularity import Popularity
from causalrec.evaluation.baseline.user_mean import UserMean
from causalrec.types import Doubles, Floats, Ints


def log_of(user: Ints | None, item: Ints, outcome: Doubles, users: int, items: int) -> InteractionLog:
    treatment = np.ones(len(item), np.int64)
    return InteractionLog(item, treatment, np.asarray(outcome, np.float32), items, user, users)


# item 0: 1, 1, 0; item 1: 1; item 2: 0, 0; item 3: never seen; overall mean 0.5
HAND = log_of(np.array([0, 1, 2, 0, 1, 2]), np.array([0, 0, 0, 1, 2, 2]), np.array([1.0, 1, 0, 1, 0, 0]), 4, 4)
ALL = np.zeros(4, np.int64), np.arange(4)


def fit(baseline: AbstractBaseline, log: InteractionLog = HAND) -> AbstractBaseline:
    baseline.fit(log)
    return baseline


def test_constant_is_the_training_mean() -> None:
    assert fit(Constant()).predict(*ALL).tolist() == [0.5] * 4


def test_popularity_is_the_positives_per_user() -> None:
    assert fit(Popularity()).predict(*ALL).tolist() == [0.5, 0.25, 0.0, 0.0]


@pytest.mark.parametrize(
    ("prior", "expected"),
    [
        (0.0, [2 / 3, 1.0, 0.0, 0.5]),
        (2.0, [(2 + 1) / 5, (1 + 1) / 3, 1 / 4, 0.5]),
        (1e9, [0.5] * 4),
    ],
)
def test_item_mean_shrinks_to_the_overall_mean(prior: float, expected: list[float]) -> None:
    assert fit(ItemMean(prior=prior)).predict(*ALL).tolist() == pytest.approx(expected, abs=1e-6)


@pytest.mark.parametrize(
    ("prior", "expected"),
    [
        (0.0, [1.0, 0.5, 0.0, 0.5]),
        (2.0, [(2 + 1) / 4, (1 + 1) / 4, 1 / 4, 0.5]),
        (1e9, [0.5] * 4),
    ],
)
def test_user_mean_shrinks_to_the_overall_mean(prior: float, expected: list[float]) -> None:
    users, item = np.arange(4), np.zeros(4, np.int64)
    assert fit(UserMean(prior=prior)).predict(users, item).tolist() == pytest.approx(expected, abs=1e-6)


def timed_log(
    user: list[int], outcome: list[float], time: list[int], treatment: list[int] | None = None
) -> InteractionLog:
    log = log_of(np.array(user), np.zeros(len(user), np.int64), np.array(outcome), 3, 4)
    exposed = np.ones(len(user), np.int64) if treatment is None else np.array(treatment)
    return dataclasses.replace(log, time=np.array(time), treatment=exposed)


def test_user_mean_reads_of_a_context_only_what_is_strictly_older_than_the_row() -> None:
    train = timed_log([0, 0, 1], [1.0, 0.0, 1.0], [10, 30, 20])
    context = timed_log([0, 0, 1, 0], [0.0, 1.0, 0.0, 1.0], [5, 20, 20, 1], [1, 1, 1, 0])  # the last was not met
    baseline = UserMean(prior=0.0)
    baseline.fit(train, context)
    user = np.array([0, 0, 0, 0, 0, 1, 1, 2])
    time = np.array([5, 6, 20, 21, 99, 20, 21, 99])
    expected = [2 / 3, 0.0, 1 / 2, 2 / 3, 1 / 2, 2 / 3, 1 / 2, 2 / 3]  # nothing older: the training mean
    assert baseline.predict(user, user, time).tolist() == pytest.approx(expected)
    assert baseline.predict(user, user).tolist() == pytest.approx(
        [0.5] * 5 + [1.0] * 2 + [2 / 3]
    )  # training rows alone


def test_user_mean_of_a_context_agrees_with_loops() -> None:
    rng = np.random.default_rng(0)

    def random_log(rows: int) -> InteractionLog:
        log = log_of(rng.integers(6, size=rows), rng.integers(5, size=rows), rng.integers(2, size=rows), 6, 5)
        return dataclasses.replace(log, time=rng.integers(30, size=rows))

    train, context, test = random_log(20), random_log(90), random_log(50)
    assert train.user is not None and context.user is not None and test.user is not None
    assert train.time is not None and context.time is not None and test.time is not None
    rows = [
        *zip(train.user, train.time, train.outcome, strict=True),
        *zip(context.user, context.time, context.outcome, strict=True),
    ]
    expected = []
    for user, time in zip(test.user, test.time, strict=True):
        met = [y for u, t, y in rows if u == user and t < time]
        expected.append((sum(met) + 5 * train.outcome.mean()) / (len(met) + 5))
    baseline = UserMean()
    baseline.fit(train, context)
    np.testing.assert_allclose(baseline.predict(test.user, test.item, test.time), expected, atol=1e-6)


def simulate_log(seed: int = 0, users: int = 80, items: int = 60) -> tuple[InteractionLog, Doubles]:
    """Half of all pairs, the likelier the better the item; returns the log and the true log-odds of all pairs."""
    rng = np.random.default_rng(seed)
    of_user, of_item = rng.normal(size=users), rng.normal(size=items)
    raw = (-0.5 + of_user[:, None] + of_item[None, :]).ravel()
    chance = np.repeat((0.5 + 0.15 * np.tanh(of_item))[None, :], users, 0).ravel()
    shown = np.flatnonzero(rng.random(raw.size) < chance)
    outcome = rng.random(len(shown)) < 1 / (1 + np.exp(-raw[shown]))
    return log_of(shown // items, shown % items, outcome.astype(np.float64), users, items), raw


def all_pairs(log: InteractionLog) -> tuple[Ints, Ints]:
    code = np.arange(log.num_pairs)
    return code // log.num_items, code % log.num_items


def test_bias_logistic_recovers_the_biases_and_beats_the_constant_and_the_item_mean() -> None:
    log, raw = simulate_log()
    truth = 1 / (1 + np.exp(-raw))
    prediction = fit(BiasLogistic(), log).predict(*all_pairs(log)).astype(np.float64)
    learned = np.log(prediction / (1 - prediction)).reshape(80, 60)
    true = raw.reshape(80, 60)
    for axis in (0, 1):
        assert np.corrcoef(learned.mean(axis), true.mean(axis))[0, 1] > 0.9
    rows = learned - learned.mean(1, keepdims=True)
    np.testing.assert_allclose(rows, np.broadcast_to(rows[:1], rows.shape), atol=1e-3)  # nothing but two biases

    def error(estimate: Floats | Doubles) -> float:
        return float(np.square(estimate - truth).mean())

    for weaker in (Constant(), ItemMean(), Popularity()):
        assert error(prediction) < 0.5 * error(fit(weaker, log).predict(*all_pairs(log)))


def test_bias_logistic_is_a_ridge_for_ratings() -> None:
    rng = np.random.default_rng(1)
    of_user, of_item = rng.normal(size=40), rng.normal(size=30)
    code = rng.choice(1200, 800, replace=False)
    rating = 3 + of_user[code // 30] + of_item[code % 30] + 0.1 * rng.normal(size=800)
    log = log_of(code // 30, code % 30, rating, 40, 30)
    truth = (3 + of_user[:, None] + of_item[None, :]).ravel()
    predicted = fit(BiasLogistic(), log).predict(*all_pairs(log))
    assert np.corrcoef(predicted, truth)[0, 1] > 0.99
    assert np.square(predicted - truth).mean() < 0.05
    assert predicted.dtype == np.float32


def test_bias_logistic_chooses_its_penalty_by_cross_validation() -> None:
    rng = np.random.default_rng(2)
    code = rng.choice(2000, 600, replace=False)
    noise = log_of(code // 50, code % 50, (rng.random(600) < 0.3).astype(np.float64), 40, 50)
    spread = [fit(BiasLogistic(l2=l2), noise).predict(*all_pairs(noise)).std() for l2 in ((0.01, 100.0), (0.01,))]
    assert spread[0] < 0.2 * spread[1]  # no bias in truth: the strong penalty is chosen where it is offered


def test_bias_logistic_is_no_constant_at_the_size_users_have() -> None:
    users, items, rows = 50_000, 10_000, 300_000
    rng = np.random.default_rng(4)
    user, item = rng.integers(users, size=rows), np.minimum(rng.pareto(1.0, rows) * 200, items - 1).astype(np.int64)
    raw = rng.normal(scale=1.5, size=users)[user] + rng.normal(scale=1.0, size=items)[item]
    click = (rng.random(rows) < 1 / (1 + np.exp(-raw))).astype(np.float64)
    model = fit(BiasLogistic(l2=(1.0, 3.0)), log_of(user[:200_000], item[:200_000], click[:200_000], users, items))
    assert all(ending.converged for ending in model.fits)
    assert roc_auc_score(click[200_000:], model.predict(user[200_000:], item[200_000:])) > 0.7


@pytest.mark.parametrize("rows", [1, 2])
def test_bias_logistic_with_fewer_rows_than_folds(rows: int) -> None:
    log = log_of(np.arange(rows), np.arange(rows), np.arange(rows, dtype=np.float64), 3, 3)
    assert np.isfinite(fit(BiasLogistic(folds=3), log).predict(*all_pairs(log))).all()


def test_bias_logistic_with_one_outcome_class_predicts_it() -> None:
    log = log_of(np.arange(9), np.arange(9) % 4, np.ones(9), 9, 4)
    np.testing.assert_allclose(fit(BiasLogistic(), log).predict(*ALL), 1.0, atol=1e-6)


DECLARED = {
    name: validate_component(name, node, AbstractBaseline)
    for path in sorted((package_folder("conf") / "baseline").glob("*.yaml"))
    for name, node in yaml.safe_load(path.read_text()).items()
}


def test_some_baselines_predict_outcomes_and_some_effects() -> None:
    assert {chosen.target.estimand for chosen in DECLARED.values()} == {"exposed_mean", "effect"}


@pytest.mark.parametrize("name", [n for n, chosen in DECLARED.items() if chosen.target.estimand == "exposed_mean"])
def test_every_declared_baseline_serves_userless_logs_and_ratings_within_their_range(name: str) -> None:
    rng = np.random.default_rng(3)
    item = rng.integers(0, 4, 200)
    for outcome in ((rng.random(200) < 0.2 + 0.15 * item).astype(np.float64), 1.0 + item):
        baseline: AbstractBaseline = DECLARED[name].build()
        baseline.fit(log_of(None, item, outcome, 0, 4))
        predicted = baseline.predict(*ALL)
        assert predicted.shape == (4,) and predicted.dtype == np.float32 and np.isfinite(predicted).all()
        if baseline.in_outcome_unit:
            assert outcome.min() - 1e-3 <= predicted.min() and predicted.max() <= outcome.max() + 1e-3
        if baseline.tells_items_apart:
            best = 3 if baseline.in_outcome_unit else np.bincount(item, outcome).argmax()
            assert predicted[best] > predicted[0]
        else:
            assert len(set(predicted.tolist())) == 1
