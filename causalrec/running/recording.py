"""The record of a run that is only planned, and how a logger shows records."""

from __future__ import annotations

import resource
import shlex
import sys
from contextlib import suppress

from pytorch_lightning.loggers import Logger

from causalrec.config.schema import ExperimentConfig
from causalrec.prepared import RunPlan
from causalrec.records.names import searchable_settings
from causalrec.records.record_sections import adjustment_section
from causalrec.records.run_record import RunRecord
from causalrec.records.versions import git_sha, versions
from causalrec.reporting.figure import pictures
from causalrec.tracking.loggers import LoggedJob

SINGLE = "alone"  # how a record says that its job was trained by itself
TAGS = ("dataset", "encoder", "objective", "propensity")  # groups whose choice tags a run


def planned_record(config: ExperimentConfig, plan: RunPlan, execution: str) -> RunRecord:
    """Return the record of a job that has come no further than its plan."""
    return RunRecord(
        name=config.run.name,
        key=config.key,
        status="failed",
        command=shlex.join(["causalrec", "train", *config.overrides]),
        execution=execution,
        task=config.components.task.section(config),
        adjustment=adjustment_section(plan.adjustment),
        versions=versions(),
        git_sha=git_sha(),
        config=config.to_dict(),
        submodels=_submodel_keys(config, plan),
    )


def _submodel_keys(config: ExperimentConfig, plan: RunPlan) -> dict[str, str]:
    learner = config.components.learner
    if learner is None or not config.run.evaluation.submodels:
        return {}
    return {name: submodel.key for name, submodel in learner.submodels(config, plan.views).items()}


def open_logger(config: ExperimentConfig) -> Logger | None:
    """Open the logger's run of a job."""
    return config.components.logger.open(_logged_job(config))


def show_record(config: ExperimentConfig, opened: Logger | None, record: RunRecord) -> None:
    """Hand the record to the logger: to the run that was opened, or to one made now."""
    logger = config.components.logger
    if opened is not None:
        logger.close(opened, record, record.status, pictures)
    elif record.execution != SINGLE:
        logger.replay(_logged_job(config), record, record.status, pictures)


def close_logger(config: ExperimentConfig, opened: Logger | None) -> None:
    """Close the logger of a job that was interrupted."""
    if opened is not None:
        with suppress(Exception):  # what interrupted it is what the user must read
            config.components.logger.close(opened, None, "failed")


def _logged_job(config: ExperimentConfig) -> LoggedJob:
    run, settings = config.run, config.to_dict()
    tags = tuple(str(run.chosen_name(group)) for group in TAGS if group in settings)
    return LoggedJob(run.name, run.sweep, config.key, config.folder, tags, searchable_settings(settings))


def peak_bytes() -> int:
    """Return the most memory that this process has used."""
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024
