"""The log of one job: opened, shown its record and closed; a logger that fails is a warning of the record."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass, replace

from causalrec.config.schema import ExperimentConfig
from causalrec.errors import RequestError
from causalrec.records.names import searchable_settings
from causalrec.records.run_record import RunRecord
from causalrec.reporting.figure import pictures
from causalrec.tracking.guarded_logger import GuardedLogger, one_line
from causalrec.tracking.loggers import AbstractLogger, LoggedJob

TAGS = ("dataset", "encoder", "objective", "propensity")  # groups whose choice tags a run


def logged_job(config: ExperimentConfig) -> LoggedJob:
    """Return what a logger may show of a job."""
    run, settings = config.run, config.to_dict()
    tags = tuple(str(run.chosen_name(group)) for group in TAGS if group in settings)
    return LoggedJob(run.name, run.sweep, run.seed, config.key, config.folder, tags, searchable_settings(settings))


@dataclass
class JobLog:
    """The log of one job.

    Attributes:
        logger: that was chosen.
        job: what it may show.
        live: logs while the job trains; else once it is over.
        opened: Lightning's logger while it is open; None where nothing is logged.
        failure: why nothing could be logged, in one line; "" where it could.
    """

    logger: AbstractLogger
    job: LoggedJob
    live: bool
    opened: GuardedLogger | None = None
    failure: str = ""

    @staticmethod
    def of(config: ExperimentConfig, *, live: bool) -> JobLog:
        """Return the log of a job, not yet open."""
        return JobLog(config.components.logger, logged_job(config), live)

    def open(self) -> None:
        """Open it, where it is live; a request that no logger can grant is refused before anything is trained."""
        if not self.live:
            return
        try:
            logger = self.logger.open(self.job)
        except RequestError:
            raise
        except Exception as error:
            self.failure = one_line(error)
        else:
            self.opened = None if logger is None else GuardedLogger(logger)

    def show(self, record: RunRecord) -> RunRecord:
        """Log a record and close; return the record, with a warning where its logger failed."""
        opened, self.opened = self.opened, None
        failure = self.failure or (opened.failure if opened else "")
        try:
            if opened is not None:
                self.logger.close(opened.logger, record, record.status, pictures)
            elif not self.live:
                self.logger.replay(self.job, record, record.status, pictures)
        except Exception as error:
            failure = failure or one_line(error)
        if not failure:
            return record
        name = type(self.logger).__name__.lower()
        warning = f"logger={name} failed, and lacks what it would have shown of this run: {failure}"
        return replace(record, warnings=(*record.warnings, warning))

    def interrupt(self) -> None:
        """Close it, where it is still open, as that of a job which was interrupted."""
        opened, self.opened = self.opened, None
        if opened is not None:
            with suppress(Exception):  # what interrupted it is what the user must read
                self.logger.close(opened.logger, None, "interrupted")
