"""The record of a run that is only planned, and what it used."""

from __future__ import annotations

import resource
import sys

from causalrec.config.schema import ExperimentConfig
from causalrec.prepared import RunPlan
from causalrec.records.record_sections import adjustment_section
from causalrec.records.run_record import RunRecord
from causalrec.records.versions import git_sha, versions
from causalrec.redaction import redact_command

SINGLE = "alone"  # how a record says that its job was trained by itself


def planned_record(config: ExperimentConfig, plan: RunPlan, execution: str) -> RunRecord:
    """Return the record of a job that has come no further than its plan."""
    return RunRecord(
        name=config.run.name,
        key=config.key,
        status="failed",
        command=redact_command(["causalrec", "train", *config.overrides]),
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


def peak_bytes() -> int:
    """Return the most memory that this process has used."""
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024
