"""Studies of policies' values: their laws and errors are those stated, in the pipeline's numbers where it has some."""

from __future__ import annotations

from functools import partial
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from scipy.special import logit
from sklearn.dummy import DummyClassifier

from causalrec.data.contexts import Contexts
from causalrec.data.log import InteractionLog
from causalrec.errors import RequestError
from causalrec.estimators.policy_value.estimator.dros import DRosValue
from causalrec.estimators.policy_value.estimator.snips import SNIPSValue
from causalrec.estimators.policy_value.rounds import LoggedRounds
from causalrec.evaluation.estimation import mips, obp_openbandit, value_errors
from causalrec.evaluation.estimation.base import AbstractEstimation, Estimate
from causalrec.evaluation.estimation.mips import MIPSStudy
from causalrec.evaluation.estimation.obp_digits import OBPDigits
from causalrec.evaluation.estimation.obp_synthetic import OBPSynthetic

NOWHERE = Path("unused")
TRUTH = 0.4779823411537781  # obp 0.5.7 with scikit-learn 1.3: 500 rounds, 4 actions, 2 numbers, random_state 3
VALUES = {"dm": 0.435526, "ips": 0.479261, "snips": 0.481851, "dr": 0.484752, "sndr": 0.485018, "switch_dr": 0.484752}


def cells_of(study: AbstractEstimation, seed: int = 0) -> dict[str, Estimate]:
    return {cell.column: cell for cell in study.run(NOWHERE, NOWHERE, seed)}


def test_values_over_blocks_are_those_of_all_rounds() -> None:
    first = LoggedRounds(
        reward=np.array([1.0]), action=np.array([0]), propensity=np.array([0.5]), target=np.array([1.0])
    )
    second = LoggedRounds(
        reward=np.array([0.5]), action=np.array([1]), propensity=np.array([0.5]), target=np.array([0.5])
    )
    assert value_errors.estimate_values({"snips": SNIPSValue()}, [first, second])["snips"] == pytest.approx(2.5 / 3)


def test_slope_leaves_a_parameter_that_makes_no_difference() -> None:
    share = np.array([[0.5, 0.5]] * 4)
    rounds = LoggedRounds(
        reward=np.array([1.0, 0.0, 1.0, 0.0]),
        action=np.array([0, 1, 0, 1]),
        propensity=np.full(4, 0.5),
        target=np.full(4, 0.5),
        target_distribution=share,
        model=np.array([[1.0, 0.0]] * 4),
    )
    assert value_errors.estimate_values({"dros": DRosValue()}, [rounds]) == {"dros": 0.5}


def test_a_fold_is_predicted_by_the_rewards_of_the_others() -> None:
    reward = np.array([1.0, 0.0, 1.0, 0.0, 0.0, 1.0])
    predicted = value_errors.cross_fit(
        partial(DummyClassifier, strategy="prior"), np.zeros((6, 1)), np.eye(2), np.zeros(6, np.int64), reward, 0
    )
    assert predicted.shape == (6, 2)
    folds = {tuple(np.flatnonzero(predicted[:, 0] == value)) for value in predicted[:, 0]}
    for rows in folds:
        others = np.setdiff1d(np.arange(6), rows)
        if len(rows) == 2:
            assert predicted[rows[0], 1] == pytest.approx(reward[others].mean())
    assert sum(len(rows) for rows in folds) == 6


def test_scores_are_standardised_or_shifted() -> None:
    x = np.random.default_rng(0).normal(size=(50, 5))
    standardised, shifted = (
        logit(OBPSynthetic(scores=scores)._rewards(1, x)) for scores in ("standardised", "shifted")
    )
    assert (standardised.mean(), standardised.std()) == pytest.approx((0, 1))
    slope = shifted.std()
    assert shifted == pytest.approx(standardised * slope + shifted.mean())
    mean = shifted.mean() * slope / (slope - 1)  # m - m / sd is what is left of the mean m
    assert shifted.mean() == pytest.approx(mean - mean / slope)


def test_a_draw_is_that_of_the_pipeline() -> None:
    study = OBPSynthetic(draws=2, rounds=500, actions=4, context_dim=2, scores="shifted")
    truth, values = study._draw(3)
    assert truth == pytest.approx(TRUTH, abs=1e-5)
    del values["dros"]  # the pipeline's SLOPE sorts candidates by the width of their intervals
    assert values == pytest.approx(VALUES, abs=2e-4)


def test_errors_fall_with_the_rounds_and_the_direct_method_keeps_its_own() -> None:
    few, many = (cells_of(OBPSynthetic(draws=3, rounds=n, actions=5)) for n in (200, 5000))
    assert many["re/dr"].value < few["re/dr"].value
    assert many["re/dm"].value > 3 * many["re/dr"].value


def test_rows_of_another_law_have_a_name_of_their_own() -> None:
    study = OBPSynthetic(draws=2, rounds=100, actions=3, beta=1.0, scores="shifted")
    assert {cell.row for cell in study.run(NOWHERE, NOWHERE, 0)} == {"logistic@beta=1@shifted"}


def test_a_classifier_of_digits_is_worth_what_ips_says_and_less_to_its_boosted_model() -> None:
    cells = cells_of(OBPDigits(draws=2))
    assert cells["bias/dm"].value < -0.25
    assert abs(cells["bias/dr"].value) < 0.08


def test_marginal_weights_are_less_variable_where_actions_are_many() -> None:
    cells = cells_of(MIPSStudy(draws=6, rounds=2000, actions=500))
    assert cells["se/mips"].value < cells["se/ips"].value
    assert cells["re/mips"].row == "actions-500"


def test_without_support_weights_of_actions_are_biased_and_marginal_weights_are_not() -> None:
    cells = cells_of(MIPSStudy(draws=8, rounds=4000, actions=200, levels=2, deficient=0.6))
    assert cells["re/ips"].row == "actions-200-deficient-0.6@levels=2"
    assert cells["bias/ips"].high < 0
    assert abs(cells["bias/mips"].value) < -cells["bias/ips"].value / 2


def test_a_study_without_an_action_is_refused() -> None:
    with pytest.raises(RequestError, match=r"estimation.deficient=0.99: leaves no action of 10; lower it"):
        MIPSStudy(actions=10, deficient=0.99)


def test_an_additive_model_finds_the_effects_of_levels() -> None:
    rng = np.random.default_rng(0)
    x, action = rng.normal(size=(4000, 1)), rng.integers(3, size=4000)
    reward = 2 * x[:, 0] + np.array([0.0, 1.0, 5.0])[action]
    of_round, of_action = mips.additive_model(x, np.arange(3)[:, None], action, reward, np.arange(4000) % 2)
    assert of_round + of_action[0][action] == pytest.approx(reward, abs=0.05)


def test_each_slot_has_a_model_and_the_logging_policy_is_worth_its_own_rewards() -> None:
    rng = np.random.default_rng(0)
    log = InteractionLog(
        item=rng.integers(2, size=90),
        treatment=np.ones(90, np.int64),
        outcome=rng.integers(2, size=90).astype(np.float32),
        num_items=2,
        position=1 + np.arange(90) % 3,
        propensity=np.full(90, 0.5, np.float32),
        columns={f"user_feature_{k}": rng.choice(["a", "b"], 90) for k in range(4)},
    )

    def uniform(contexts: Contexts) -> np.ndarray:
        return np.full((len(contexts), 2), 0.5)

    slots = obp_openbandit._slots(log, np.eye(2), uniform)
    assert [len(slot) for slot in slots] == [30, 30, 30]
    values = value_errors.estimate_values(value_errors.PIPELINE, slots)
    assert values["ips"] == pytest.approx(log.outcome.mean())


def test_columns_of_visitors_and_items_are_the_pipelines() -> None:
    assert obp_openbandit._dummies(["b", "a", "c"]).tolist() == [[1, 0], [0, 0], [0, 1]]
    items = pl.DataFrame(
        {"item_feature_0": [0.5, -1.0], "item_feature_1": ["y", "x"], "item_feature_2": ["p", "p"]}
    ).with_columns(item_feature_3=pl.Series(["m", "n"]))
    assert obp_openbandit._item_columns(items).tolist() == [[1, 0, 0, 0.5], [0, 0, 1, -1]]
