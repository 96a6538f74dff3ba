"""What the overlap report and the warnings say of a fitted model, from raw files to the record and the page."""

from __future__ import annotations

import json
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from conftest import FakeCoat, FakeML100K, last_of_each

from causalrec import cli
from causalrec.data.log import InteractionLog
from causalrec.encoders.base import EncoderInputs
from causalrec.encoders.mf import MF
from causalrec.estimators.calibration_experts import CalibrationExperts
from causalrec.estimators.objective.dce_dr import DCEDR
from causalrec.estimators.objective.kbips import KBIPS
from causalrec.estimators.objective.multi_dr import MultiDR
from causalrec.estimators.pointwise_error import pointwise_error
from causalrec.features.views import FeatureMatrix
from causalrec.graph.overlap import Overlap
from causalrec.heads.dot import Dot
from causalrec.learners.network_predictor import NetworkPredictor
from causalrec.models import CausalModel, inference_batch
from causalrec.role_network import RoleNetwork
from causalrec.running.fitted_overlap import with_fit
from causalrec.running.trained_run import TrainedRun
from causalrec.types import IMPUTATION, OUTCOME, PROPENSITY

floats = partial(np.array, dtype=np.float32)
SMALL = ["trainer=smoke", "trainer.progress=false", "selection.folds=1", "logger=none", "evaluation.replicates=5"]
SMALL += ["selection.candidates={optimizer.weight_decay:[0.1]}", "encoder=mf", "sweep=overlaps"]
COAT, SEMI = ["dataset=coat", "split.unseen=drop"], ["dataset=ml100k_semisynthetic", "dataset.test_items=10"]
Train = Callable[..., dict[str, Any]]


@pytest.fixture
def train(
    fake_ml100k: FakeML100K,
    fake_coat: FakeCoat,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> Train:
    """Train one job on fake raw data through the command and return its record."""
    data = fake_coat(fake_ml100k(tmp_path / "data", users=60, items=50, ratings=900))
    monkeypatch.setenv("CAUSALREC_DATA", str(data))
    monkeypatch.setenv("CAUSALREC_CACHE", str(tmp_path / "cache"))
    monkeypatch.chdir(tmp_path)

    def call(*overrides: str) -> dict[str, Any]:
        capsys.readouterr()
        assert cli.main(last_of_each("train", "--json", *SMALL, *overrides)) == 0
        (record,) = json.loads(capsys.readouterr().out)
        assert isinstance(record, dict)
        return record

    return call


def test_a_known_truth_tells_the_bias_and_a_learnt_propensity_is_judged_beside_the_fitted(train: Train) -> None:
    overlap = train(*SEMI, "objective=upo")["overlap"]
    learned = overlap["learned"]
    for errors in (overlap, learned):
        assert 0 <= errors["ece"] < 1 and errors["bmse"] > 0 and errors["variance"] > 0 and errors["bias"] > 0
    assert all(overlap[name] != learned[name] for name in learned)


def test_without_truth_or_imputed_errors_the_report_leaves_out_and_says_so(train: Train) -> None:
    robust, plain = (train(*COAT, f"objective={name}", f"sweep={name}")["overlap"] for name in ("dr_jl", "naive"))
    assert robust["variance"] > 0 and robust["bias"] is None and robust["learned"] is None
    assert robust["bmse"] == plain["bmse"] > 0 and plain["variance"] is None
    for name, left_out in (("dr_jl", False), ("naive", True)):
        assert cli.main(["report", f"runs/{name}"]) == 0
        page = Path(f"runs/{name}/report.html").read_text(encoding="utf-8")
        assert "BMSE of p, columns in SD" in page and "bias of it" not in page
        assert ("left out: no errors are imputed" in page) == left_out


def test_a_kernel_without_spread_is_warned_of_beside_the_number(
    train: Train, capsys: pytest.CaptureFixture[str]
) -> None:
    assert not [line for line in train(*COAT, "objective=kbips")["warnings"] if "kernel" in line]
    record = train(*COAT, "objective=kbips", "objective.bandwidth=1e-6")
    (line,) = [line for line in record["warnings"] if "kernel" in line]
    assert "hardly tells pairs apart: its standard deviation over them is" in line
    assert "change objective.bandwidth=1e-06" in line
    assert cli.main(["table", "runs/overlaps"]) == 0
    assert "hardly tells pairs apart" in " ".join(capsys.readouterr().out.split())


def test_kernels_too_small_to_hold_the_mean_weight_are_warned_of() -> None:
    zero = np.zeros(1, np.int64)
    log = InteractionLog(zero, np.ones(1, np.int64), np.zeros(1, np.float32), 5, zero, 6)
    model, features = model_of(OUTCOME, "weight")
    for objective, count in ((KBIPS(), 0), (KBIPS(bandwidth=20.0), 1), (KBIPS(balance=0.2), 1)):
        lines = NetworkPredictor(model, features, objective, log).warnings
        assert len([line for line in lines if "too small to hold the weights" in line]) == count


def model_of(*roles: str) -> tuple[CausalModel, FeatureMatrix]:
    torch.manual_seed(0)
    users, items = (np.random.default_rng(1).normal(size=(count, 1)).astype(np.float32) for count in (6, 5))
    features = FeatureMatrix(("a", "b"), ("user", "item"), users, items, ())
    inputs = EncoderInputs(6, 5, (), Path(), Path())
    networks = {role: RoleNetwork(MF(inputs, width=3), Dot(2)) for role in roles}
    for network in networks.values():
        for parameter in network.parameters():
            torch.nn.init.normal_(parameter)
    return CausalModel(networks, "logit"), features  # type: ignore[arg-type]


def test_misses_and_learnt_propensities_are_those_of_the_networks() -> None:
    user, item = np.arange(5), np.array([4, 0, 2, 1, 3])
    outcome = floats([1, 0, 1, 1, 0])
    log = InteractionLog(item, np.ones(5, np.int64), outcome, 5, user, 6)
    model, features = model_of(OUTCOME, IMPUTATION, PROPENSITY)
    predictor = NetworkPredictor(model, features, MultiDR())
    outputs = model(inference_batch(user, item, features))
    raw, label = outputs[OUTCOME].detach(), torch.sigmoid(outputs[IMPUTATION]).detach()
    expected = pointwise_error(raw, torch.from_numpy(outcome), "logit") - pointwise_error(raw, label, "logit")
    misses = predictor.imputation_misses(log)
    assert misses is not None and misses.tolist() == pytest.approx(expected.tolist(), rel=1e-4, abs=1e-6)
    chance = predictor.learned_propensity(log)
    assert chance is not None and chance.tolist() == pytest.approx(torch.sigmoid(outputs[PROPENSITY]).tolist())
    calibrated = NetworkPredictor(model, features, DCEDR())  # its experts are not at hand
    assert calibrated.imputation_misses(log) is None and calibrated.learned_propensity(log) is None


def test_calibrated_propensities_and_labels_are_those_that_the_terms_read() -> None:
    user, item = np.arange(5), np.array([4, 0, 2, 1, 3])
    log = InteractionLog(item, np.ones(5, np.int64), floats([1, 0, 1, 1, 0]), 5, user, 6)
    model, features = model_of(OUTCOME, IMPUTATION, PROPENSITY)
    outputs = model(inference_batch(user, item, features))
    unit, zero = torch.ones(1, dtype=torch.float64), torch.zeros(1, dtype=torch.float64)  # as a stack in float64 has it
    gate = torch.zeros(1, 5, dtype=torch.float64)  # of [p, b, 1]
    experts = {
        **CalibrationExperts(2 * unit, unit, gate, zero, unit).buffers(PROPENSITY),
        **CalibrationExperts(unit, -unit, gate, zero, unit).buffers(IMPUTATION),
    }
    predictor = NetworkPredictor(model, features, DCEDR(), buffers=experts)
    chance = predictor.learned_propensity(log)
    assert chance is not None
    assert chance.tolist() == pytest.approx(torch.sigmoid(2 * outputs[PROPENSITY] + 1).tolist(), rel=1e-5)
    raw, label = outputs[OUTCOME].detach(), torch.sigmoid(outputs[IMPUTATION].detach() - 1)
    expected = pointwise_error(raw, torch.from_numpy(log.outcome), "logit") - pointwise_error(raw, label, "logit")
    misses = predictor.imputation_misses(log)
    assert misses is not None and misses.tolist() == pytest.approx(expected.tolist(), rel=1e-4, abs=1e-6)


def test_a_propensity_that_experts_calibrate_is_judged_and_a_reloaded_run_has_the_same(train: Train) -> None:
    record = train(*SEMI, "objective=dce_dr", "objective.clip=0.1")
    learned = record["overlap"]["learned"]
    assert 0 <= learned["ece"] < 1 and learned["bmse"] > 0 and learned["variance"] > 0 and learned["bias"] > 0
    run = TrainedRun.load(next(Path("runs/overlaps").rglob("record.json")).parent)
    report = with_fit(Overlap(0.0, 0.0, 1.0, 1.0, None, (), {}), run.prepared, run.predictor)
    assert report.learned is not None and vars(report.learned) == pytest.approx(learned)


def test_a_network_of_outcomes_alone_imputes_and_learns_neither_and_has_no_warnings_without_a_log() -> None:
    model, features = model_of(OUTCOME, "weight")
    predictor = NetworkPredictor(model, features, KBIPS(bandwidth=1e-9))
    zero = np.zeros(1, np.int64)
    log = InteractionLog(zero, np.ones(1, np.int64), np.zeros(1, np.float32), 5, zero, 6)
    assert predictor.imputation_misses(log) is None and predictor.learned_propensity(log) is None
    assert predictor.warnings == () and len(NetworkPredictor(model, features, predictor.objective, log).warnings) == 1
