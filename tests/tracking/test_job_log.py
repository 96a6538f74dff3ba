"""The record is kept where a logger fails, and an interrupted run says so."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import wandb
from wandb_files import files_below, read_back

from causalrec.config.schema import ExperimentConfig
from causalrec.records.run_record import RunRecord
from causalrec.redaction import redact
from causalrec.running import run
from causalrec.tracking.guarded_logger import GuardedLogger
from causalrec.tracking.loggers import Csv, LoggedJob
from causalrec.tracking.wandb_logger import MAX_TAG_LENGTH, WandB
from causalrec.training.trainer import TrainerSettings

SpecOf = Callable[..., ExperimentConfig]


def fail(*_: Any, **__: Any) -> Any:
    raise PermissionError("no entry\nhere")


def job_of(folder: Path, *tags: str) -> LoggedJob:
    return LoggedJob("mf-naive", "s", 0, "abc123", folder / "s" / "mf-naive" / "seed0-abc123", tags, {})


@pytest.mark.parametrize("broken", ["init", "Table"])
def test_a_logger_that_fails_is_a_warning_of_a_finished_job(
    broken: str, tmp_path: Path, wandb_spec_of: SpecOf, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(wandb, broken, fail)
    record = RunRecord.load(run.train(wandb_spec_of("selection.candidates=none")))
    assert record.done and len(record.scores) > 3 and record.error is None
    assert [line for line in record.warnings if line.startswith("logger=wandb failed")] == [
        "logger=wandb failed, and lacks what it would have shown of this run: PermissionError: no entry here"
    ]
    files = files_below(tmp_path / "runs")
    assert len(files) == (broken != "init")
    for wandb_run in map(read_back, files):
        assert wandb_run.exit_code == 0 and wandb_run.summary["best/auc@randomised"] > 0


def test_a_logger_that_fails_while_a_job_trains_is_asked_no_more(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened = Csv().open(job_of(tmp_path))
    assert opened is not None
    guarded = GuardedLogger(opened)
    guarded.log_metrics({"train/loss": 1.0}, step=0)
    monkeypatch.setattr(opened, "log_metrics", fail)
    guarded.log_metrics({"train/loss": 0.5}, step=1)
    assert guarded.failure == "PermissionError: no entry here"
    guarded.save()
    assert not list(tmp_path.rglob("metrics.csv"))


def test_an_interrupted_run_says_so(tmp_path: Path, wandb_spec_of: SpecOf, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupt(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(TrainerSettings, "fit", interrupt)
    with pytest.raises(KeyboardInterrupt):
        run.train(wandb_spec_of())
    (file,) = files_below(tmp_path / "runs")
    wandb_run = read_back(file)
    assert (wandb_run.exit_code, wandb_run.summary["status"]) == (255, "interrupted")


def test_tags_are_cut_to_what_wandb_takes(tmp_path: Path) -> None:
    logger = WandB()
    logger.close(logger.open(job_of(tmp_path, "d" * 70, "", "mf", "mf", "d" * 71)), None, "done")
    (file,) = files_below(tmp_path)
    assert sorted(read_back(file).about["tags"]) == ["d" * MAX_TAG_LENGTH, "mf"]


def test_no_home_is_no_home_to_hide(monkeypatch: pytest.MonkeyPatch) -> None:
    def unknown() -> Path:
        raise RuntimeError("Could not determine home directory.")

    monkeypatch.setattr(Path, "home", unknown)
    assert redact(f"{os.sep}data") == f"{os.sep}data"
