"""The overlap report against numbers worked by hand."""

from __future__ import annotations

import numpy as np
import pytest

from causalrec.graph.overlap import calibration_error, overlap

PROPENSITY = np.array([0.5, 0.25, 0.25, 1.0], np.float32)  # weights 2, 4, 4, 1: their sum 11, their squares 37
OUTCOME = np.array([1, 0, 1, 1], np.float32)


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
