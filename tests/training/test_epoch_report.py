"""The classification report of the validation rows after each epoch: right, logged, kept, and gone on from."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from pytorch_lightning.loggers import CSVLogger
from sklearn.metrics import classification_report as sklearn_report
from torch import Tensor

from causalrec.data.log import InteractionLog
from causalrec.data.sampler.balanced import Balanced
from causalrec.encoders.base import EncoderInputs
from causalrec.encoders.mf import MF
from causalrec.estimators.objective.dr_jl import DRJL
from causalrec.features.views import FeatureMatrix
from causalrec.heads.classes import Classes
from causalrec.heads.dot import Dot
from causalrec.models import CausalModel
from causalrec.records.run_record import RunRecord
from causalrec.records.sections import CandidateRecord, EpochRecord, SelectionSection
from causalrec.role_network import RoleNetwork
from causalrec.tracking.loggers import curves_of
from causalrec.training.criterion import classification_report, confusion
from causalrec.training.datamodule import LogDataModule
from causalrec.training.fit_result import FitResult
from causalrec.training.module import CausalRecModule
from causalrec.training.optimizer import AdamW
from causalrec.training.trainer import TrainerSettings, seed_everything

USERS, ITEMS = 24, 18
VIEW = FeatureMatrix((), ("user", "item"), np.zeros((USERS, 0), np.float32), np.zeros((ITEMS, 0), np.float32), ())


class Stopped(Exception):
    """Ends a fit from within, as an interrupt would."""


class Mortal(Classes):
    """A head whose process may die at a training step."""

    left = -1

    def forward(self, user: Tensor, item: Tensor, features: Tensor) -> Tensor:
        self.left -= self.training
        if self.left == 0:
            raise Stopped
        return super().forward(user, item, features)


def log_of(seed: int, rows: int, classes: int = 3) -> InteractionLog:
    rng = np.random.default_rng(seed)
    codes = rng.choice(USERS * ITEMS, rows, replace=False)
    outcome = ((codes % ITEMS) % classes).astype(np.float32)
    propensity = rng.uniform(0.2, 0.9, rows).astype(np.float32)
    columns = codes % ITEMS, np.ones(rows, np.int64), outcome, ITEMS, codes // ITEMS, USERS
    return InteractionLog(*columns, propensity=propensity)


VALIDATION = log_of(1, 60)


def fit_small_model(folder: Path, logger: Any = None, death: int = -1, classes: int = 3, **settings: Any) -> FitResult:
    objective = DRJL()
    seed_everything(0)
    inputs = EncoderInputs(USERS, ITEMS, (), Path(), Path())
    heads: list[Any] = [Mortal(0, 6, num_classes=3) if classes == 3 else Dot(0) for _ in objective.roles]
    networks = {r: RoleNetwork(MF(inputs, width=4), head) for r, head in zip(objective.roles, heads, strict=True)}
    heads[0].left = death
    model = CausalModel(networks, "softmax" if classes == 3 else "logit")
    validation = VALIDATION if classes == 3 else log_of(1, 60, 2)
    sampler = Balanced(batch_size=32 if objective.space == "logged" else 16)
    data = LogDataModule(
        log_of(0, 150, classes),
        validation,
        VIEW,
        sampler,
        objective.space,
        0,
    )
    keys: dict[str, Any] = {"max_epochs": 4, "patience": 4, "progress": False, **settings}
    module = CausalRecModule(model, objective, AdamW(lr=0.05))
    return TrainerSettings(**keys).fit(module, data, logger, folder, "test", None)


@pytest.mark.parametrize("present", [3, 2])
def test_a_report_is_that_of_scikit_learn(present: int) -> None:
    draw = torch.Generator().manual_seed(present)
    raw = torch.randn(200, 4, generator=draw)
    raw[:, present:] -= 100  # never the likeliest
    label = torch.randint(0, 3, (200,), generator=draw).float()
    observed = (torch.rand(200, generator=draw) < 0.7).float()
    seen = observed > 0
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        expected = sklearn_report(label[seen], raw[seen].argmax(1), output_dict=True, zero_division=0)
    report = classification_report(confusion(raw, label, observed))
    assert report["accuracy"] == pytest.approx(expected["accuracy"])
    assert report["macro_f1"] == pytest.approx(expected["macro avg"]["f1-score"])
    for k, class_report in enumerate(report["classes"][:3]):
        theirs = expected[f"{float(k)}"]
        mine = [class_report["precision"], class_report["recall"], class_report["f1"], class_report["support"]]
        assert mine == pytest.approx([theirs[n] for n in ("precision", "recall", "f1-score", "support")])
    assert report["classes"][3] == {"precision": 0, "recall": 0, "f1": 0, "support": 0}


def test_each_epoch_has_the_report_of_its_validation_rows(tmp_path: Path) -> None:
    logger = CSVLogger(tmp_path, name="", version="curves")
    fit = fit_small_model(tmp_path, logger)
    assert len(fit.curve) == 4
    for point in fit.curve:
        assert point.report is not None
        supports = [class_report["support"] for class_report in point.report["classes"]]
        assert supports == np.bincount(VALIDATION.outcome.astype(int)).tolist()
    accuracies = [point.report["accuracy"] for point in fit.curve if point.report]
    assert accuracies[-1] > accuracies[0] and accuracies[-1] > 0.5
    logger.finalize("success")
    lines = (tmp_path / "curves" / "metrics.csv").read_text().splitlines()
    assert "validation/accuracy" in lines[0] and "validation/macro_f1" in lines[0]
    column = lines[0].split(",").index("validation/accuracy")
    assert [float(line.split(",")[column]) for line in lines[1:]] == pytest.approx(accuracies)


def test_a_stopped_fit_goes_on_with_the_reports_it_had(tmp_path: Path) -> None:
    full_fit = fit_small_model(tmp_path / "whole")
    with pytest.raises(Stopped):
        fit_small_model(tmp_path / "cut", death=34, checkpoint_steps=3)  # 14 steps an epoch
    assert (tmp_path / "cut" / "resume.ckpt").exists()
    again = fit_small_model(tmp_path / "cut", checkpoint_steps=3)
    assert again.curve == full_fit.curve
    assert fit_small_model(tmp_path / "cut").curve == full_fit.curve  # read from what was kept


def test_a_click_has_none_and_takes_no_part(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("causalrec.training.module.confusion", lambda *_: 1 / 0)
    assert all(point.report is None for point in fit_small_model(tmp_path, classes=2).curve)


def test_a_record_keeps_reports_for_loggers_that_come_later(tmp_path: Path) -> None:
    fit = fit_small_model(tmp_path)
    curve = tuple(
        EpochRecord(point.epoch, point.loss, point.criterion, dict(point.report or {})) for point in fit.curve
    )
    candidate = CandidateRecord(fit="wd=0.1", settings={}, criterion=0.5, best_epoch=0, epochs=4, curve=curve)
    record = RunRecord(
        name="x",
        status="done",
        selection=SelectionSection(candidates=(candidate,)),
        config={"seed": 0, "evaluation": {"level": 0.95}},
    )
    ((_, replayed_curve),) = curves_of(RunRecord.load(record.save(tmp_path / "record")))
    assert replayed_curve == fit.curve
