"""Loggers as thin typed constructors; one job is one run, closed whatever happens."""

from __future__ import annotations

import os
from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from pytorch_lightning.loggers import CSVLogger, Logger, TensorBoardLogger, WandbLogger

from causalrec.errors import RequestError


@dataclass(frozen=True)
class Job:
    """What a logger may show of a job: its row and sweep, its key (hash of the configuration), flat configuration."""

    name: str
    sweep: str
    key: str
    folder: Path
    tags: tuple[str, ...]
    config: Mapping[str, Any]


class AbstractLogger(ABC):
    """Opens one run per job and closes it with the best scores."""

    @abstractmethod
    def open(self, job: Job) -> Logger | None:
        """Return Lightning's logger for this job, or None to log nothing."""

    def close(self, opened: Logger | None, best: Mapping[str, float], status: Literal["done", "failed"]) -> None:
        """Write the summary `best/*` and finish the run."""
        if opened is not None:
            opened.log_metrics({f"best/{name}": value for name, value in best.items()})
            opened.finalize("success" if status == "done" else "failed")


@dataclass(frozen=True, kw_only=True)
class NoLogger(AbstractLogger):
    """Logs nothing: the record is enough."""

    def open(self, job: Job) -> Logger | None:
        return None


@dataclass(frozen=True, kw_only=True)
class Csv(AbstractLogger):
    """Curves as `metrics.csv` in the job's folder."""

    def open(self, job: Job) -> Logger | None:
        return CSVLogger(job.folder, name="", version="curves")


@dataclass(frozen=True, kw_only=True)
class TensorBoard(AbstractLogger):
    """Curves as TensorBoard events in the job's folder (`pip install causalrec[tensorboard]`)."""

    def open(self, job: Job) -> Logger | None:
        try:
            return TensorBoardLogger(job.folder, name="", version="tensorboard", default_hp_metric=False)
        except ModuleNotFoundError as error:
            raise RequestError("logger=tensorboard: not installed; pip install 'causalrec[tensorboard]'") from error


@dataclass(frozen=True, kw_only=True)
class WandB(AbstractLogger):
    """One W&B run per job: group = sweep, job_type = row, tags = dataset, encoder, objective, id = hash of the config.

    `mode="auto"` is offline without a `WANDB_API_KEY`; offline runs lie in the job's folder, `wandb sync` sends them.
    """

    project: str = "causalrec"
    mode: Literal["auto", "online", "offline"] = "auto"

    def open(self, job: Job) -> Logger | None:
        offline = self.mode == "offline" or (self.mode == "auto" and not os.environ.get("WANDB_API_KEY"))
        job.folder.mkdir(parents=True, exist_ok=True)
        logger = WandbLogger(
            project=self.project,
            name=f"{job.name}-{job.key}",
            id=job.key,
            save_dir=job.folder,
            offline=offline,
            group=job.sweep,
            job_type=job.name,
            tags=list(job.tags),
            config=dict(job.config),
            settings={"silent": True, "console": "off"},
        )
        _ = logger.experiment  # opened now, so that a refused run fails before training
        return logger

    def close(self, opened: Logger | None, best: Mapping[str, float], status: Literal["done", "failed"]) -> None:
        if isinstance(opened, WandbLogger):
            run = opened.experiment
            for name, value in best.items():
                run.summary[f"best/{name}"] = value
            run.finish(exit_code=0 if status == "done" else 1)  # else the next job of a sweep writes into this run
