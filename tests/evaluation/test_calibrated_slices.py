"""Calibrated slices: a map is as right as the rows it is fitted on, and changes no order it need not change."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from conftest import FakeCoat, last_of_each
from scipy.special import expit, logit

from causalrec import cli
from causalrec.data.datasets.ml100k_semisynthetic import ML100KSemisynthetic
from causalrec.data.log import InteractionLog
from causalrec.data.truth import Oracle
from causalrec.records.run_record import RunRecord
from causalrec.solvers.calibration import OF_OUTCOMES, isotonic, isotonic_at_both_ends, log_odds, platt
from causalrec.types import Doubles

DATA = Path(os.environ.get("CAUSALREC_DATA", Path.home() / ".cache" / "causalrec" / "data"))
Capture = pytest.CaptureFixture[str]
TRAIN = [
    "train",
    "--json",
    "dataset=coat",
    "dataset.threshold=3",
    "split=random",
    "split.unseen=keep",
    "encoder=mf",
    "objective=naive",
    "selection.folds=1",
    "selection.candidates=none",
    "trainer.max_epochs=2",
    "trainer.progress=false",
    "evaluation.replicates=20",
    "evaluation.submodels=false",
    "metric=[auc,ece,brier]",
    "logger=none",
]


def test_platt_recovers_a_planted_line_and_weights_count_rows() -> None:
    rng = np.random.default_rng(0)
    raw = rng.normal(size=20_000)
    label = (rng.random(len(raw)) < expit(0.5 * raw - 1)).astype(float)
    calibrate = platt(expit(raw), label, np.ones(len(raw)))
    np.testing.assert_allclose(calibrate(expit(np.array([0.0, 2.0]))), expit(np.array([-1.0, 0.0])), atol=0.02)
    doubled = np.append(label, label[:100]), np.append(expit(raw), expit(raw[:100]))
    twice = np.where(np.arange(len(raw)) < 100, 2.0, 1.0)
    grid = np.linspace(0.01, 0.99, 9)
    np.testing.assert_allclose(
        platt(doubled[1], doubled[0], np.ones(len(raw) + 100))(grid), platt(expit(raw), label, twice)(grid), atol=1e-5
    )


def test_no_order_is_lost_but_that_which_isotonic_ties() -> None:
    rng = np.random.default_rng(1)
    predicted = rng.random(500)
    label = (rng.random(500) < predicted**2).astype(float)
    order = np.argsort(predicted)
    assert (np.diff(platt(predicted, label, np.ones(500))(predicted)[order]) > 0).all()
    steps = np.diff(isotonic(predicted, label, np.ones(500))(predicted)[order])
    assert (steps >= 0).all() and (steps == 0).any()
    assert (np.diff(log_odds(np.array([0.9, 0.999, 0.9995, 1.0]))) > 0).all()


def test_sure_answers_are_mapped_alike_at_both_ends() -> None:
    rng = np.random.default_rng(2)
    raw = rng.normal(0, 6, 4000)
    predicted = expit(raw).astype(np.float32).astype(float)
    label = (rng.random(4000) < expit(0.3 * raw - 1)).astype(float)
    fit, weight = OF_OUTCOMES["platt"], np.ones(4000)
    at = np.array([-12.0, -3.0, 0.0, 3.0, 12.0])
    np.testing.assert_allclose(fit(predicted, label, weight)(expit(at)), expit(0.3 * at - 1), atol=0.03)
    opposite = fit(1 - predicted, 1 - label, weight)(1 - expit(at))
    np.testing.assert_allclose(fit(predicted, label, weight)(expit(at)), 1 - opposite, atol=1e-3)


def test_no_step_is_sure() -> None:
    predicted, label = np.array([0.1, 0.2, 0.6, 0.8, 0.9]), np.array([0.0, 0.0, 1.0, 1.0, 1.0])
    calibrate = isotonic_at_both_ends(predicted, label, np.ones(5))
    np.testing.assert_allclose(calibrate(np.array([0.0, 1.0])), [0.5 / 2, 1 - 0.5 / 3])
    light = isotonic_at_both_ends(predicted, label, np.array([0.01, 0.02, 2.0, 2.0, 0.97]))
    np.testing.assert_allclose(light(np.array([0.0, 1.0])), [0.5, 1 - 0.5 / 4.97])


def true_ece(predicted: Doubles, rate: Doubles) -> float:
    """The gap between mean prediction and mean true rate over 15 equally wide bins."""
    bins = np.minimum((predicted * 15).astype(int), 14)
    gaps = np.bincount(bins, predicted - rate, minlength=15)
    return float(np.abs(gaps).sum() / len(predicted))


@pytest.fixture(scope="module")
def world() -> tuple[InteractionLog, Doubles, Doubles]:
    """The log of the semi-synthetic ML-100K and the true rates of its rows and of all pairs."""
    dataset = ML100KSemisynthetic().load(DATA)
    log, oracle = dataset.logged, dataset.oracle
    assert isinstance(oracle, Oracle)
    rate = oracle.rate(np.arange(log.num_users)[:, None], np.arange(log.num_items)[None, :]).astype(np.float64)
    return log, rate[log.users, log.item], rate.ravel()


@pytest.mark.network
@pytest.mark.parametrize("draws", [2, pytest.param(50, marks=pytest.mark.long)])
def test_weights_by_the_true_propensities_mend_what_biased_rows_keep(
    draws: int, world: tuple[InteractionLog, Doubles, Doubles]
) -> None:
    log, of_rows, of_pairs = world
    assert log.propensity is not None
    better = 0
    for draw in range(draws):
        rng = np.random.default_rng(draw)
        label = (rng.random(len(log)) < of_rows).astype(float)
        score = expit(logit(of_rows) + 1 + rng.normal(0, 2, len(of_rows)))
        of_all = expit(logit(of_pairs) + 1 + rng.normal(0, 2, len(of_pairs)))
        plain, weighted = (
            true_ece(OF_OUTCOMES["platt"](score, label, weight)(of_all), of_pairs)
            for weight in (np.ones(len(log)), 1 / log.propensity.astype(np.float64))
        )
        better += weighted <= plain / 3
    assert better >= 0.9 * draws, better


def test_a_run_shows_both_kinds_of_rows_and_each_map(
    fake_coat: FakeCoat, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Capture
) -> None:
    monkeypatch.setenv("CAUSALREC_DATA", str(fake_coat(tmp_path / "data")))
    monkeypatch.setenv("CAUSALREC_CACHE", str(tmp_path / "cache"))
    monkeypatch.chdir(tmp_path)
    slices = "slice=[test,validation,calibrated,calibrated_randomised]"
    assert cli.main([*TRAIN, slices, "split.propensity_sample=0.2", "selection.randomised_budget=1000"]) == 0
    output = capsys.readouterr()
    (record,) = json.loads(output.out)
    assert "no rows in these data" not in output.err
    scores: dict[Any, float] = {(s["metric"], s["slice"]): s["value"] for s in record["scores"]}
    names = [
        f"randomised_{m}_{rows}" for m in ("platt", "isotonic") for rows in ("validation", "weighted", "randomised")
    ]
    assert {("ece", name) for name in ["randomised", "validation", *names]} <= set(scores)
    curves = {curve["slice"]: curve["mapped"] for curve in record["reliability"]}
    assert curves == {"randomised": False, "validation": False, **dict.fromkeys(names, True)}
    del record["reliability"]
    assert RunRecord.from_json(tmp_path, record).reliability == (), "a record of before there were curves is read"
    away = [abs(scores["auc", name] - 0.5) for name in ("randomised_platt_randomised", "randomised")]
    assert away[0] == pytest.approx(away[1]), "a map that falls turns the order of so small a fit"
    assert record["selection"]["randomised_rows_for"] == ["calibration"]
    assert any("fitted on" in line and "left the test" in line for line in record["task"]["footnotes"])


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        (["slice=[test,calibrated_randomised]"], "no randomised rows are set aside; set split.propensity_sample=0.05"),
        (["slice=[test,calibrated]", "selection.folds=2"], "validation rows too; set selection.folds=1"),
        (["slice=[test,calibrated]", "dataset.threshold=null"], "makes probabilities of outcomes that are 0 or 1"),
    ],
)
def test_a_wrong_request_is_one_line(
    changes: list[str],
    reason: str,
    fake_coat: FakeCoat,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: Capture,
) -> None:
    monkeypatch.setenv("CAUSALREC_DATA", str(fake_coat(tmp_path / "data")))
    monkeypatch.setenv("CAUSALREC_CACHE", str(tmp_path / "cache"))
    monkeypatch.chdir(tmp_path)
    assert cli.main(last_of_each(*TRAIN, *changes)) in (1, 2)
    error = capsys.readouterr().err
    assert reason in error.splitlines()[-1], error
