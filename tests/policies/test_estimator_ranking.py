"""The ranking of estimators where rewards are drawn anew: what it sees, and what it cannot see."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import numpy as np
import pytest

from causalrec.data.contexts import Contexts
from causalrec.data.log import InteractionLog
from causalrec.estimators.policy_value.base import AbstractValueEstimator
from causalrec.estimators.policy_value.contributions import Contributions
from causalrec.estimators.policy_value.estimator.clipped_ips import ClippedIPSValue
from causalrec.estimators.policy_value.estimator.dm import DirectMethod
from causalrec.estimators.policy_value.estimator.dr import DRValue
from causalrec.estimators.policy_value.estimator.ips import IPSValue
from causalrec.estimators.policy_value.estimator.snips import SNIPSValue
from causalrec.estimators.policy_value.interval.normal import NormalInterval
from causalrec.policies.estimator_ranking import DrawSums, EstimatorRanking
from causalrec.policies.evaluation import EvaluatedRounds, PolicyEvaluation, RewardModel
from causalrec.policies.reward_posterior import RewardDesign, RewardPosterior
from causalrec.types import Doubles

ROUNDS = 3000
ESTIMATORS: Mapping[str, AbstractValueEstimator] = {
    "dm": DirectMethod(),
    "ips": IPSValue(),
    "snips": SNIPSValue(),
    "dr": DRValue(),
    "clipped_ips": ClippedIPSValue(clip=0.01),
}


def x_of(contexts: Contexts) -> Doubles:
    return np.asarray(contexts.columns["x"], np.float64)


def prefer_large(contexts: Contexts) -> Doubles:
    """Take action 1 where x is far from 0, else action 0."""
    far = np.abs(x_of(contexts)) > 1
    return np.where(far[:, None], [0.1, 0.9], [0.9, 0.1])


def flat(contexts: Contexts) -> Doubles:
    return np.full((len(contexts), 2), 0.5)


def linear(contexts: Contexts) -> Doubles:
    """Mean rewards that differ from a flat model by something linear in x."""
    x = x_of(contexts)
    return np.stack([0.3 + 0.1 * x, 0.4 - 0.2 * x], 1)


def quadratic(contexts: Contexts) -> Doubles:
    """Mean rewards that differ from a flat model where x is far from 0, on average not at all."""
    x = x_of(contexts)
    return np.stack([np.full(len(x), 0.5), 0.5 + 0.4 * (x**2 - 1)], 1)


def rounds_of(mean: RewardModel, model: RewardModel | None, seed: int = 0, sd: float = 0.5) -> EvaluatedRounds:
    rng = np.random.default_rng(seed)
    contexts = Contexts(count=ROUNDS, num_actions=2, columns={"x": rng.normal(size=ROUNDS)})
    action = rng.integers(0, 2, ROUNDS)
    log = InteractionLog(
        item=action,
        treatment=np.ones(ROUNDS, np.int64),
        outcome=rng.normal(mean(contexts)[np.arange(ROUNDS), action], sd).astype(np.float32),
        num_items=2,
        columns=contexts.columns,
        of_rounds=True,
    )
    return EvaluatedRounds(
        log=log,
        policies={"far": prefer_large},
        propensity=np.full(ROUNDS, 0.5),
        logging=None,
        model=model,
        cluster=np.zeros(ROUNDS, np.int64),
        numbers=np.arange(ROUNDS),
    )


def evaluation(estimators: Mapping[str, AbstractValueEstimator] = ESTIMATORS, seed: int = 0) -> PolicyEvaluation:
    return PolicyEvaluation(
        policies=["far"],
        estimators=estimators,
        interval=NormalInterval(),
        truth=None,
        actions=None,
        num_clusters=0,
        seed=seed,
        memory=1e8,
    )


def rmse_table(rounds: EvaluatedRounds, judged: PolicyEvaluation | None = None, draws: int = 30) -> dict[str, float]:
    scores = EstimatorRanking(evaluation=judged or evaluation(), draws=draws).scores([rounds], "row")
    return {f"{score.metric}@{score.slice}": score.value for score in scores}


def bias_of_direct_method(mean: RewardModel, rounds: EvaluatedRounds) -> float:
    contexts = Contexts.of_log(rounds.log)
    return abs(float((prefer_large(contexts) * (flat(contexts) - mean(contexts))).sum(1).mean()))


def test_the_error_of_a_draw_by_hand() -> None:
    sums = DrawSums()
    weight = np.array([1.0, 3.0])
    columns = {
        "snips@far": Contributions(
            base=np.zeros(2), weight=weight, numerator=weight * np.array([1.0, 0.0]), denominator=weight
        )
    }
    sums.update(columns, {"far": np.array([[0.5, 0.5], [0.0, 1.0]])}, np.array([[0.2, 0.6], [0.9, 0.6]]))
    assert sums.error("snips", 0, "far") == pytest.approx(1 / 4 - (0.4 + 0.6) / 2)


def test_an_estimator_that_is_obviously_bad_is_last_and_an_unbiased_estimate_first() -> None:
    table = rmse_table(rounds_of(linear, flat))
    assert list(table) == [f"{name}_rmse@far" for name in ESTIMATORS]
    assert max(table, key=table.__getitem__) == "clipped_ips_rmse@far"
    assert table["dr_rmse@far"] < table["ips_rmse@far"] < table["dm_rmse@far"]


def test_a_model_that_is_right_makes_the_direct_method_first() -> None:
    table = rmse_table(rounds_of(linear, linear))
    assert min(table, key=table.__getitem__) == "dm_rmse@far"
    assert table["dm_rmse@far"] > 0.001, "a right model is not known to be right"


def test_the_bias_of_the_direct_method_is_seen_where_it_is_linear_and_missed_where_it_is_not() -> None:
    seen, missed = rounds_of(linear, flat), rounds_of(quadratic, flat)
    assert rmse_table(seen)["dm_rmse@far"] == pytest.approx(bias_of_direct_method(linear, seen), rel=0.2)
    assert rmse_table(missed)["dm_rmse@far"] < 0.5 * bias_of_direct_method(quadratic, missed)


def test_the_error_of_snips_is_that_of_fresh_rewards() -> None:
    truth = float(np.mean(np.sum(prefer_large(c := Contexts.of_log(rounds_of(linear, None).log)) * linear(c), axis=1)))
    rounds = rounds_of(linear, None)
    contexts, pairs = Contexts.of_log(rounds.log), (np.arange(ROUNDS), rounds.log.item)
    weight, mean = 2 * prefer_large(contexts)[pairs], linear(contexts)[pairs]
    rng = np.random.default_rng(1)
    errors = [float((weight * rng.normal(mean, 0.5)).sum() / weight.sum()) - truth for _ in range(300)]
    expected = float(np.sqrt(np.mean(np.square(errors))))
    table = rmse_table(rounds, evaluation({"ips": IPSValue(), "snips": SNIPSValue()}), draws=200)
    assert table["snips_rmse@far"] == pytest.approx(expected, rel=0.35)


def test_a_seed_gives_the_same_ranking_whatever_the_blocks() -> None:
    rounds = rounds_of(linear, flat)
    table = rmse_table(rounds, draws=5)
    assert rmse_table(rounds, draws=5) == table
    in_blocks = rmse_table(rounds, replace(evaluation(), memory=40_000.0), draws=5)
    assert all(in_blocks[column] == pytest.approx(value, rel=1e-6) for column, value in table.items())
    assert rmse_table(rounds, evaluation(seed=1), draws=5) != table


def test_clicks_are_drawn_as_clicks_and_parameters_chosen_in_each_draw() -> None:
    rounds = rounds_of(linear, flat)
    clicks = replace(rounds, log=replace(rounds.log, outcome=(rounds.log.outcome > 0.5).astype(np.float32)))
    table = rmse_table(clicks, evaluation({"ips": IPSValue(), "clipped_ips": ClippedIPSValue()}), draws=5)
    assert table["clipped_ips_rmse@far"] == pytest.approx(table["ips_rmse@far"]), "no weight is above 10 here"
    assert 0 < table["ips_rmse@far"] < 0.1


def test_the_posterior_of_a_shared_error_is_as_wide_as_that_of_a_regression_on_all_rounds() -> None:
    """Both actions err alike, so that their spread is near 0: what is left is a regression with K coefficients."""
    rounds = rounds_of(lambda c: np.stack([0.7 + 0.2 * x_of(c)] * 2, 1), None)
    design = RewardDesign.from_logs([rounds.log], modelled=False)
    posterior = RewardPosterior.fit(design, evaluation().blocks([rounds]), 2)
    draws = np.stack([posterior.draw(np.random.default_rng(seed)) for seed in range(300)])
    mean = draws.mean(1)  # over actions
    assert mean.mean(0) == pytest.approx([0.7 - design.mean, 0.2], abs=0.04)
    assert mean.std(0) == pytest.approx([0.5 / ROUNDS**0.5] * 2, rel=0.25)


def test_an_action_that_was_seldom_taken_is_in_doubt() -> None:
    rounds = rounds_of(lambda c: np.tile([0.2, 0.8], (len(c), 1)), None)
    rows = np.flatnonzero(rounds.log.item == 0).tolist() + np.flatnonzero(rounds.log.item == 1)[:5].tolist()
    log = rounds.log.take(np.array(rows))
    few = replace(rounds, log=log, propensity=rounds.propensity[: len(log)], cluster=rounds.cluster[: len(log)])
    design = RewardDesign.from_logs([log], modelled=False)
    posterior = RewardPosterior.fit(design, evaluation().blocks([few]), 2)
    often, seldom = np.std([posterior.draw(np.random.default_rng(seed))[:, 0] for seed in range(200)], axis=0)
    assert often < 0.03 and seldom > 3 * often
