"""Loggers as thin typed constructors; one job is one run, closed whatever happens."""

from __future__ import annotations

import math
import warnings
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar, Literal

from pytorch_lightning.loggers import CSVLogger, Logger, TensorBoardLogger

from causalrec.data.removal import output_file, output_folder
from causalrec.errors import RequestError
from causalrec.records.names import best_scores
from causalrec.records.run_record import RunRecord
from causalrec.records.sections import CandidateRecord
from causalrec.training.fit_result import Epoch, log_curve

JobStatus = Literal["done", "failed", "interrupted"]
MakeImages = Callable[[RunRecord], Mapping[str, bytes]]  # PNG images of a record, by name


@dataclass(frozen=True)
class LoggedJob:
    """What a logger may show of a job.

    Attributes:
        name: its row.
        sweep: the sweep it belongs to.
        seed: of the job.
        key: the hash of its configuration.
        folder: where its record goes.
        tags: names of the components it chose.
        config: its configuration, flat.
    """

    name: str
    sweep: str
    seed: int
    key: str
    folder: Path
    tags: tuple[str, ...]
    config: Mapping[str, object]

    def output_folder(self, name: str, *files: str) -> Path:
        """Return the folder of a logger in the job's; DataError where a link in the sweep's folder leads elsewhere.

        Args:
            name: of the folder.
            files: that the logger writes in place.
        """
        sweep, row, job = self.folder.parent.parent, self.folder.parent.name, self.folder.name
        folder = output_folder(sweep, row, job, name)
        for file in files:
            output_file(folder, file)
        return folder


class AbstractLogger(ABC):
    """Opens one run per job and closes it with what the record holds.

    `marks_losses`: whether it shows a table of scores, to be marked once a job's special cases are finished.
    """

    marks_losses: ClassVar[bool] = False

    @abstractmethod
    def open(self, job: LoggedJob) -> Logger | None:
        """Return Lightning's logger for this job, or None to log nothing."""

    def close(
        self,
        lightning_logger: Logger | None,
        record: RunRecord | None,
        status: JobStatus,
        draw: MakeImages | None = None,
    ) -> None:
        """Write the chosen fit's curve and the summary `best/*`, and finish the run.

        Args:
            lightning_logger: the logger that `open` returned.
            record: of the job; None where it left none.
            status: how the job ended.
            draw: makes the images of a record, for loggers that show some; None: no images.
        """
        if lightning_logger is not None:
            log_chosen_curve(lightning_logger, record)
            lightning_logger.log_metrics({} if record is None else best_scores(record))
            lightning_logger.finalize("success" if status == "done" else "failed")

    def mark_losses(  # noqa: B027 - most loggers have no table to mark
        self, job: LoggedJob, record: RunRecord, losses: Mapping[str, str]
    ) -> None:
        """Mark the scores in which a special case of a finished job is better.

        Args:
            job: what a logger may show of it.
            record: of the job.
            losses: the special cases that are better, by `metric@slice`.
        """

    def replay(self, job: LoggedJob, record: RunRecord, status: JobStatus, draw: MakeImages | None = None) -> None:
        """Log a job that is over: open, its learning curves, close. For jobs that train side by side.

        Args:
            job: what a logger may show of it.
            record: of the job.
            status: how it ended.
            draw: makes the images of a record, for loggers that show some; None: no images.
        """
        lightning_logger = self.open(job)
        for prefix, curve in curves_of(record):
            log_curve(lightning_logger, prefix, curve)
        self.close(lightning_logger, record, status, draw)


def curves_of(record: RunRecord) -> Iterator[tuple[str, tuple[Epoch, ...]]]:
    """Yield the learning curve of each candidate of a record, with the prefix its fit logs under."""
    for candidate in record.selection.candidates:
        yield f"{candidate.fit}/" if _several_fits(record) else "", _points(candidate)


def log_chosen_curve(lightning_logger: Logger, record: RunRecord | None) -> None:
    """Log the chosen candidate's curve under names that all jobs share; a job of one fit has logged it so already."""
    if record is not None and _several_fits(record):
        chosen = [c for c in record.selection.candidates if c.settings == record.selection.chosen]
        log_curve(lightning_logger, "", [point for candidate in chosen for point in _points(candidate)])


def _several_fits(record: RunRecord) -> bool:
    return len(record.selection.candidates) > 1 or record.selection.folds > 1


def _points(candidate: CandidateRecord) -> tuple[Epoch, ...]:
    return tuple(Epoch(p.epoch, math.nan if p.loss is None else p.loss, p.criterion, p.report) for p in candidate.curve)


@dataclass(frozen=True, kw_only=True)
class NoLogger(AbstractLogger):
    """Logs nothing: the record is enough."""

    def open(self, job: LoggedJob) -> Logger | None:
        return None

    def replay(self, job: LoggedJob, record: RunRecord, status: JobStatus, draw: MakeImages | None = None) -> None:
        """Log nothing."""


@dataclass(frozen=True, kw_only=True)
class Csv(AbstractLogger):
    """Curves as `metrics.csv` in the job's folder."""

    def open(self, job: LoggedJob) -> Logger | None:
        job.output_folder("curves", "metrics.csv", "hparams.yaml")
        logger = CSVLogger(job.folder, name="", version="curves")
        with warnings.catch_warnings():  # that the curves of a job which goes on are written anew
            warnings.filterwarnings("ignore", message="Experiment logs directory")
            logger.experiment  # noqa: B018 - made when it is first read
        return logger


@dataclass(frozen=True, kw_only=True)
class TensorBoard(AbstractLogger):
    """Curves as TensorBoard events in the job's folder (`pip install causalrec[tensorboard]`)."""

    def open(self, job: LoggedJob) -> Logger | None:
        job.output_folder("tensorboard", "hparams.yaml")
        try:
            return TensorBoardLogger(job.folder, name="", version="tensorboard", default_hp_metric=False)
        except ModuleNotFoundError as error:
            raise RequestError("logger=tensorboard: not installed; pip install 'causalrec[tensorboard]'") from error
