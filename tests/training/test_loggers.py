"""Loggers: one run per job, with its curves and its best scores, closed whatever happens."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import wandb

from causalrec import run
from causalrec.config import TrainSpec, compose, leaf, package_folder, prepared, validate
from causalrec.data.log import InteractionLog
from causalrec.data.sampling import Sampler
from causalrec.encoders.base import EncoderInputs
from causalrec.encoders.mf import MF
from causalrec.errors import RequestError
from causalrec.estimators.objective.naive import Naive
from causalrec.features.views import FeatureMatrix
from causalrec.heads.dot import Dot
from causalrec.models import CausalModel, RoleNetwork
from causalrec.training.datamodule import LogDataModule
from causalrec.training.loggers import AbstractLogger, Csv, Job, NoLogger, TensorBoard, WandB
from causalrec.training.module import CausalRecModule
from causalrec.training.optimizer import AdamW
from causalrec.training.trainer import TrainerSettings
from causalrec.types import OUTCOME

USERS, ITEMS, EPOCHS = 10, 8, 2
BEST = {"auc@randomised": 0.75, "mse@randomised": 0.25}


@pytest.fixture(autouse=True)
def no_account(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[None]:
    """No key, and nothing written outside the test's folder."""
    for name in ("WANDB_API_KEY", "WANDB_MODE", "WANDB_DIR", "WANDB_RUN_ID", "WANDB_RUN_GROUP", "WANDB_TAGS"):
        monkeypatch.delenv(name, raising=False)
    for name in ("WANDB_CACHE_DIR", "WANDB_CONFIG_DIR", "WANDB_DATA_DIR"):
        monkeypatch.setenv(name, str(tmp_path / "wandb-home"))
    yield
    if wandb.run is not None:  # a test that fails must not fail the next
        wandb.finish()


def job_of(folder: Path, key: str = "abc123", name: str = "mf-naive") -> Job:
    return Job(name, "sweep-one", key, folder / key, ("coat", "mf", "naive"), {"seed": 0, "optimizer.lr": 0.01})


def trained(logger: AbstractLogger, job: Job, status: Any = "done") -> None:
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
    parts = log.take(np.arange(60)), log.take(np.arange(60, 80))
    data = LogDataModule(*parts, features, Sampler(batch_size=16), "logged", 0)
    opened = logger.open(job)
    settings = TrainerSettings(max_epochs=EPOCHS, progress=False)
    settings.fit(CausalRecModule(model, Naive(), AdamW()), data, opened, job.folder / "checkpoints", "test")
    logger.close(opened, BEST, status)


def test_every_logger_of_the_configuration_is_one_of_ours() -> None:
    import yaml

    folder = package_folder("conf") / "logger"
    made = {f.stem: leaf("logger", yaml.safe_load(f.read_text()), AbstractLogger).build() for f in folder.iterdir()}
    assert {name: type(logger) for name, logger in made.items()} == {
        "none": NoLogger,
        "csv": Csv,
        "tensorboard": TensorBoard,
        "wandb": WandB,
    }


def test_no_logger_writes_only_the_checkpoint(tmp_path: Path) -> None:
    trained(NoLogger(), job_of(tmp_path))
    files = [path.relative_to(tmp_path / "abc123").as_posix() for path in tmp_path.rglob("*") if path.is_file()]
    assert files == ["checkpoints/best.ckpt"]


def test_csv_writes_a_row_per_epoch_and_the_best_scores(tmp_path: Path) -> None:
    trained(Csv(), job_of(tmp_path))
    with (tmp_path / "abc123" / "curves" / "metrics.csv").open() as file:
        rows = list(csv.DictReader(file))
    for name in ("train/loss", "validation/criterion"):
        assert len([row for row in rows if row[name]]) == EPOCHS
        assert all(np.isfinite(float(row[name])) for row in rows if row[name])
    for name, value in BEST.items():
        assert [float(row[f"best/{name}"]) for row in rows if row[f"best/{name}"]] == [value]


def test_tensorboard_writes_events_of_curves_and_best_scores(tmp_path: Path) -> None:
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    trained(TensorBoard(), job_of(tmp_path))
    folder = tmp_path / "abc123" / "tensorboard"
    assert list(folder.glob("events.out.tfevents.*"))
    read = EventAccumulator(str(folder)).Reload()
    assert len(read.Scalars("validation/criterion")) == EPOCHS
    assert [point.value for point in read.Scalars("best/auc@randomised")] == [0.75]


def test_tensorboard_not_installed_is_a_request_error_that_names_the_extra(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def missing(*_: object, **__: object) -> None:
        raise ModuleNotFoundError("tensorboard")

    monkeypatch.setattr("causalrec.training.loggers.TensorBoardLogger", missing)
    with pytest.raises(RequestError, match=r"pip install 'causalrec\[tensorboard\]'"):
        TensorBoard().open(job_of(tmp_path))


@pytest.fixture
def finished(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, Any, dict[str, Any]]]:
    """What each finished W&B run was: (id, exit code, group / job type / tags / config / summary)."""
    from wandb.sdk.wandb_run import Run

    seen: list[tuple[str, Any, dict[str, Any]]] = []
    real: Callable[..., None] = Run.finish

    def finish(self: Run, exit_code: int | None = None) -> None:
        about = {"group": self.group, "job_type": self.job_type, "tags": tuple(self.tags or ()), "name": self.name}
        about |= {"config": dict(self.config), "summary": dict(self.summary), "offline": self.offline}
        seen.append((self.id, exit_code, about))
        real(self, exit_code=exit_code)

    monkeypatch.setattr(Run, "finish", finish)
    return seen


def test_two_jobs_of_one_process_are_two_offline_runs(
    tmp_path: Path, finished: list[tuple[str, Any, dict[str, Any]]]
) -> None:
    for key, name in (("key1", "mf-naive"), ("key2", "mf-ips")):
        trained(WandB(), job_of(tmp_path, key, name))
        assert wandb.run is None
        (file,) = (tmp_path / key).rglob("*.wandb")  # in the job's own folder
        assert key in file.name and file.stat().st_size > 0
    assert [(key, code) for key, code, _ in finished] == [("key1", 0), ("key2", 0)]
    for (_, _, about), name, key in zip(finished, ("mf-naive", "mf-ips"), ("key1", "key2"), strict=True):
        assert about["offline"]
        assert (about["group"], about["job_type"], about["name"]) == ("sweep-one", name, f"{name}-{key}")
        assert set(about["tags"]) == {"coat", "mf", "naive"}
        assert about["config"] == {"seed": 0, "optimizer.lr": 0.01}
        assert about["summary"]["best/auc@randomised"] == 0.75
        assert np.isfinite(about["summary"]["validation/criterion"])


def test_wandb_goes_online_only_with_a_key_or_when_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[bool] = []

    class Recorded:
        experiment = None

        def __init__(self, *, offline: bool, **_: object) -> None:
            asked.append(offline)

    monkeypatch.setattr("causalrec.training.loggers.WandbLogger", Recorded)
    for mode in ("auto", "offline", "online"):
        WandB(mode=mode).open(job_of(tmp_path))  # type: ignore[arg-type]
    monkeypatch.setenv("WANDB_API_KEY", "x")
    for mode in ("auto", "offline"):
        WandB(mode=mode).open(job_of(tmp_path))  # type: ignore[arg-type]
    assert asked == [True, True, False, False, True]


def spec_of(tmp_path: Path, data: Path, *more: str) -> TrainSpec:
    overrides = ["dataset=coat", "objective=naive", "encoder=mf", "trainer.max_epochs=1", "trainer.progress=false"]
    overrides += [f"paths.data={data}", f"paths.cache={tmp_path / 'cache'}", f"paths.runs={tmp_path / 'runs'}"]
    overrides += ["evaluation.replicates=5", "selection.weight_decay=[0.1]", *more]
    return validate(compose(prepared(overrides)))


def test_a_run_that_fails_finishes_its_wandb_run_as_failed(
    tmp_path: Path,
    fake_coat: Callable[..., Path],
    finished: list[tuple[str, Any, dict[str, Any]]],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    spec = spec_of(tmp_path, fake_coat(tmp_path / "data"), "logger=wandb", "split.unseen=keep")

    def broken(*_: object, **__: object) -> None:
        assert wandb.run is not None
        raise RuntimeError("out of luck")

    monkeypatch.setattr(TrainerSettings, "fit", broken)
    with pytest.raises(RuntimeError, match="out of luck"):
        run.train(spec)
    assert wandb.run is None
    assert [(key, code) for key, code, _ in finished] == [(spec.key, 1)]
    record = json.loads((spec.folder / "record.json").read_text())
    assert record["status"] == "failed" and "out of luck" in record["error"]


def test_a_run_closes_its_logger_with_the_scores_of_its_record(
    tmp_path: Path, fake_coat: Callable[..., Path], finished: list[tuple[str, Any, dict[str, Any]]]
) -> None:
    spec = spec_of(tmp_path, fake_coat(tmp_path / "data"), "logger=wandb", "split.unseen=keep")
    record = json.loads(run.train(spec).read_text())
    ((key, code, about),) = finished
    assert (key, code, about["job_type"], about["group"]) == (spec.key, 0, "mf-naive", "default")
    assert set(about["tags"]) == {"coat", "mf", "naive"}
    best = {name: value for name, value in about["summary"].items() if name.startswith("best/")}
    assert best == pytest.approx(
        {f"best/{s['metric']}@{s['slice']}": s["value"] for s in record["scores"]}, nan_ok=True
    )


def test_closing_a_logger_that_never_opened_is_nothing() -> None:
    for logger in (NoLogger(), Csv(), TensorBoard(), WandB()):
        assert logger.close(None, BEST, "failed") is None
    assert wandb.run is None
