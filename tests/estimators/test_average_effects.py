"""Average effects of each target, by hand and on populations whose effects are known."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from causalrec.errors import DataError
from causalrec.estimators.effect.adjusted_rows import AdjustedRows
from causalrec.estimators.effect.aipw import CrossFit
from causalrec.estimators.effect.average_effect import AverageRequest
from causalrec.estimators.effect.averages import target_average, target_weights, trim_rows
from causalrec.estimators.effect.base import LearnerData
from causalrec.estimators.effect.compliers import effect_of_compliers, is_binary_instrument
from causalrec.estimators.effect.fit_log import FitLog
from causalrec.estimators.effect.group_averages import equal_effects_p, group_averages, simultaneous_level
from causalrec.estimators.effect.overlap_warnings import overlap_warnings
from causalrec.evaluation.refuter.re_estimation import LINEAR_CROSSFIT, LOGISTIC
from causalrec.types import Doubles, EffectTarget

TARGETS: tuple[EffectTarget, ...] = ("all", "treated", "untreated", "overlap")
ALL = AverageRequest()
LINEAR = CrossFit(outcome={"estimator": "sklearn.linear_model.LinearRegression"}, treatment=LOGISTIC, folds=2)


def draw(rows: int, seed: int, arms: int = 1) -> tuple[LearnerData, Doubles, Doubles]:
    """Rows, the true probabilities [N,A+1] and the true effects [N,A]: x0^2 of arm 1, 1 + x1 of arm 2."""
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(rows, 2))
    odds = np.exp(np.column_stack([np.zeros(rows), x[:, 0], 0.5 * x[:, 1]]))[:, : arms + 1]
    probabilities = odds / odds.sum(axis=1, keepdims=True)
    treatment = (np.log(probabilities) + rng.gumbel(size=probabilities.shape)).argmax(axis=1)
    effects = np.column_stack([x[:, 0] ** 2, 1 + x[:, 1]])[:, :arms]
    outcome = x[:, 0] + np.c_[np.zeros(rows), effects][np.arange(rows), treatment] + rng.normal(size=rows)
    return LearnerData(x, np.zeros((rows, 0)), treatment, outcome, arms, False), probabilities, effects


def true_average(probabilities: Doubles, effect: Doubles, arm: int, target: EffectTarget) -> float:
    none, chance = probabilities[:, 0], probabilities[:, arm]
    weight = {
        "all": np.ones(len(none)),
        "treated": chance,
        "untreated": none,
        "overlap": chance * none / (chance + none),
    }[target]
    return float(weight @ effect / weight.sum())


def adjust(rows: LearnerData, means: Doubles, probabilities: Doubles) -> AdjustedRows:
    return AdjustedRows(
        outcome=rows.outcome,
        treatment=rows.treatment,
        means=means,
        probabilities=probabilities,
        clusters=rows.dependence,
    )


def test_each_target_by_hand() -> None:
    """Four rows, p(arm) 1/2, 1/2, 1/4, 1/4; predicted 1 under the arm and 0 under none."""
    outcome, treatment = np.array([3.0, 1.0, 5.0, 2.0]), np.array([1, 0, 1, 0])
    chance = np.array([0.5, 0.5, 0.25, 0.25])
    columns = outcome, treatment, np.tile([0.0, 1.0], (4, 1)), np.column_stack([1 - chance, chance])
    by_hand = {
        "all": 1 + (2 * 2 + 4 * 4) / (2 + 4) - (1 * 2 + 2 * 4 / 3) / (2 + 4 / 3),
        "treated": (3 + 5) / 2 - (1 * 1 + 2 / 3) / (1 + 1 / 3),
        "untreated": (1 * 2 + 3 * 4) / (1 + 3) - (0 + 1) / 2,
        "overlap": (0.5 * 2.5 + (-0.5) * 0.5 + 0.75 * 4.75 + (-0.25) * 1.75) / (0.25 + 0.25 + 0.5625 + 0.0625),
    }
    for target in TARGETS:
        average = target_average(*columns, target, clip=0.01)
        assert average.value == pytest.approx([by_hand[target]])
        assert average.influence.mean() == pytest.approx(0)
    assert target_weights(treatment, columns[3], 1, "all", clip=0.3) == pytest.approx([2, 2, 1 / 0.3, 4 / 3])


def test_what_is_divided_by_is_clipped_and_what_is_multiplied_by_is_not() -> None:
    """Controls that are most unlike the treated must not count more than they are like them."""
    chance = np.array([0.9, 0.5, 0.0001])
    probabilities = np.column_stack([1 - chance, chance])
    weights = target_weights(np.array([1, 0, 0]), probabilities, 1, "treated", clip=0.2)
    assert weights == pytest.approx([1, 1, 0.0001 / 0.9999])
    weights = target_weights(np.array([1, 0, 0]), probabilities, 1, "all", clip=0.2)
    assert weights == pytest.approx([1 / 0.9, 2, 1 / 0.9999])
    assert target_weights(np.array([0, 1, 0]), probabilities, 1, "overlap", clip=0.2) == pytest.approx(
        [0.9, 0.5, 0.0001]
    )
    certain = np.array([[0.0, 1.0], [1.0, 0.0]])
    zeros = np.zeros((2, 2))
    for target in TARGETS:
        average = target_average(np.array([2.0, 1.0]), np.array([1, 0]), zeros, certain, target, clip=0.01)
        assert np.isfinite(average.value).all() == (target == "all"), "no row has a like one"


@pytest.mark.parametrize("right", ["means", "probabilities", "neither"])
@pytest.mark.parametrize("target", TARGETS)
def test_a_target_is_right_where_either_nuisance_is(target: EffectTarget, right: str) -> None:
    """Of two arms; `overlap` needs the probabilities: they say who counts."""
    rows, probabilities, effects = draw(60_000, 1, arms=2)
    none = rows.modifiers[:, :1]
    means = np.hstack([none, none + effects]) if right == "means" else np.zeros((len(rows), 3))
    given = probabilities if right != "neither" else np.full((len(rows), 3), 1 / 3)
    if right == "means" and target == "all":
        given = np.full((len(rows), 3), 1 / 3)
    average = adjust(rows, means, given).average(AverageRequest(target=target))
    truth = np.array([true_average(probabilities, effects[:, k], k + 1, target) for k in range(2)])
    away = np.abs(average.value - truth) / average.standard_error
    assert (away < 4).all() if right != "neither" else away.max() > 20


def test_an_arm_is_judged_on_the_rows_of_all_arms() -> None:
    """The effect of arm 2 is 1 on average, but 2 where arm 1 is never given: rows of arm 1 count too."""
    rng = np.random.default_rng(0)
    x = rng.integers(2, size=9000)
    probabilities = np.where(x[:, None] == 1, [[0.5, 0.0, 0.5]], [[0.1, 0.8, 0.1]])
    treatment = (rng.random(9000)[:, None] > probabilities.cumsum(axis=1)).sum(axis=1)
    outcome = 2.0 * x * (treatment == 2) + rng.normal(size=9000)
    none = np.zeros((9000, 0))
    rows = LearnerData(x[:, None].astype(float), none, treatment, outcome, 2, False, probabilities=probabilities)
    average = LINEAR.average(rows, ALL, 0)
    assert average.low[1] < 1 < average.high[1] < 1.2 and average.count == 9000


def test_an_arm_that_no_row_received_has_no_average_and_says_so() -> None:
    rows, probabilities, _ = draw(500, 0)
    three = np.column_stack([probabilities, np.full(500, 0.1)])
    average = adjust(rows, np.zeros((500, 3)), three).average(ALL)
    assert np.isfinite(average.low[0]) and np.isnan([average.value[1], average.low[1], average.high[1]]).all()
    assert "no row received arm 2: there is no average effect of it" in average.warnings
    untreated = replace(adjust(rows, np.zeros((500, 2)), probabilities), treatment=np.ones(500, np.int64)).average(ALL)
    assert np.isnan(untreated.value).all() and "no row is untreated: there is no average effect" in untreated.warnings


def test_the_average_is_that_of_the_rows_where_no_final_stage_is_right() -> None:
    """tau = x0^2 with e(x0): a linear final stage averages to about 0.5. One user with two rows changes nothing."""
    values, covers = [], []
    for seed in range(12):
        rows, _, _ = draw(1500, seed)
        average = LINEAR.average(rows, ALL, 0)
        values.append(average.value[0])
        covers.append(average.low[0] < 1 < average.high[0])
    assert abs(np.mean(values) - 1) < 0.12 and sum(covers) >= 10
    twice = np.arange(1500)
    twice[1] = 0
    again = LINEAR.average(replace(rows, groups=twice), ALL, 0)
    assert abs(again.value[0] - average.value[0]) < average.standard_error[0] / 2


def test_logged_probabilities_are_taken_as_they_are() -> None:
    rows, probabilities, _ = draw(800, 0)
    log = FitLog()
    adjusted = LINEAR.adjust(replace(rows, probabilities=probabilities), 0, log)
    assert adjusted.probabilities is probabilities and "average.treatment (LogisticRegression)" not in log.fits
    few = replace(rows, probabilities=probabilities).take(rows.treatment >= 0)
    assert few.probabilities is not None and len(few.probabilities) == len(few)
    with pytest.raises(DataError, match=r"^effect: probabilities have shape \(800, 3\); expected \(800, 2\)$"):
        replace(rows, probabilities=np.full((800, 3), 0.3))
    with pytest.raises(DataError, match=r"^effect: 3 axes of clusters; rows may depend along 2 at most$"):
        replace(rows, clusters=(np.arange(800),) * 3)


def test_few_clusters_take_quantiles_of_t_and_say_so() -> None:
    rows, probabilities, _ = draw(400, 0)
    by_village = adjust(replace(rows, clusters=(np.arange(400) % 8,)), np.zeros((400, 2)), probabilities).average(ALL)
    assert (by_village.high - by_village.value) / by_village.standard_error == pytest.approx(2.365, abs=1e-3)  # t, 7
    said = "few clusters: its interval rests on 8, so that its quantiles are those of t with 7 degrees of freedom"
    assert said in by_village.warnings
    rare = np.flatnonzero(rows.treatment == 1)[:12]
    rest = np.flatnonzero(rows.treatment == 0)
    of_few = adjust(rows.take(np.r_[rare, rest]), np.zeros((12 + len(rest), 2)), np.full((12 + len(rest), 2), 0.5))
    assert "rests on 12," in of_few.average(ALL).warnings[0]


def test_rows_without_like_ones_are_warned_of_and_trimmed() -> None:
    chance = np.r_[np.full(50, 0.995), np.full(100, 0.4), np.full(2000, 0.002)]
    treatment = np.r_[np.ones(50, int), np.tile([0, 1], 50), np.zeros(2000, int)]
    probabilities = np.column_stack([1 - chance, chance])
    unlike, little = overlap_warnings(treatment, probabilities, "treated", clip=0.01)
    assert unlike.startswith("50 of 100 treated rows have no like controls: their propensity of none is below 0.01")
    assert little.startswith("little overlap: 2,050 controls weigh as much as ")
    stays = trim_rows(probabilities, 0.02)
    assert stays.sum() == 100
    assert overlap_warnings(treatment[stays], probabilities[stays], "treated", clip=0.02) == ()


def test_the_clipped_rows_of_a_rare_arm_are_counted_among_its_own() -> None:
    treatment = np.repeat([1, 0], [30, 9970])
    chance = np.where(np.arange(10_000) < 60, 0.005, 0.02)  # 60 rows in 10,000 are few, but all 30 treated are of them
    lines = overlap_warnings(treatment, np.column_stack([1 - chance, chance]), "all", clip=0.01)
    clipped = "30 of 30 treated rows, which stand for others, are clipped: their propensity of the arm is below 0.01"
    assert lines == (clipped,)
    assert overlap_warnings(treatment, np.column_stack([1 - chance, chance]), "treated", clip=0.01) == ()


@pytest.mark.parametrize("last", [1.0, 2.5])
def test_intervals_of_groups_hold_at_once_and_equality_is_tested(last: float) -> None:
    """Four groups of 100 rows of an experiment, 70 draws."""
    rng, held, rejected = np.random.default_rng(0), [], []
    group, half, truth = np.arange(400) % 4, np.full((400, 2), 0.5), np.array([1.0, 1.0, 1.0, last])
    for _ in range(70):
        treatment = rng.integers(2, size=400)
        outcome = truth[group] * treatment + rng.normal(size=400)
        rows = AdjustedRows(outcome=outcome, treatment=treatment, means=np.zeros((400, 2)), probabilities=half)
        groups = group_averages(rows, {str(k): group == k for k in range(4)}, ALL)
        ends = np.array([(average.low[0], average.high[0]) for average in groups.averages.values()])
        held.append(((ends[:, 0] < truth) & (truth < ends[:, 1])).all())
        rejected.append(groups.equality[0] < 0.05)
    assert np.mean(held) > 0.87
    assert np.mean(rejected) < 0.14 if last == 1 else np.mean(rejected) > 0.97
    by_itself = rows.take(group == 0).average(ALL)
    assert by_itself.high[0] - by_itself.low[0] < ends[0, 1] - ends[0, 0]


def test_groups_that_share_clusters_are_compared_within_them() -> None:
    """Each cluster has one row of each group and one level: their difference does not move with it."""
    rng = np.random.default_rng(0)
    household, group = np.repeat(np.arange(60), 4), np.tile([0, 0, 1, 1], 60)
    treatment, level = np.tile([0, 1], 120), np.repeat(rng.normal(size=60), 4)
    outcome = treatment * (1 + 3 * level + 0.2 * group) + 0.1 * rng.normal(size=240)
    columns = {"outcome": outcome, "treatment": treatment, "means": np.zeros((240, 2))}
    rows = AdjustedRows(**columns, probabilities=np.full((240, 2), 0.5), clusters=(household,))
    members = {"a": group == 0, "b": group == 1, "empty": group == 2}
    assert group_averages(rows, members, ALL).equality[0] < 0.001
    apart = group_averages(replace(rows, clusters=(np.arange(240),)), members, ALL)
    assert apart.equality[0] > 0.3 and "has no row in empty" in apart.warnings[-1]
    assert np.isnan(apart.averages["empty"].value).all()


def test_the_level_of_each_interval_is_that_of_the_largest_deviation() -> None:
    assert simultaneous_level(np.eye(4), 0.95) == pytest.approx(0.95**0.25, abs=0.002)
    assert simultaneous_level(np.ones((4, 4)), 0.95) == pytest.approx(0.95, abs=0.005)
    assert simultaneous_level(np.diag([1.0, np.nan]), 0.9) == 0.9
    counts = np.array([9, 99])
    assert equal_effects_p(np.array([0.0, 2.0]), np.eye(2), counts) > equal_effects_p(
        np.array([0.0, 2.0]), np.eye(2), counts + 30
    )
    assert np.isnan(equal_effects_p(np.array([1.0, np.nan]), np.diag([1.0, np.nan]), counts))


def draw_with_instrument(rows: int, seed: int) -> LearnerData:
    """A hidden cause, an instrument that depends on x0, and an effect of 1."""
    rng = np.random.default_rng([seed, 3])
    x, hidden = rng.normal(size=(rows, 1)), rng.normal(size=rows)
    lottery = (rng.random(rows) < 1 / (1 + np.exp(-x[:, 0]))).astype(int)
    treatment = (rng.random(rows) < 1 / (1 + np.exp(-hidden - 2 * (2 * lottery - 1)))).astype(np.int64)
    outcome = treatment + hidden + x[:, 0] + rng.normal(size=rows)
    seen = 1.0 + 4 * lottery[:, None]  # the two values need not be 0 and 1
    return LearnerData(x, np.zeros((rows, 0)), treatment, outcome, 1, False, instruments_or_mediator=seen)


def test_a_binary_instrument_gives_the_effect_of_compliers_where_adjusting_is_biased() -> None:
    values, covers, adjusted = [], [], []
    for seed in range(8):
        rows = draw_with_instrument(1500, seed)
        average = effect_of_compliers(LINEAR_CROSSFIT, rows, ALL, 0)
        values.append(average.value[0])
        covers.append(average.low[0] < 1 < average.high[0])
        adjusted.append(LINEAR.average(replace(rows, instruments_or_mediator=None), ALL, 0).low[0] < 1)
    assert abs(np.mean(values) - 1) < 0.12 and sum(covers) >= 6 and not any(adjusted)
    assert average.metric == "effect_of_compliers"
    both = np.hstack([rows.instruments_or_mediator, rows.modifiers])  # type: ignore[list-item]
    assert not is_binary_instrument(replace(rows, instruments_or_mediator=both))
    with pytest.raises(DataError, match="compliers are those of one binary instrument"):
        effect_of_compliers(LINEAR, replace(rows, instruments_or_mediator=rows.modifiers), ALL, 0)
