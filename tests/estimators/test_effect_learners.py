"""Learners of effects: each YAML finds effects that are known, and refuses what it cannot do in one line."""

from __future__ import annotations

import copy
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from functools import wraps
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml

from causalrec.config.component import validate_component
from causalrec.config.compose import package_folder
from causalrec.errors import CausalRecError, DataError, RequestError
from causalrec.estimators.effect.aipw import CrossFit
from causalrec.estimators.effect.average_effect import AverageRequest
from causalrec.estimators.effect.base import AbstractFittedEffect, LearnerData
from causalrec.estimators.effect.fit_log import FitLog
from causalrec.estimators.effect.nuisance import build_sklearn_model
from causalrec.evaluation.refuter.re_estimation import LOGISTIC
from causalrec.learners.dowhy import resample
from causalrec.learners.table import AbstractTableLearner
from causalrec.types import Doubles

PATHS = [
    path
    for path in sorted((package_folder("conf") / "learner").glob("*.yaml"))
    if not any(name in path.read_text() for name in ("NetworkLearner", "RegressionLearner"))
]
READ_BESIDE = {
    "ortho_iv": "instruments",
    "dowhy_front_door": "one mediator",
}  # what they read that no other learner does
NAMES = [path.stem for path in PATHS if path.stem not in READ_BESIDE]
ECONML = [name for name in NAMES if not name.startswith("dowhy_")]
DOWHY = [name for name in NAMES if name.startswith("dowhy_")]
CONSTANT = [name for name in DOWHY if name != "dowhy_linear_regression"]
SLOW = ("dowhy_stratification", "dowhy_matching")
INTERVALS = {"linear_dml", "linear_dr_learner", "causal_forest_dml", "forest_dr_learner"}
METALEARNERS = {"s_learner", "t_learner", "x_learner"}
ALL = AverageRequest()
CROSS_FIT = CrossFit(
    outcome={"estimator": "sklearn.linear_model.LinearRegression"},
    treatment={"estimator": "sklearn.linear_model.LogisticRegression"},
)


def node(name: str) -> dict[str, Any]:
    """The YAML's node, with few trees and resamples."""
    loaded: dict[str, Any] = yaml.safe_load((package_folder("conf") / "learner" / f"{name}.yaml").read_text())
    small = copy.deepcopy(loaded)
    for models in ("models", "binary_models", "average"):
        for model in small.get(models, {}).values():
            if isinstance(model, dict) and "Boosting" in model["estimator"]:
                model |= {"max_iter": 40, "learning_rate": 0.12}
    if "n_estimators" in small.get("arguments", {}):
        small["arguments"] |= {"n_estimators": 40, "n_jobs": 1}
    if name in CONSTANT and name != "dowhy_matching":
        small["replicates"] = 10
    return small


def learner(name: str, **changes: Any) -> AbstractTableLearner:
    built: AbstractTableLearner = validate_component("learner", {**node(name), **changes}, AbstractTableLearner).build()
    return built


def simulate(rows: int = 2000, arms: int = 1, seed: int = 0, binary: bool = False) -> tuple[LearnerData, Doubles]:
    """Rows whose treatment and outcome both depend on the first control, and their true effects given X, [N,A].

    Effects are 1 + x1 and 0.5 - x1; of a binary outcome they move the log-odds, and the truth is that given X and W.
    """
    rng = np.random.default_rng(seed)
    x, w = rng.normal(size=(rows, 2)), rng.normal(size=(rows, 3))
    pull = np.column_stack([np.zeros(rows), w[:, 0], -w[:, 0]])[:, : arms + 1]
    treatment = (pull + rng.gumbel(size=pull.shape)).argmax(axis=1)
    moved = np.column_stack([np.zeros(rows), 1 + x[:, 0], 0.5 - x[:, 0]])[:, : arms + 1]
    level = w[:, :1] + x[:, 1:] + moved
    if binary:
        level = 1 / (1 + np.exp(-level))
    mean = level[np.arange(rows), treatment]
    outcome = (rng.random(rows) < mean).astype(float) if binary else mean + rng.normal(size=rows)
    return LearnerData(x, w, treatment, outcome, arms, binary), level[:, 1:] - level[:, :1]


def within(effect: AbstractFittedEffect, truth: Doubles, errors: float = 3.0) -> bool:
    average = effect.average(ALL)
    assert average is not None
    assert ((average.low < average.value) & (average.value < average.high)).all()
    assert (average.standard_error < 0.15).all()
    return bool((np.abs(average.value - truth.mean(axis=0)) < errors * average.standard_error).all())


@pytest.mark.long
@pytest.mark.parametrize("name", [name for name in NAMES if name not in CONSTANT])
def test_effects_of_rows_not_seen_follow_the_truth(name: str) -> None:
    (rows, truth), (others, unseen) = simulate(), simulate(1000, seed=1)
    fitted = learner(name).fit_rows(rows, 0)
    effects = fitted.effects(others.modifiers, others.controls)
    assert effects.shape == (1000, 1) and effects.dtype == np.float64
    assert np.corrcoef(effects[:, 0], unseen[:, 0])[0, 1] > 0.5
    best = effects[:, 0] > np.median(effects[:, 0])
    assert unseen[best].mean() - unseen[~best].mean() > 0.8  # by chance: 0 give or take 0.06
    assert abs(effects.mean() - unseen.mean()) < 0.35
    assert within(fitted, truth)


@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=[pytest.mark.long] if name in SLOW else []) for name in CONSTANT]
)
def test_estimators_of_an_average_give_it_to_every_row(name: str) -> None:
    (rows, truth), (others, _) = simulate(), simulate(60, seed=1)
    fitted = learner(name).fit_rows(rows, 0)
    effects = fitted.effects(others.modifiers, others.controls)
    assert effects.shape == (60, 1) and np.ptp(effects) == 0
    assert fitted.interval(rows.modifiers, rows.controls, 0.95) is None
    average = fitted.average(ALL)
    assert average is not None and average.value == pytest.approx(effects[0])
    assert abs(average.value - truth.mean()) < 0.2  # 0.5 where W is not adjusted for
    assert np.isnan(average.standard_error).all() if name == "dowhy_matching" else within(fitted, truth, 4)


@pytest.mark.long
@pytest.mark.parametrize("name", ECONML)
def test_two_arms_are_told_apart(name: str) -> None:
    rows, truth = simulate(arms=2)
    fitted = learner(name).fit_rows(rows, 0)
    effects = fitted.effects(rows.modifiers, rows.controls)
    assert effects.shape == truth.shape == (2000, 2)
    assert all(np.corrcoef(effects[:, arm], truth[:, arm])[0, 1] > 0.4 for arm in range(2))
    assert within(fitted, truth)


def test_dowhy_averages_over_the_target_the_rows_included_and_the_clusters() -> None:
    """Effects 1 + x1 of treated rows whose x1 is drawn higher; a regression averages over its target's rows."""
    rows, truth = simulate(600)
    tilted = replace(rows, treatment=(rows.controls[:, 0] + rows.modifiers[:, 0] > 0).astype(np.int64))
    outcome = tilted.treatment * truth[:, 0] + rows.controls[:, 0]
    fitted = learner("dowhy_linear_regression", replicates=3).fit_rows(replace(tilted, outcome=outcome), 0)
    treated, untreated = tilted.treatment == 1, tilted.treatment == 0
    over = {"all": treated | untreated, "treated": treated, "untreated": untreated}
    for target, members in over.items():
        average = fitted.average(AverageRequest(target=target))  # type: ignore[arg-type]
        assert average is not None and average.value[0] == pytest.approx(truth[members].mean(), abs=1e-6)
    included = rows.modifiers[:, 0] < 0.5
    average = fitted.average(AverageRequest(target="treated", included=included))
    assert average is not None and average.count == included.sum()
    assert average.value[0] == pytest.approx(truth[treated & included].mean(), abs=1e-6)
    villages = replace(rows, clusters=(np.arange(600) % 9, np.arange(600) // 30))
    few = learner("dowhy_linear_regression", replicates=3).fit_rows(villages, 0).average(ALL)
    assert few is not None and few.warnings[0].startswith("few clusters: its interval rests on 9, so that its")


@pytest.mark.parametrize("name", DOWHY)
def test_dowhy_refuses_two_arms(name: str) -> None:
    with pytest.raises(DataError, match=r"^effect: \w+Estimator compares one arm with none, not 2; choose dr_learner$"):
        learner(name).fit_rows(simulate(arms=2)[0], 0)


def test_what_econml_raises_is_one_line() -> None:
    final = {"estimator": "sklearn.linear_model.LinearRegression"}
    models = {**node("linear_dml")["models"], "model_final": final}
    single = learner("linear_dml", learner="econml.dml.NonParamDML", models=models)
    with pytest.raises(DataError, match=r"^effect: econml.dml.NonParamDML failed: .*binary categorical treatment.*$"):
        single.fit_rows(simulate(arms=2)[0], 0)


@pytest.mark.parametrize("name", ["linear_dml", "linear_dr_learner", "t_learner", "dowhy_ipw"])
def test_a_binary_outcome_gives_differences_of_probabilities(name: str) -> None:
    rows, truth = simulate(4000, binary=True)
    fitted = learner(name).fit_rows(rows, 0)
    effects = fitted.effects(rows.modifiers, rows.controls)
    assert (np.abs(effects) <= 1).all() and abs(effects.mean() - truth.mean()) < 0.06
    assert within(fitted, truth)


def test_classifiers_are_for_binary_outcomes_that_have_them() -> None:
    (rows, _), (numbers, _) = simulate(binary=True), simulate()
    assert learner("linear_dml").fit_rows(rows, 0).learner.discrete_outcome is True  # type: ignore[attr-defined]
    assert learner("linear_dml").fit_rows(numbers, 0).learner.discrete_outcome is False  # type: ignore[attr-defined]
    regressors = learner("linear_dml", binary_models={}).fit_rows(rows, 0)
    assert regressors.learner.discrete_outcome is False  # type: ignore[attr-defined]


@pytest.mark.parametrize("name", NAMES)
def test_intervals_are_given_where_they_are_valid(name: str) -> None:
    rows, _ = simulate(300)
    fitted = learner(name).fit_rows(rows, 0)
    narrow, wide = (fitted.interval(rows.modifiers[:9], rows.controls[:9], level) for level in (0.5, 0.95))
    assert fitted.warnings == (), "every fit converged"
    if name not in INTERVALS:
        assert narrow is None and wide is None
        return
    assert narrow is not None and wide is not None
    effects = fitted.effects(rows.modifiers[:9], rows.controls[:9])
    bounds = [wide[0], narrow[0], effects, narrow[1], wide[1]]
    assert all((low < high).all() for low, high in pairwise(bounds))
    twice = learner(name).fit_rows(replace(rows, groups=np.arange(300) // 2), 0)
    assert twice.interval(rows.modifiers[:9], rows.controls[:9], 0.95) is None  # EconML takes rows as independent
    assert twice.lacks_independence and not fitted.lacks_independence


@pytest.mark.parametrize("name", ["linear_dml", "dr_learner", "t_learner", "dowhy_linear_regression"])
def test_the_seed_is_the_only_chance(name: str) -> None:
    rows, _ = simulate(400)
    first, again, other = (
        learner(name).fit_rows(rows, seed).effects(rows.modifiers, rows.controls) for seed in (3, 3, 4)
    )
    assert np.array_equal(first, again)
    assert np.array_equal(first, other) == (name in {"t_learner", "dowhy_linear_regression"})  # these draw nothing


@pytest.mark.parametrize("name", ["linear_dml", "linear_dr_learner", "x_learner", "dowhy_linear_regression"])
def test_controls_remove_the_confounding(name: str) -> None:
    rows, truth = simulate(4000)
    blind = replace(rows, controls=rows.controls[:, 1:])
    bias = [
        abs(learner(name).fit_rows(seen, 0).effects(seen.modifiers, seen.controls).mean() - truth.mean())
        for seen in (rows, blind, replace(rows, controls=np.empty((4000, 0))))
    ]
    assert bias[0] < 0.2 and bias[1] > 0.5 and bias[2] > 0.5


@pytest.mark.parametrize("name", ["linear_dml", "causal_forest_dml", "t_learner", "s_learner"])
def test_only_metalearners_let_effects_vary_with_controls(name: str) -> None:
    rows, _ = simulate(600)
    fitted = learner(name).fit_rows(rows, 0)
    moved = fitted.effects(rows.modifiers, rows.controls + 1)
    assert np.array_equal(moved, fitted.effects(rows.modifiers, rows.controls)) == (name not in METALEARNERS)
    assert not np.array_equal(moved, fitted.effects(rows.modifiers + 1, rows.controls))


def test_a_wider_table_is_refused_at_prediction() -> None:
    rows, _ = simulate(200)
    for name in ("linear_dml", "t_learner", "dowhy_linear_regression"):
        fitted = learner(name).fit_rows(rows, 0)
        with pytest.raises(DataError, match=r"^effect: controls have shape \(200, 4\), not \(200, 3\) as those fitted"):
            fitted.effects(rows.modifiers, np.hstack([rows.controls, rows.controls[:, :1]]))
        with pytest.raises(DataError, match=r"^effect: modifiers: column 1 is nan in row 3; "):
            fitted.effects(with_value(rows.modifiers, (3, 1), np.nan), rows.controls)


def test_a_learner_without_nuisances_of_an_average_has_none() -> None:
    rows, _ = simulate(600)
    fitted = learner("t_learner", average=None).fit_rows(rows, 0)
    assert fitted.average(ALL) is None and fitted.outcome_means(rows.modifiers, rows.controls) is None


def test_users_stay_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    from econml.dml import LinearDML

    seen, fit = [], LinearDML.fit
    monkeypatch.setattr(LinearDML, "fit", wraps(fit)(lambda *args, **kw: seen.append(kw) or fit(*args, **kw)))
    rows = replace(simulate(400)[0], groups=np.arange(400) % 100)
    learner("linear_dml").fit_rows(rows, 0)
    assert np.array_equal(seen[0]["groups"], rows.groups)
    assert rows.groups is not None
    splits = CROSS_FIT._splits(rows, 0)
    assert len(splits) == 5 and sorted(np.concatenate([held for _, held in splits])) == list(range(400))
    assert all(not set(rows.groups[fitted]) & set(rows.groups[held]) for fitted, held in splits)


@pytest.mark.long
def test_repeated_rows_of_a_user_are_no_news() -> None:
    rows, _ = simulate(500)
    four = np.repeat(np.arange(500), 4)
    names = ("modifiers", "controls", "treatment", "outcome")
    repeated = replace(rows, **{name: getattr(rows, name)[four] for name in names})
    single, naive, clustered = (
        CROSS_FIT.average(seen, ALL, 0).standard_error[0] for seen in (rows, repeated, replace(repeated, groups=four))
    )
    assert clustered == pytest.approx(single, rel=0.05)
    assert naive == pytest.approx(single / 2, rel=0.1)
    average = learner("linear_dml").fit_rows(replace(repeated, groups=four), 0).average(ALL)
    assert average is not None and average.standard_error[0] == pytest.approx(single, rel=0.1)
    resamples = learner("dowhy_linear_regression", replicates=60).fit_rows(replace(repeated, groups=four), 0)
    average = resamples.average(ALL)
    assert average is not None and average.standard_error[0] == pytest.approx(single, rel=0.3)


@pytest.mark.long
def test_the_average_is_that_of_a_population_not_of_these_columns() -> None:
    rows, _ = simulate(2000)
    spread = replace(rows, outcome=rows.outcome + 5 * rows.modifiers[:, 0] * rows.treatment)
    for effect in (learner("linear_dml"), learner("linear_dr_learner"), learner("dowhy_ipw", replicates=60)):
        average = effect.fit_rows(spread, 0).average(ALL)
        assert average is not None and average.standard_error[0] > 0.9 * 6 / np.sqrt(2000)  # effects of spread 6


@pytest.mark.parametrize("name", DOWHY)
def test_units_of_columns_do_not_matter(name: str) -> None:
    rows, _ = simulate(400)
    other = replace(rows, modifiers=5 + 100 * rows.modifiers, controls=rows.controls / [1, 10, 100] - 3)
    expected = learner(name).fit_rows(rows, 0).effects(rows.modifiers[:9], rows.controls[:9])
    assert learner(name).fit_rows(other, 0).effects(other.modifiers[:9], other.controls[:9]) == pytest.approx(expected)


def test_users_are_resampled_with_all_their_rows() -> None:
    groups = np.array([3, 9, 3, 5, 3, 9])
    for seed in range(20):
        taken = resample(groups, np.random.default_rng(seed))
        counts = np.bincount(taken, minlength=6)
        assert counts[0] == counts[2] == counts[4] and counts[1] == counts[5]
        assert counts[0] + counts[1] + counts[3] == 3


def with_value(array: Any, index: Any, value: float) -> Any:
    changed = array.copy()
    changed[index] = value
    return changed


Edit = Callable[[LearnerData], dict[str, Any]]
BAD_ROWS: list[tuple[Edit, str]] = [
    (lambda r: {"modifiers": with_value(r.modifiers, (5, 0), np.nan)}, "modifiers: age is nan in row 5; "),
    (lambda r: {"controls": with_value(r.controls, (6, 2), np.inf)}, "controls: column 2 is inf in row 6; "),
    (lambda r: {"outcome": with_value(r.outcome, 7, np.nan)}, "outcome: outcome is nan in row 7; "),
    (lambda r: {"outcome": np.ones(200)}, "outcome is constant in all 200 rows; "),
    (lambda r: {"binary": True}, r"outcome of row 0 is -?\d+\.\d+, not 0 or 1; "),
    (lambda r: {"treatment": with_value(r.treatment, 8, 2)}, r"treatment of row 8 is 2, outside 0\.\.1"),
    (lambda r: {"treatment": np.zeros(200, np.int64)}, "arm 1 has 0 rows, fewer than 10; "),
    (lambda r: {"treatment": (np.arange(200) > 3).astype(np.int64)}, r"arm 0 \(not treated\) has 4 rows, fewer "),
    (lambda r: {"arms": 2}, "arm 2 has 0 rows"),
    (lambda r: {"arms": 0}, "arms=0; "),
    (lambda r: {"treatment": r.treatment[:-1]}, r"treatment is int64\(199,\); expected int64 of shape \(200,\)"),
    (lambda r: {"groups": np.arange(200.0)}, r"groups is float64\(200,\); expected int64"),
    (lambda r: {"modifiers": r.modifiers[:, 0]}, r"modifiers have shape \(200,\); expected \(200, columns\)"),
    (lambda r: {"control_names": ("a",)}, "controls have 3 columns and 1 names; "),
]


@pytest.mark.parametrize(("edit", "message"), BAD_ROWS, ids=[message[:30] for _, message in BAD_ROWS])
def test_bad_rows_are_refused(edit: Edit, message: str) -> None:
    rows = replace(simulate(200)[0], modifier_names=("age", "visits"))
    with pytest.raises(DataError, match=f"^effect: {message}") as error:
        replace(rows, **edit(rows))
    assert "\n" not in str(error.value)


def test_no_columns_are_refused_where_some_are_needed() -> None:
    rows = replace(simulate(200)[0], modifiers=np.empty((200, 0)))
    with pytest.raises(DataError, match=r"^effect: econml\.\S+ has no column by which the effect may vary; "):
        learner("linear_dml").fit_rows(rows, 0)
    with pytest.raises(DataError, match=r"^effect: dowhy\.\S+ has no column to adjust for; "):
        learner("dowhy_ipw").fit_rows(replace(rows, controls=np.empty((200, 0))), 0)


def model(name: str, **changes: Any) -> dict[str, Any]:
    return {**node(name)["models"], **changes}


LASSO, LOGIT = {"estimator": "sklearn.linear_model.LassoCV"}, {"estimator": "sklearn.linear_model.LogisticRegression"}
REFUSED: list[tuple[str, dict[str, Any], str]] = [
    ("linear_dml", {"learner": "os.system"}, "learner.learner=os.system: name a public class below econml."),
    ("linear_dml", {"learner": "econml._cate_estimator.BaseCateEstimator"}, "learner.learner=econml._cate_estimator"),
    ("linear_dml", {"learner": "econml.dml.LinearDLM"}, "learner.learner=econml.dml.LinearDLM: there is no such class"),
    ("linear_dml", {"learner": "econml.dml.np"}, "learner.learner=econml.dml.np: "),
    ("linear_dml", {"learner": "econml.grf.CausalForest"}, "learner.learner=econml.grf.CausalForest: is not a learner"),
    (
        "ortho_iv",
        {"models": {}},
        "learner.models.model_t_xw: name the model; the choice of econml.iv.dml.OrthoIV take",
    ),
    (
        "linear_dml",
        {"learner": "econml.panel.dml.DynamicDML"},
        "learner.learner=econml.panel.dml.DynamicDML: needs a ",
    ),
    ("linear_dml", {"arguments": {"cvv": 3}}, "learner.arguments.cvv: unknown key; did you mean 'cv'?"),
    (
        "linear_dml",
        {"arguments": {"random_state": 3}},
        "learner.arguments.random_state: is set by the run; leave it out",
    ),
    (
        "linear_dml",
        {"arguments": {"model_y": "auto"}},
        "learner.arguments.model_y: is a model; name it in learner.models.",
    ),
    ("linear_dml", {"models": {"model_y": LASSO}}, "learner.models.model_t: name the model; "),
    ("x_learner", {"models": {"models": LASSO}}, "learner.models.propensity_model: name the model; "),
    ("linear_dml", {"models": model("linear_dml", model_x=LASSO)}, "learner.models.model_x: unknown key; did you mean"),
    (
        "linear_dml",
        {"models": model("linear_dml", model_t=LASSO)},
        "learner.models.model_t.estimator=sklearn.linear_mod",
    ),
    (
        "linear_dml",
        {"models": model("linear_dml", model_y=LOGIT)},
        "learner.models.model_y.estimator=sklearn.linear_mod",
    ),
    (
        "linear_dml",
        {"binary_models": {"model_y": LASSO}},
        "learner.binary_models.model_y.estimator=sklearn.linear_model",
    ),
    (
        "t_learner",
        {"models": {"models": LOGIT}},
        "learner.models.models.estimator=sklearn.linear_model.LogisticRegressi",
    ),
    ("linear_dml", {"models": model("linear_dml", model_y={})}, "learner.models.model_y.estimator: is mandatory; "),
    (
        "t_learner",
        {"models": {"models": {**LASSO, "alpa": 1}}},
        "learner.models.models.alpa: unknown key; did you mea",
    ),
    (
        "t_learner",
        {"models": {"models": {"estimator": "xgboost.XGBRegressor"}}},
        "learner.models.models.estimator=xgboo",
    ),
    (
        "t_learner",
        {"models": {"models": {"estimator": "sklearn.base.clone"}}},
        "learner.models.models.estimator=sklearn",
    ),
    (
        "t_learner",
        {"average": {**node("t_learner")["average"], "outcome": LOGIT}},
        "learner.average.outcome.estimator",
    ),
    (
        "dowhy_ipw",
        {"estimator": "subprocess.Popen"},
        "learner.estimator=subprocess.Popen: name a public class below dow",
    ),
    ("dowhy_ipw", {"estimator": "dowhy.gcm.ScmBuilder"}, "learner.estimator=dowhy.gcm.ScmBuilder: there is no such c"),
    (
        "dowhy_ipw",
        {"estimator": "dowhy.causal_model.CausalModel"},
        "learner.estimator=dowhy.causal_model.CausalModel:",
    ),
    (
        "dowhy_ipw",
        {"estimator": "dowhy.causal_estimators.econml.Econml"},
        "learner.estimator=dowhy.causal_estimators.",
    ),
    (
        "dowhy_ipw",
        {"arguments": {"min_score": 0.1}},
        "learner.arguments.min_score: unknown key; did you mean 'min_ps_sc",
    ),
    ("dowhy_ipw", {"arguments": {"num_simulations": 9}}, "learner.arguments.num_simulations: is set by the run; "),
    ("dowhy_ipw", {"models": {}}, "learner.models.propensity_score_model: name the model of the treatment"),
    (
        "dowhy_ipw",
        {"models": {"propensity_score_model": LASSO}},
        "learner.models.propensity_score_model.estimator=skl",
    ),
    ("dowhy_ipw", {"replicates": -1}, "learner.replicates=-1: "),
]


@pytest.mark.parametrize(("name", "changes", "message"), REFUSED, ids=[message[8:45] for _, _, message in REFUSED])
def test_a_bad_request_is_one_line_before_any_work(name: str, changes: dict[str, Any], message: str) -> None:
    with pytest.raises(RequestError) as error:
        learner(name, **changes)
    assert str(error.value).startswith(message) and "\n" not in str(error.value)


CUT_SHORT = {**LOGIT, "max_iter": 1}
LBFGS = "lbfgs failed to converge after 1 iteration(s) (status=1)"


def warnings_of(name: str, **changes: Any) -> tuple[str, ...]:
    rows, _ = simulate(300)
    fitted = learner(name, **changes).fit_rows(rows, 0)
    fitted.average(ALL)
    fitted.effects(rows.modifiers[:9], rows.controls[:9])  # some fit models where they predict
    return fitted.warnings


def test_fits_that_did_not_converge_are_counted_by_kind_of_model() -> None:
    """Five folds of a nuisance; one fit and five folds of the average; the rows and two resamples of DoWhy."""
    assert warnings_of("linear_dr_learner", models=model("linear_dr_learner", model_propensity=CUT_SHORT)) == (
        f"models.model_propensity (LogisticRegression) did not converge in 5 of 5 fits: {LBFGS}",
    )
    average = {**node("x_learner")["average"], "treatment": CUT_SHORT}
    assert warnings_of("x_learner", models=model("x_learner", propensity_model=CUT_SHORT), average=average) == (
        f"models.propensity_model (LogisticRegression) did not converge in 1 of 1 fits: {LBFGS}",
        f"average.treatment (LogisticRegression) did not converge in 5 of 5 fits: {LBFGS}",
    )
    assert warnings_of("dowhy_ipw", models={"propensity_score_model": CUT_SHORT}, replicates=2) == (
        f"models.propensity_score_model (LogisticRegression) did not converge in 3 of 3 fits: {LBFGS}",
    )


def test_what_fits_in_threads_and_models_that_econml_makes_of_ours_are_not_lost() -> None:
    """Of a model that chooses its penalty, EconML fits another class on the folds."""
    chooses = {"estimator": "sklearn.linear_model.LogisticRegressionCV", "max_iter": 1, "n_jobs": 2}
    assert warnings_of("linear_dml", models=model("linear_dml", model_t=chooses)) == (
        f"models.model_t (LogisticRegressionCV) did not converge in 1 of 1 fits: {LBFGS}",
        f"econml.dml.LinearDML did not converge in 1 of 1 fits: {LBFGS}",
    )


@pytest.mark.parametrize(("jobs", "said"), [(1, "models.propensity_model (Logistic"), (2, "its models are fitted in ")])
def test_fits_of_other_processes_are_said_to_be_unknown(jobs: int, said: str) -> None:
    forest = {"learner": "econml.orf.DROrthoForest", "binary_models": {}, "average": None}
    forest["models"] = {"model_Y": {"estimator": "sklearn.linear_model.Ridge"}, "propensity_model": CUT_SHORT}
    forest["arguments"] = {"n_trees": 2, "n_jobs": jobs, "min_leaf_size": 20, "verbose": 0, "backend": "threading"}
    assert [line[: len(said)] for line in warnings_of("linear_dml", **forest)][-1:] == [said]


def test_the_log_leaves_a_class_what_it_is() -> None:
    from sklearn.base import clone, is_classifier
    from sklearn.linear_model import LogisticRegression

    log, rng = FitLog(), np.random.default_rng(0)
    x, y = rng.normal(size=(99, 2)), np.arange(99) % 2
    watched = build_sklearn_model("learner.models.model_t", {**LOGIT, "C": 2}, "classifier", log=log)
    assert isinstance(watched, LogisticRegression) and is_classifier(watched)
    assert repr(clone(watched)) == "LogisticRegression(C=2, random_state=0)"
    assert np.array_equal(clone(watched).fit(x, y).coef_, LogisticRegression(C=2).fit(x, y).coef_)
    assert log.fits == {"models.model_t (LogisticRegression)": 1}, "the clone's fit"


def shipped_logistic_models() -> list[Any]:
    """Each different one that a learner's YAML or a refuter names."""
    nodes = [node for path in PATHS for node in yaml.safe_load(path.read_text()).values() if isinstance(node, dict)]
    models = [model for node in nodes for model in node.values() if isinstance(model, dict)] + [LOGISTIC]
    unlike = {repr(sorted(model.items())): model for model in models if model["estimator"] == LOGIT["estimator"]}
    return [build_sklearn_model("learner", model, "classifier") for model in unlike.values()]


def test_logistic_nuisances_converge_on_many_rows_with_rare_columns() -> None:
    """Columns that are 1 in one row of 5,000 to one of 20: scikit-learn's defaults err there by up to 0.2."""
    from sklearn.linear_model import LogisticRegression

    rng = np.random.default_rng(0)
    rare = (rng.random((100_000, 24)) < np.geomspace(2e-4, 0.05, 24)).astype(float)
    columns = np.hstack([rng.normal(size=(100_000, 8)), rare])
    log_odds = columns @ np.concatenate([rng.normal(scale=0.3, size=8), rng.choice([-2.0, 2.0], size=24)]) - 0.5
    treatment = (rng.random(100_000) < 1 / (1 + np.exp(-log_odds))).astype(np.int64)
    tight = LogisticRegression(solver="newton-cholesky", tol=1e-13, max_iter=1000).fit(columns, treatment)
    expected = tight.predict_proba(columns)
    defaults = LogisticRegression(max_iter=1000).fit(columns, treatment).predict_proba(columns)
    assert np.abs(defaults - expected).max() > 0.05, "the trap, without any warning"
    shipped = shipped_logistic_models()
    assert shipped
    for model in shipped:
        assert np.abs(model.fit(columns, treatment).predict_proba(columns) - expected).max() < 1e-6


def test_a_class_is_judged_before_it_is_imported(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "intruder.py").write_text("class Model:\n    pass\n")
    monkeypatch.syspath_prepend(tmp_path)
    for changes in ({"learner": "intruder.Model"}, {"models": {"models": {"estimator": "intruder.Model"}}}):
        with pytest.raises(RequestError):
            learner("t_learner", **changes)
    with pytest.raises(CausalRecError):
        learner("dowhy_ipw", estimator="intruder.Model")
    assert "intruder" not in sys.modules


@pytest.mark.long
def test_the_room_is_cheap_to_import() -> None:
    code = "import sys, causalrec.learners.econml, causalrec.learners.dowhy\n"
    code += "print({'econml', 'dowhy', 'sklearn'} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True)
    assert done.stdout.strip() == "set()"


@pytest.mark.long
@pytest.mark.parametrize("name", READ_BESIDE)
def test_a_hidden_cause_is_gone_round_by_what_is_read_beside_the_columns(name: str) -> None:
    rng = np.random.default_rng(0)
    x, hidden, coin = rng.normal(size=(4000, 1)), rng.normal(size=4000), rng.integers(2, size=4000)
    treatment = (rng.random(4000) < 1 / (1 + np.exp(-hidden - 2 * (2 * coin - 1)))).astype(np.int64)
    seen = (rng.random(4000) < 0.25 + 0.5 * treatment).astype(float)
    carried = treatment if name == "ortho_iv" else 2 * seen
    outcome, detour = carried + hidden + x[:, 0] + rng.normal(size=4000), coin if name == "ortho_iv" else seen
    rows = LearnerData(
        x, np.zeros((4000, 0)), treatment, outcome, 1, False, instruments_or_mediator=detour[:, None].astype(float)
    )
    average = learner(name).fit_rows(rows, 0).average(ALL)
    assert average is not None and average.low[0] < 1 < average.high[0] < average.low[0] + 0.7
    assert average.metric == ("effect_of_compliers" if name == "ortho_iv" else "average_effect")
    adjusted = learner("linear_dml").fit_rows(rows, 0).average(ALL)
    assert adjusted is not None and adjusted.low[0] > 1.2
    with pytest.raises(DataError, match=f"reads {READ_BESIDE[name]}"):
        learner(name).fit_rows(replace(rows, instruments_or_mediator=None), 0)


def test_fewer_users_than_folds_are_one_line_before_a_fit() -> None:
    rows, _ = simulate(300)
    for users, words in ((1, "all rows are of 1 user"), (3, "the rows are of 3 users")):
        few = replace(rows, groups=np.arange(300) % users)
        for fit in (lambda few=few: learner("linear_dml").fit_rows(few, 0), lambda few=few: CROSS_FIT.adjust(few, 0)):
            with pytest.raises(DataError, match=f"effect: {words} .*one of 5 folds; log more of them, or set"):
                fit()
