"""Refuters that say how strong a hidden cause must be, and overlap, by worked numbers and by effects that are known."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from causalrec.config.component import validate_component
from causalrec.errors import RequestError
from causalrec.estimators.effect.average_effect import AverageEffect, AverageRequest
from causalrec.estimators.effect.base import LearnerData
from causalrec.estimators.effect.hidden_cause import LinearEffect, fit_linear_effect
from causalrec.evaluation.refuter import unobserved_common_cause
from causalrec.evaluation.refuter.base import NO_ERROR, AbstractEffectRefuter, RefutationProblem
from causalrec.evaluation.refuter.e_value import EValue, difference_ratio, e_value, risk_ratio
from causalrec.evaluation.refuter.marginal_sensitivity import MarginalSensitivity, bounds, extremes, least_gamma
from causalrec.evaluation.refuter.overlap_rules import OverlapRules
from causalrec.evaluation.refuter.re_estimation import LINEAR_CROSSFIT, ReEstimator
from causalrec.evaluation.refuter.run_refuters import run_refuters
from causalrec.evaluation.refuter.unobserved_common_cause import UnobservedCommonCause
from causalrec.types import Doubles, EffectTarget, Ints
from tests.evaluation.test_refute import REFUTERS, STRENGTHS, by_name, problem_of

TARGETS: tuple[EffectTarget, ...] = ("all", "treated", "untreated")


def problem_of_rows(rows: LearnerData, target: EffectTarget = "all") -> RefutationProblem:
    """The rows' average effect by linear models."""
    estimate = ReEstimator(request=AverageRequest(target=target))
    means, propensities = LINEAR_CROSSFIT.nuisances(rows, 0)
    return RefutationProblem(
        rows=rows,
        estimate=estimate,
        original=estimate(rows, 0),
        propensities=propensities,
        means=means,
        target=target,
        repeats=4,
    )


def rows_of(x: Doubles, treatment: Ints, outcome: Doubles, **others: Any) -> LearnerData:
    return LearnerData(x, np.zeros((len(x), 0)), treatment, outcome, 1, False, **others)


def test_a_hidden_cause_as_strong_as_the_strongest_column_is_seen_for_what_it_may_do() -> None:
    """Nothing has an effect, the hidden cause is as strong as x0, and x1 is weak: 0 at about 1 × x0."""
    rng = np.random.default_rng(0)
    x, hidden = rng.normal(size=(8_000, 2)), rng.normal(size=8_000)
    treatment = (x[:, 0] + hidden + x[:, 1] / 10 + rng.logistic(size=8_000) > 0).astype(np.int64)
    rows = rows_of(x, treatment, x[:, 0] + hidden + rng.normal(size=8_000), modifier_names=("x0", "x1"))
    (verdict,) = UnobservedCommonCause()(problem_of_rows(rows))
    assert verdict.verdict == "measured" and 0.9 < verdict.low < verdict.value < 1.1
    assert verdict.finding == "0 at 0.96 × x0, its interval at 0.9"
    first, causes = verdict.scenarios[0], [f"{k} × {name}" for name in ("x0", "x1") for k in (1, 2, 3)]
    assert [line.hidden_cause for line in verdict.scenarios] == causes
    assert first.low < 0 < first.high and first.linear_low < 0 < first.linear_high
    linear = fit_linear_effect(
        treatment.astype(np.float64), rows.outcome, x, [np.array([0]), np.array([1])]
    )  # the same bias moves both
    moved = float(problem_of_rows(rows).original.value[0]) - first.value
    assert moved == pytest.approx(linear.value - first.linear_value) and moved > 0.7


def test_the_interval_s_strength_is_the_least_of_all_columns(monkeypatch: pytest.MonkeyPatch) -> None:
    """A cause like x1 moves the estimate less than one like x0, but leaves more of the outcome to chance."""
    effect = LinearEffect(
        value=1.0,
        standard_error=0.03,
        half_width=0.06,
        degrees=1_000,
        exposure_shares=np.array([0.28, 0.30]),
        outcome_shares=np.array([0.43, 0.08]),
    )
    monkeypatch.setattr(unobserved_common_cause, "linear_effect", lambda *_: effect)
    problem, error = problem_of(units=200), np.ones(1)
    rows = replace(problem.rows, modifiers=problem.rows.modifiers[:, :2], modifier_names=("x0", "x1"))
    for half, expected in (
        (0.5, "0 at 1.4 × x0, its interval at 1 × x1"),
        (0.01, "0 at 1.4 × x0, its interval at 1.4"),
    ):
        original = AverageEffect(error, error, error - half, error + half)
        (verdict,) = UnobservedCommonCause()(replace(problem, rows=rows, original=original))
        assert verdict.finding == expected


def test_a_linear_regression_has_the_run_s_level() -> None:
    problem = problem_of(units=400)
    wide, narrow = (UnobservedCommonCause()(replace(problem, level=level))[0].scenarios[0] for level in (0.95, 0.9))
    ratio = (wide.linear_high - wide.linear_low) / (narrow.linear_high - narrow.linear_low)
    assert ratio == pytest.approx(1.959964 / 1.644854, rel=0.005), "quantiles of t of 393 degrees of freedom"


def test_a_negative_effect_moves_up_to_0() -> None:
    problem = problem_of(units=600)
    turned = replace(problem.rows, outcome=-problem.rows.outcome)
    (below,), (above,) = (UnobservedCommonCause()(problem_of_rows(rows)) for rows in (turned, problem.rows))
    assert below.value == pytest.approx(above.value) and below.finding == above.finding
    for line, mirror in zip(below.scenarios, above.scenarios, strict=True):
        assert line.value == pytest.approx(-mirror.value, nan_ok=True)
        assert line.low == pytest.approx(-mirror.high, nan_ok=True)


def test_a_column_without_variation_left_is_named_and_the_others_are_measured() -> None:
    rows = problem_of(units=600).rows
    names = (*(f"x{k}" for k in range(5)), "twin")
    doubled = replace(rows, modifiers=np.c_[rows.modifiers, rows.modifiers[:, 3]], modifier_names=names)
    (verdict,) = UnobservedCommonCause()(problem_of_rows(doubled))
    assert verdict.rule.endswith("no variation left given the others: x3, twin") and np.isfinite(verdict.value)
    assert {line.hidden_cause[4:] for line in verdict.scenarios} == {"x0", "x1", "x2", "x4"}
    alone = replace(rows, modifiers=np.ones((len(rows), 1)))
    (verdict,) = UnobservedCommonCause()(replace(problem_of_rows(rows), rows=alone))
    assert verdict.verdict == "not testable" and "no column is left to measure a hidden cause by" in verdict.rule


def test_every_arm_is_compared_with_none() -> None:
    verdicts = UnobservedCommonCause(strengths=(0.5,))(problem_of_arms())
    assert [verdict.arm for verdict in verdicts] == [1, 2]
    assert {line.hidden_cause for verdict in verdicts for line in verdict.scenarios} == {
        f"0.5 × column {k}" for k in range(2)
    }


def problem_of_arms() -> RefutationProblem:
    rng = np.random.default_rng(2)
    x = rng.normal(size=(1_500, 2))
    chances = np.exp(np.c_[np.zeros(1_500), 0.5 * x[:, 0], 0.5 * x[:, 1]])
    treatment = (rng.random((1_500, 1)) > (chances / chances.sum(1, keepdims=True)).cumsum(1)).sum(1)
    outcome = x.sum(1) + treatment + rng.normal(size=1_500)
    rows = LearnerData(x, np.zeros((1_500, 0)), treatment.astype(np.int64), outcome, 2, False)
    return problem_of_rows(rows)


@pytest.mark.parametrize("strengths", [(0.0,), (-1.0, 2.0), (float("inf"),), ()])
def test_strengths_that_are_none_are_refused_in_one_line(strengths: tuple[float, ...]) -> None:
    node = {"_target_": f"{UnobservedCommonCause.__module__}.UnobservedCommonCause", "strengths": strengths}
    with pytest.raises(RequestError, match=r"refuter\.mine\.strengths") as refused:
        validate_component("refuter.mine", node, AbstractEffectRefuter)
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize("target", TARGETS)
def test_bounds_start_at_the_doubly_robust_estimate_of_every_target(target: EffectTarget) -> None:
    problem = problem_of_rows(problem_of(units=800, confounding=2.0).rows, target)
    low, high = bounds(problem, 1, 1.0)
    assert low == pytest.approx(high) and low == pytest.approx(float(problem.original.value[0]))
    wide = bounds(problem, 1, 1.5)
    assert wide[0] < low < wide[1]


def test_bounds_of_steep_outcomes_lie_around_the_estimate() -> None:
    """Outcomes in thousands that follow x steeply: weighted means alone are thousands off where overlap is poor."""
    rng = np.random.default_rng(5)
    x = rng.normal(size=(2_000, 1))
    treatment = (1.5 * x[:, 0] - 2 + rng.logistic(size=2_000) > 0).astype(np.int64)
    outcome = 10_000 * x[:, 0] + 1_000 * treatment + 1_000 * rng.normal(size=2_000)
    problem = problem_of_rows(rows_of(x, treatment, outcome))
    (verdict,) = MarginalSensitivity()(problem)
    estimate = float(problem.original.value[0])
    assert abs(estimate - 1_000) < 250 and verdict.verdict == "measured" and verdict.value > 1.5
    assert all(line.low < estimate < line.high for line in verdict.scenarios)


@pytest.mark.parametrize("target", TARGETS)
def test_bounds_at_the_true_gamma_hold_the_true_effect(target: EffectTarget) -> None:
    """A hidden coin multiplies every row's odds by 3 or 1/3, and moves the outcome by 1.

    The effect, 1, is missed by the estimate and by the bounds at Gamma 1.2; those at 3.1 hold it.
    """
    rng = np.random.default_rng(7)
    x, coin = rng.normal(size=(20_000, 1)), 2 * rng.integers(2, size=20_000) - 1
    treatment = (x[:, 0] / 2 + np.log(3) * coin + rng.logistic(size=20_000) > 0).astype(np.int64)
    problem = problem_of_rows(rows_of(x, treatment, x[:, 0] + treatment + coin + rng.normal(size=20_000)), target)
    low, high = bounds(problem, 1, 1.2)
    assert not low <= 1 <= high
    low, high = bounds(problem, 1, 3.1)
    assert low <= 1 <= high


def test_bounds_without_overlap_are_not_testable() -> None:
    """No row of x above 0 is without exposure: what would have come of it is the outcome models' alone."""
    rng = np.random.default_rng(3)
    x = rng.normal(size=(2_000, 1))
    treatment = (12 * x[:, 0] + rng.logistic(size=2_000) > 0).astype(np.int64)
    (verdict,) = MarginalSensitivity()(
        problem_of_rows(rows_of(x, treatment, x[:, 0] + treatment + rng.normal(size=2_000) / 10))
    )
    assert verdict.verdict == "not testable" and verdict.rule.startswith("no overlap: ") and not verdict.finding


def test_bounds_of_other_models_than_the_run_s_are_not_testable() -> None:
    problem = problem_of(units=600)
    error = problem.original.standard_error
    other = replace(problem.original, value=problem.original.value + 1.1 * error)
    (verdict,) = MarginalSensitivity()(replace(problem, original=other))
    assert verdict.verdict == "not testable" and "more than an error from the run's estimate" in verdict.rule
    (verdict,) = MarginalSensitivity()(replace(problem, means=None))
    assert verdict.verdict == "not testable"


def test_extremes_are_those_of_every_choice_of_weights() -> None:
    rng = np.random.default_rng(0)
    outcome, low = rng.normal(size=8), rng.uniform(1, 2, 8)
    high = low + rng.uniform(0, 2, 8)
    every = [
        (w @ outcome) / w.sum() for bits in range(256) for w in [np.where([bits >> k & 1 for k in range(8)], high, low)]
    ]
    assert extremes(outcome, low, high) == pytest.approx((min(every), max(every)))


def test_the_least_gamma_is_that_of_the_bounds_and_less_with_their_error() -> None:
    problem = problem_of(units=400)
    gamma = least_gamma(problem, 1)
    assert 1 < gamma < 20 and bounds(problem, 1, gamma)[0] <= 0 < bounds(problem, 1, gamma * 0.99)[0]
    half_width = float(problem.original.high[0] - problem.original.low[0]) / 2
    of_interval = least_gamma(problem, 1, half_width=half_width)
    assert 1 < of_interval < gamma and bounds(problem, 1, of_interval)[0] == pytest.approx(half_width, rel=1e-4)


def test_e_values_by_hand() -> None:
    assert e_value(1) == 1 == difference_ratio(0)
    assert e_value(3.9) == pytest.approx(7.26, abs=0.005), "the example of the paper"
    assert difference_ratio(-1) == difference_ratio(1) == pytest.approx(np.exp(0.91))
    assert risk_ratio(0.2, -0.1) == risk_ratio(0.1, 0.1) == 2 and risk_ratio(0.0, 0.0) == 1
    assert risk_ratio(0.0, 0.1) == np.inf


def test_the_e_value_of_a_click_is_that_of_its_risk_ratio() -> None:
    """Hand: 30 of 100 against 10 of 100 at even chances is a ratio of 3, and the interval's end 0.2 - 0.1 one of 2."""
    treatment = np.repeat([0, 1], 100)
    outcome = np.r_[np.arange(100) < 10, np.arange(100) < 30].astype(np.float64)
    rows = LearnerData(np.zeros((200, 1)), np.zeros((200, 0)), treatment, outcome, 1, True)
    ends = [np.array([end]) for end in (0.2, 0.05, 0.1, 0.3)]
    problem = RefutationProblem(
        rows=rows, estimate=ReEstimator(), original=AverageEffect(*ends), propensities=np.full((200, 2), 0.5)
    )
    (verdict,) = EValue()(problem)
    assert (verdict.value, verdict.low) == (pytest.approx(3 + np.sqrt(6)), pytest.approx(2 + np.sqrt(2)))
    assert verdict.finding == "0 at E 5.45, its interval at 3.41"
    (less,) = EValue()(
        replace(problem, original=AverageEffect(*(np.array([end]) for end in (-0.06, 0.02, -0.08, -0.05))))
    )
    assert (less.value, less.low) == (
        pytest.approx(e_value(0.1 / 0.04)),
        pytest.approx(e_value(2)),
    ), "the end next to 0 is the upper one"


def test_the_e_value_of_an_outcome_without_a_spread_is_not_testable() -> None:
    """1e-200 squared is 0."""
    problem = problem_of(units=200)
    rows = replace(problem.rows, outcome=1e-200 * problem.rows.outcome)
    (verdict,) = EValue()(replace(problem, rows=rows))
    assert verdict.verdict == "not testable" and "standard deviation" in verdict.rule


@pytest.mark.parametrize(("slope", "draws", "label"), [(0.0, 10, "passes"), (3.0, 3, "fails")])
def test_a_rare_arm_overlaps_where_it_was_drawn_at_random(slope: float, draws: int, label: str) -> None:
    unread = AverageEffect(*(np.ones(1),) * 4)
    for seed in range(draws):
        rng = np.random.default_rng(seed)
        x = rng.normal(size=(2_000, 2))
        chance = 1 / (1 + np.exp(3.2 - slope * (x[:, 0] - slope / 2)))
        treatment = (rng.random(2_000) < chance).astype(np.int64)
        rows = rows_of(x, treatment, x[:, 0] + rng.normal(size=2_000))
        propensities = LINEAR_CROSSFIT.nuisances(rows, 0)[1]
        (verdict,) = OverlapRules()(
            RefutationProblem(rows=rows, estimate=ReEstimator(), original=unread, propensities=propensities)
        )
        assert verdict.verdict == label, (seed, treatment.mean(), verdict.rule)


def test_overlap_of_the_treated_is_that_of_each_arm() -> None:
    """Rows under arm 1 have none like them without it; those under arm 2, as many, have."""
    treatment = np.repeat([0, 1, 2], 100)
    x = np.arange(300.0)
    rows = LearnerData(x[:, None], np.zeros((300, 0)), treatment, x, 2, False)
    propensities = np.full((300, 3), 1 / 3)
    propensities[treatment == 1] = (0.001, 0.998, 0.001)
    problem = RefutationProblem(
        rows=rows,
        estimate=ReEstimator(),
        original=AverageEffect(*(np.ones(2),) * 4),
        propensities=propensities,
        target="treated",
    )
    assert [(verdict.verdict, verdict.value) for verdict in OverlapRules()(problem)] == [("fails", 1), ("passes", 0)]


NEED_AN_ERROR = (*STRENGTHS, "random common cause", "data subset", "randomised rows")


@pytest.mark.parametrize("error", [0.0, np.nan])
def test_an_estimate_without_an_error_is_judged_by_nobody(error: float) -> None:
    problem = problem_of(units=200, repeats=2)
    value = problem.original.value
    bare = replace(problem, original=AverageEffect(value, np.array([error]), value - error, value + error))
    refuters = [refuter for refuter in REFUTERS if refuter.name in NEED_AN_ERROR]
    said = [(verdict.verdict, verdict.rule) for verdict in run_refuters(refuters, bare)]
    assert said == [("not testable", NO_ERROR)] * 6 and "evaluation.cluster" in NO_ERROR


def test_one_cluster_is_judged_by_nobody() -> None:
    problem = problem_of(units=200, repeats=2)
    rows = replace(problem.rows, clusters=(np.zeros(len(problem.rows), np.int64),))
    clustered = replace(
        problem_of_rows(rows), randomised=problem.randomised, negative_controls={"z": rows.outcome + 1}, repeats=2
    )
    refuters = [refuter for refuter in REFUTERS if refuter.name in (*NEED_AN_ERROR, "negative control outcome")]
    verdicts = by_name(run_refuters(refuters, clustered))
    assert {verdict.verdict for verdict in verdicts.values()} == {"not testable"}
    assert verdicts["negative control outcome"].rule == NO_ERROR
