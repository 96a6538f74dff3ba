"""Loggers: one run per job, with its curves and its best scores, closed whatever happens."""

from __future__ import annotations

import csv
import dataclasses
import os
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import wandb

from causalrec.config.component import validate_component
from causalrec.config.compose import package_folder
from causalrec.data.log import InteractionLog
from causalrec.data.sampler.balanced import Balanced
from causalrec.encoders.base import EncoderInputs
from causalrec.encoders.mf import MF
from causalrec.errors import DataError, RequestError
from causalrec.estimators.objective.naive import Naive
from causalrec.features.views import FeatureMatrix
from causalrec.heads.dot import Dot
from causalrec.models import CausalModel
from causalrec.records.run_record import RunRecord
from causalrec.records.sections import CandidateRecord, EpochRecord, ScoreRecord, SelectionSection
from causalrec.role_network import RoleNetwork
from causalrec.tracking.loggers import AbstractLogger, Csv, LoggedJob, NoLogger, TensorBoard, curves_of
from causalrec.tracking.wandb_logger import WandB
from causalrec.training.datamodule import LogDataModule
from causalrec.training.fit_result import Epoch, log_curve
from causalrec.training.module import CausalRecModule
from causalrec.training.optimizer import AdamW
from causalrec.training.trainer import TrainerSettings
from causalrec.types import OUTCOME

USERS, ITEMS, EPOCHS = 10, 8, 2
BEST = {"auc@randomised": 0.75, "mse@randomised": 0.25}


def _score(metric: str, value: float | None) -> ScoreRecord:
    return ScoreRecord("mf-naive", "randomised", metric, value, None, None, 9)


def _candidate(decay: float, *curve: EpochRecord) -> CandidateRecord:
    settings = {"optimizer.weight_decay": decay}
    return CandidateRecord(fit=f"wd={decay:g}", settings=settings, criterion=0.4, best_epoch=0, epochs=1, curve=curve)


RECORD = RunRecord(
    name="mf-naive",
    status="done",
    scores=(_score("auc", 0.75), _score("mse", 0.25), _score("skill", None)),
    selection=SelectionSection(
        chosen={"optimizer.weight_decay": 0.1},
        candidates=(
            _candidate(0.1, EpochRecord(0, 0.7, 0.6)),
            _candidate(1.0, *(EpochRecord(e, 0.5 - e / 10, 0.4) for e in range(3))),
        ),
    ),
)


@pytest.fixture(autouse=True)
def no_open_run() -> Iterator[None]:
    """A test that fails must not fail the next."""
    yield
    if wandb.run is not None:
        wandb.finish()


def job_of(folder: Path, key: str = "abc123", name: str = "mf-naive") -> LoggedJob:
    tags, config = ("coat", "mf", "naive"), {"seed": 0, "optimizer.lr": 0.01}
    return LoggedJob(name, "sweep-one", 0, key, folder / key, tags, config)


def train_and_close(logger: AbstractLogger, job: LoggedJob, status: Any = "done") -> None:
    """A run as `run.py` makes it: open, fit, close."""
    rng = np.random.default_rng(0)
    codes = rng.permutation(USERS * ITEMS)
    columns = codes % ITEMS, np.ones_like(codes), (codes % 2).astype(np.float32)
    half = np.full(len(codes), 0.5, np.float32)
    log = InteractionLog(*columns, ITEMS, codes // ITEMS, USERS, propensity=half)
    none = np.zeros((10, 0), np.float32)
    features = FeatureMatrix((), ("user", "item"), none, none, ())
    inputs = EncoderInputs(USERS, ITEMS, (), Path(), Path())
    model = CausalModel({OUTCOME: RoleNetwork(MF(inputs, width=2), Dot(0))}, "logit")
    logs = log.take(np.arange(60)), log.take(np.arange(60, 80))
    data = LogDataModule(*logs, features, Balanced(batch_size=16), "logged", 0)
    opened = logger.open(job)
    settings = TrainerSettings(max_epochs=EPOCHS, progress=False)
    settings.fit(CausalRecModule(model, Naive(), AdamW()), data, opened, job.folder / "checkpoints", "test")
    single = dataclasses.replace(RECORD, selection=SelectionSection(candidates=RECORD.selection.candidates[:1]))
    logger.close(opened, single, status)


def test_every_logger_of_the_configuration_is_one_of_ours() -> None:
    import yaml

    folder = package_folder("conf") / "logger"
    loggers = {
        f.stem: validate_component("logger", yaml.safe_load(f.read_text()), AbstractLogger).build()
        for f in folder.iterdir()
    }
    assert {name: type(logger) for name, logger in loggers.items()} == {
        "none": NoLogger,
        "csv": Csv,
        "tensorboard": TensorBoard,
        "wandb": WandB,
    }


def test_no_logger_writes_only_the_checkpoints(tmp_path: Path) -> None:
    train_and_close(NoLogger(), job_of(tmp_path))
    parents = {path.parent.relative_to(tmp_path).as_posix() for path in tmp_path.rglob("*") if path.is_file()}
    assert parents == {"abc123/checkpoints"}


def test_csv_writes_a_row_per_epoch_and_the_best_scores(tmp_path: Path) -> None:
    train_and_close(Csv(), job_of(tmp_path))
    with (tmp_path / "abc123" / "curves" / "metrics.csv").open() as file:
        rows = list(csv.DictReader(file))
    for name in ("train/loss", "validation/criterion"):
        assert len([row for row in rows if row[name]]) == EPOCHS
        assert all(np.isfinite(float(row[name])) for row in rows if row[name])
    for name, value in BEST.items():
        assert [float(row[f"best/{name}"]) for row in rows if row[f"best/{name}"]] == [value]
    with warnings.catch_warnings():
        warnings.simplefilter("error")  # a job that goes on writes its curves anew, and nobody need be told
        logger = Csv().open(job_of(tmp_path))
        assert logger is not None and logger.experiment is not None


def test_tensorboard_writes_events_of_curves_and_best_scores(tmp_path: Path) -> None:
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    train_and_close(TensorBoard(), job_of(tmp_path))
    folder = tmp_path / "abc123" / "tensorboard"
    assert list(folder.glob("events.out.tfevents.*"))
    read = EventAccumulator(str(folder)).Reload()
    assert len(read.Scalars("validation/criterion")) == EPOCHS
    assert [point.value for point in read.Scalars("best/auc@randomised")] == [0.75]


def test_a_job_that_is_over_is_replayed_with_its_curves_and_scores(tmp_path: Path) -> None:
    Csv().replay(job_of(tmp_path), RECORD, "done")
    with (tmp_path / "abc123" / "curves" / "metrics.csv").open() as file:
        rows = list(csv.DictReader(file))
    second = [(row["epoch"], row["wd=1/train/loss"]) for row in rows if row["wd=1/train/loss"]]
    assert [(float(epoch), pytest.approx(float(loss))) for epoch, loss in second] == [(0, 0.5), (1, 0.4), (2, 0.3)]
    assert [float(row["wd=0.1/validation/criterion"]) for row in rows if row["wd=0.1/validation/criterion"]] == [0.6]
    assert [float(row["train/loss"]) for row in rows if row["train/loss"]] == [0.7], "the chosen one's, by one name"
    assert [float(row["best/auc@randomised"]) for row in rows if row["best/auc@randomised"]] == [0.75]
    NoLogger().replay(job_of(tmp_path, "none"), RECORD, "done")
    assert not (tmp_path / "none").exists()


def test_a_single_candidate_logs_without_a_prefix_and_a_lost_loss_is_nan() -> None:
    selection = SelectionSection(candidates=(_candidate(0.1, EpochRecord(4, None, None)),))
    ((prefix, (point,)),) = curves_of(RunRecord(name="x", status="done", selection=selection))
    assert prefix == "" and (point.epoch, point.criterion) == (4, None) and np.isnan(point.loss)
    assert list(curves_of(RunRecord(name="x", status="failed"))) == []


def test_a_curve_without_a_criterion_logs_its_loss_alone(tmp_path: Path) -> None:
    logger = Csv().open(job_of(tmp_path))
    log_curve(logger, "refit/", [Epoch(0, 0.5, None), Epoch(1, 0.4, None)])
    log_curve(None, "", [Epoch(0, 0.5, None)])
    with (tmp_path / "abc123" / "curves" / "metrics.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert [(row["step"], row["refit/train/loss"]) for row in rows] == [("0", "0.5"), ("1", "0.4")]
    assert "refit/validation/criterion" not in rows[0]


def test_tensorboard_not_installed_is_a_request_error_that_names_the_extra(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def missing(*_: object, **__: object) -> None:
        raise ModuleNotFoundError("tensorboard")

    monkeypatch.setattr("causalrec.tracking.loggers.TensorBoardLogger", missing)
    with pytest.raises(RequestError, match=r"pip install 'causalrec\[tensorboard\]'"):
        TensorBoard().open(job_of(tmp_path))


def test_closing_a_logger_that_never_opened_is_nothing() -> None:
    for logger in (NoLogger(), Csv(), TensorBoard(), WandB()):
        assert logger.close(None, RECORD, "failed") is None
    assert wandb.run is None


@pytest.mark.parametrize(
    ("logger", "linked"),
    [
        *((Csv(), path) for path in ("curves", "curves/metrics.csv", "curves/hparams.yaml", ".", "..")),
        *((TensorBoard(), path) for path in ("tensorboard", "tensorboard/hparams.yaml")),
        (WandB(mode="offline"), "wandb"),
    ],
)
@pytest.mark.parametrize("target", ["there", "gone"])
def test_no_logger_writes_through_a_link(logger: AbstractLogger, linked: str, target: str, tmp_path: Path) -> None:
    folder = tmp_path / "runs" / "sweep" / "row" / "seed0"
    link = Path(os.path.normpath(folder / linked))
    link.parent.mkdir(parents=True)
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    link.symlink_to(elsewhere / target)
    if target == "there":
        (elsewhere / target).mkdir() if link.suffix == "" else (elsewhere / target).write_text("mine")
    with pytest.raises(DataError, match="a symbolic link, behind which nothing is written"):
        logger.open(dataclasses.replace(job_of(tmp_path), folder=folder))
    assert [path.name for path in elsewhere.rglob("*")] == ([target] if target == "there" else [])


def test_no_logger_waits_for_a_pipe(tmp_path: Path) -> None:
    job = job_of(tmp_path)
    (job.folder / "curves").mkdir(parents=True)
    os.mkfifo(job.folder / "curves" / "metrics.csv")
    with pytest.raises(DataError, match=r"metrics\.csv: a pipe where a file is meant; remove it"):
        Csv().open(job)


def test_a_sweep_folder_that_is_a_link_works(tmp_path: Path) -> None:
    (tmp_path / "disk").mkdir()
    (tmp_path / "sweep").symlink_to(tmp_path / "disk")
    opened = Csv().open(dataclasses.replace(job_of(tmp_path), folder=tmp_path / "sweep" / "row" / "seed0"))
    assert opened is not None and (tmp_path / "disk/row/seed0/curves").is_dir()
