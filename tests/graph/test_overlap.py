"""The overlap report against numbers worked by hand."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from causalrec.data.log import InteractionLog
from causalrec.estimators.pointwise_error import inverse_propensity
from causalrec.graph.calibration import calibration_error, calibration_error_by_width
from causalrec.graph.column_balance import Balance, balance
from causalrec.graph.overlap import arm_overlap, overlap, with_criterion
from causalrec.records.json_records import from_plain
from causalrec.records.overlap_sections import OverlapSection

PROPENSITY = np.array([0.5, 0.25, 0.25, 1.0], np.float32)  # weights 2, 4, 4, 1: their sum 11, their squares 37
OUTCOME = np.array([1, 0, 1, 1], np.float32)
ONES = np.ones(100, np.float32)


def test_the_report_is_the_hand_worked_one() -> None:
    report = overlap(PROPENSITY, OUTCOME, 22, clip=0.3, ece=0.01, truth=0.4)
    assert report.clipped == 0.5
    assert report.effective_rows == pytest.approx(121 / 37)
    assert report.inverse_sum == pytest.approx(0.5)
    assert report.mean_outcome == pytest.approx({"naive": 0.75, "ips": 7 / 22, "snips": 7 / 11, "true": 0.4})
    assert (report.quantiles[0], report.quantiles[3], report.quantiles[5]) == (0.25, 0.375, 1.0)
    assert (report.clip, report.ece) == (0.3, 0.01)


def test_a_row_at_the_clip_is_not_clipped() -> None:
    assert overlap(PROPENSITY, OUTCOME, 22, clip=0.25, ece=None, truth=None).clipped == 0.0
    tenths = np.full(4, 0.7, np.float32)  # which is a little less than the 0.7 of float64
    rows = InteractionLog(np.zeros(4, np.int64), np.ones(4, np.int64), OUTCOME, 1, propensity=tenths)
    report = with_criterion(overlap(tenths, OUTCOME, 22, clip=0.7, ece=None, truth=None), rows, 0.7)
    assert (report.clipped, report.criterion_clipped) == (0.0, 0.0)
    weight = inverse_propensity(torch.ones(4), torch.from_numpy(tenths), 0.7)
    torch.testing.assert_close(weight, torch.full((4,), 1 / 0.7))


def test_without_a_truth_none_is_claimed() -> None:
    assert "true" not in overlap(PROPENSITY, OUTCOME, 22, clip=0.1, ece=None, truth=None).mean_outcome


def test_equal_propensities_lose_no_rows() -> None:
    report = overlap(np.full(50, 0.2, np.float32), np.ones(50, np.float32), 250, clip=0.05, ece=None, truth=None)
    assert report.effective_rows == pytest.approx(50) and report.inverse_sum == pytest.approx(1)


def test_calibration_error_is_the_weighted_gap_of_the_bins() -> None:
    predicted, happened = np.array([0.8, 0.1, 0.9, 0.2], np.float32), np.array([1, 0, 0, 0], np.float32)
    # bins {0.1, 0.2} and {0.8, 0.9}: gaps |0.15 - 0| and |0.85 - 0.5|
    assert calibration_error(predicted, happened, bins=2) == pytest.approx((0.15 + 0.35) / 2)


def test_calibration_error_tells_a_calibrated_forecast_from_a_shifted_one() -> None:
    rng = np.random.default_rng(0)
    chance = rng.random(20_000).astype(np.float32) * 0.5
    happened = (rng.random(20_000) < chance).astype(np.float32)
    assert calibration_error(chance, happened) < 0.02
    assert calibration_error(chance + np.float32(0.1), happened) == pytest.approx(0.1, abs=0.02)


def test_the_equal_width_error_is_the_weighted_gap_of_its_bins() -> None:
    predicted, happened = np.array([0.1, 0.2, 0.8, 1.0], np.float32), np.array([0, 1, 0, 1], np.float32)
    # bins {0.1, 0.2} and {0.8, 1.0}: gaps |0.3 - 1| and |1.8 - 1|, over four rows
    assert calibration_error_by_width(predicted, happened, bins=2) == pytest.approx((0.7 + 0.8) / 4)
    assert calibration_error_by_width(predicted, happened) == pytest.approx((0.1 + 0.8 + 0.8) / 4)


def lines(inverse: float = 1.0, ece: float | None = 0.0, clip: float = 0.01, spread: bool = False) -> tuple[str, ...]:
    propensity = np.full(100, 0.5, np.float32)
    if spread:
        propensity[0] = 1e-4
    pairs = round(float((1 / propensity).sum()) / inverse)
    return overlap(propensity, np.ones(100, np.float32), pairs, clip=clip, ece=ece, truth=None).warnings


def test_nothing_is_warned_of_within_the_bounds() -> None:
    assert lines() == lines(0.81) == lines(1.24) == lines(ece=0.05) == lines(ece=None) == ()


@pytest.mark.parametrize("inverse", [0.75, 1.3])
def test_an_inverse_sum_outside_its_bounds_is_one_warning(inverse: float) -> None:
    (line,) = lines(inverse)
    assert line.startswith(f"sum of 1/p is {inverse:.2f} of the pairs")


def test_few_effective_rows_clipped_rows_and_miscalibration_are_warned_of() -> None:
    assert [line.split(" are ")[0] for line in lines(spread=True, clip=0)] == ["effective rows"]
    assert lines(clip=0.6) == ("100.0% of the rows are clipped at 0.6, above 5%: the estimate is biased",)
    assert lines(ece=0.051) == ("calibration error of p is 0.051, above 0.05",)


def test_balance_is_the_hand_worked_one_and_names_the_worst_after_and_before() -> None:
    population = np.array(
        [[0, 0, 0, 7, 0], [2, 4, 2, 7, 2]], np.float32
    )  # means 1, 2, 1, 7, 1; deviations 1, 2, 1, 0, 1
    exposed = np.array([[0, 4, 2, 7, 0], [2, 4, 2, 7, 4]], np.float32)
    differences = balance(exposed, population, np.array([0.2, 0.6], np.float32), ("a", "b", "c", "d", "e"))
    # weights 5 and 5/3: the mean of a is 1/2, that of e 1
    assert differences == Balance(1.0, 1.0, differences.worst)  # type: ignore[union-attr]
    assert differences.worst == (
        ("b", 1.0, 1.0),
        ("c", 1.0, 1.0),
        ("a", 0.0, pytest.approx(-0.5)),
        differences.worst[3],
    )
    assert differences.worst[3] == ("e", 1.0, pytest.approx(0, abs=1e-6))
    assert balance(exposed[:, :0], population[:, :0], PROPENSITY[:2], ()) is None


def test_the_true_propensity_balances_what_a_wrong_one_leaves_off() -> None:
    rng = np.random.default_rng(0)
    column = rng.normal(size=(50_000, 1)).astype(np.float32)
    chance = (1 / (1 + np.exp(1 - column[:, 0]))).astype(np.float32)
    seen = rng.random(50_000) < chance
    true, flat = (
        balance(column[seen], column, p[seen], ("x",)) for p in (chance, np.full(50_000, chance.mean(), np.float32))
    )
    assert true is not None and flat is not None
    assert true.before == flat.before == pytest.approx(flat.after) and flat.after > 0.3
    assert true.after < 0.05
    report = overlap(PROPENSITY, OUTCOME, 11, clip=0.0, ece=None, truth=None, balance=flat)
    assert len(report.warnings) == 1 and report.warnings[0].startswith("column x is off by 0.")


def test_a_constant_column_tells_no_pairs_apart() -> None:
    differences = balance(np.full((2, 1), 3, np.float32), np.full((4, 1), 2, np.float32), PROPENSITY[:2], ("x",))
    assert differences == Balance(0.0, 0.0, (("x", 0.0, 0.0),))


def rare_arm(propensity: float, treated: int = 40) -> InteractionLog:
    """960 rows without treatment beside a few of an arm, all of which have this propensity."""
    treatment = np.repeat([0, 1], [960, treated])
    received = np.where(treatment == 1, propensity, 0.96).astype(np.float32)
    outcome = np.zeros(len(treatment), np.float32)
    return InteractionLog(np.zeros(len(treatment), np.int64), treatment, outcome, 1, propensity=received)


def test_the_clipped_share_of_a_rare_arm_is_of_its_own_rows() -> None:
    log = rare_arm(0.005)
    report = arm_overlap(log, clip=0.01, truth=None)
    assert report.clipped == 0.04, "below the limit, of all rows"
    assert report.clipped_by_arm == {"none": 0.0, "arm 1": 1.0}
    assert "100.0% of the rows of arm 1 are clipped at 0.01, above 5%: the estimate is biased" in report.warnings
    chosen = with_criterion(report, log, 0.02)
    assert (
        chosen.warnings[-1]
        == "selection: 100.0% of the rows of arm 1 are clipped at 0.02, above 5%: what it chooses by is biased"
    )
    assert not [line for line in arm_overlap(rare_arm(0.04), clip=0.01, truth=None).warnings if "clipped" in line]


def test_rows_without_chance_of_another_arm_are_not_called_uncalibrated() -> None:
    treatment = np.tile([0, 1], 50)
    certain = InteractionLog(np.zeros(100, np.int64), treatment, np.zeros(100, np.float32), 1, propensity=ONES)
    (line,) = arm_overlap(certain, clip=0.0, truth=None).warnings
    assert line.startswith("100% of the rows had, by p, next to no chance of another arm than theirs")
    rare = rare_arm(0.004, treated=4)  # a rare arm that was drawn at random leaves nobody alone
    assert arm_overlap(rare, clip=0.0, truth=None).near_certain == 0.0
    followed = arm_overlap(certain, clip=0.0, truth=None, one_armed={"age": 1.0})
    assert [line[:21] for line in followed.warnings] == ["treatment follows age"] and followed.one_armed == {"age": 1.0}


def test_older_records_know_no_arms_and_no_errors_of_estimates() -> None:
    values = vars(OverlapSection(clipped=0.04))
    later = ("clipped_by_arm", "near_certain", "one_armed", "bmse", "variance", "bias", "learned")
    older = {name: value for name, value in values.items() if name not in later}
    before = from_plain(Path("record.json"), OverlapSection, older)
    assert (before.bmse, before.variance, before.bias, before.learned) == (None,) * 4
    assert (before.clipped_by_arm, before.near_certain, before.one_armed) == ({}, None, {})
