"""One job of a sweep: claimed, trained, marked. What every launcher runs, in this process or in another."""

from __future__ import annotations

import os
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from causalrec.config.compose import original_overrides, validate_config
from causalrec.config.interpolation import restrict_interpolation
from causalrec.config.schema import ExperimentConfig
from causalrec.data.disk_errors import chain, disk_problem
from causalrec.errors import CausalRecError
from causalrec.ids import job_id_of
from causalrec.progress import advance
from causalrec.running.cache import PreparedCache
from causalrec.sweeps.ledger import Claim, Ledger, LostClaim

if TYPE_CHECKING:
    from omegaconf import DictConfig

RANK_VARIABLES = ("RANK", "LOCAL_RANK", "NODE_RANK", "SLURM_PROCID")


@dataclass(frozen=True)
class JobResult:
    """What became of a job: `job` is its name in the ledger, `label` what messages call it, `folder` its record's.

    Attributes:
        job: its name in the ledger.
        status: how it ended.
        reason: why it failed, or who works on it.
        exit_code: of a failure: 1 the work failed, 2 the request was wrong.
        label: what messages call it.
        folder: of its record.
    """

    job: str
    status: Literal["done", "skipped", "running elsewhere", "failed"]
    reason: str = ""
    exit_code: int = 0
    label: str = ""
    folder: Path = Path()


def run_job(config: ExperimentConfig, cache: PreparedCache) -> JobResult:
    """Claim a job, train it and mark it; a finished one is skipped. Whatever fails is told, and stops no other job.

    An interrupt gives the job back and goes on; with HYDRA_FULL_ERROR set, an error does too.
    """
    if is_helper(config):
        return _help(config, cache)
    ledger = Ledger.for_config(config)
    try:
        claim = ledger.claim(job := ledger.enter(config))
        if claim is None:
            return unclaimed_result(config, ledger, job)
    except (OSError, CausalRecError) as error:  # of this job alone: others may be claimed
        return failed_result(config, error, ledger.root)
    try:
        return finish_claimed(config, claim, _train(config, claim.check, cache))
    finally:
        with suppress(OSError):  # a claim that cannot be removed goes stale with its process
            claim.release()


def finish_claimed(config: ExperimentConfig, claim: Claim, result: Path | Exception) -> JobResult:
    """Mark a claimed job by what its training came to: the path of its record, or why it failed."""
    try:
        if isinstance(result, Exception):
            raise result
        claim.mark_done(result)
    except LostClaim as error:
        return job_result(config, "running elsewhere", str(error))
    except Exception as error:
        return mark_failed(config, claim, error)
    return job_result(config, "done")


def mark_failed(config: ExperimentConfig, claim: Claim, error: Exception) -> JobResult:
    """Mark a claimed job as failed; where not even that can be written, say both and leave it to the next launch."""
    result = failed_result(config, error, config.folder)
    try:
        claim.mark_failed(result.reason, result.exit_code)
    except LostClaim:
        return job_result(config, "running elsewhere", result.reason)
    except OSError as second:
        return result if disk_problem(error) else failed_result(config, second, config.folder)
    return result


def failed_result(config: ExperimentConfig, error: Exception, near: Path) -> JobResult:
    """Say in one line why a job failed; `near` is named where the disk is the reason and the error names no path."""
    kind = "" if isinstance(error, CausalRecError) else f"{type(error).__name__}: "
    text = " ".join(str(error).split())
    reasons = [cause.strerror or "" for cause in chain(error) if isinstance(cause, OSError)]
    is_told = not kind and any(reason and reason.lower() in text.lower() for reason in reasons)
    reason = (None if is_told else disk_problem(error, near)) or f"{kind}{text}"
    return job_result(config, "failed", reason, getattr(error, "exit_code", 1))


def job_result(
    config: ExperimentConfig,
    status: Literal["done", "skipped", "running elsewhere", "failed"],
    reason: str = "",
    exit_code: int = 0,
) -> JobResult:
    """Return what became of a job.

    Args:
        config: of the job.
        status: how it ended.
        reason: why it failed, or who works on it.
        exit_code: of a failure.
    """
    label = f"{config.run.name} seed {config.run.seed}"
    return JobResult(job_id_of(config.folder), status, reason, exit_code, label, config.folder)


def unclaimed_result(config: ExperimentConfig, ledger: Ledger, job: str) -> JobResult:
    """Say why a job could not be claimed."""
    state = ledger.state(job)
    if state.status == "done":
        return job_result(config, "skipped")
    if state.status == "failed":
        return job_result(config, "failed", state.reason, state.exit_code)
    holder = state.claim.holder if state.claim else None
    return job_result(config, "running elsewhere", f"host {holder.host}, process {holder.pid}" if holder else "")


def is_helper(config: ExperimentConfig) -> bool:
    """Whether this process only helps another, which holds the claim: a rank above 0 of one job on several devices."""
    several = config.trains and config.trainer.setting("devices") != 1
    return several and any(os.environ.get(name, "0") != "0" for name in RANK_VARIABLES)


def _help(config: ExperimentConfig, cache: PreparedCache) -> JobResult:
    ledger = Ledger.for_config(config)
    if ledger.state(ledger.enter(config)).status == "done":
        return job_result(config, "skipped")
    from causalrec.running.run import train_together
    from causalrec.training.selection import fit_sequentially

    (result,) = train_together([config], fit_sequentially, [None], cache=cache)  # rank 0 writes the record
    return failed_result(config, result, config.folder) if isinstance(result, Exception) else job_result(config, "done")


def _train(config: ExperimentConfig, check_ownership: Callable[[], None], cache: PreparedCache) -> Path | Exception:
    from causalrec.running import run

    try:
        return run.train(config, check_ownership, cache)
    except Exception as error:
        if os.environ.get("HYDRA_FULL_ERROR"):
            raise
        return error


@dataclass
class JobRunner:
    """Runs jobs one after another in this process, or where it was sent; what was prepared last stays for the next.

    As Hydra's task function it takes a composed configuration.
    """

    cache: PreparedCache = field(default_factory=PreparedCache)

    def run(self, config: ExperimentConfig) -> JobResult:
        """Run one checked job."""
        result = run_job(config, self.cache)
        advance("jobs")
        return result

    def __call__(self, composed: DictConfig) -> JobResult:
        """Run one job composed by Hydra."""
        from hydra.core.hydra_config import HydraConfig
        from omegaconf import OmegaConf

        with restrict_interpolation():
            plain = OmegaConf.to_container(composed, resolve=True)
        assert isinstance(plain, dict)
        typed = OmegaConf.to_container(HydraConfig.get().overrides)  # with its interpolations
        assert isinstance(typed, dict)
        overrides = original_overrides([str(text) for text in typed["task"]])
        return self.run(validate_config({str(key): value for key, value in plain.items()}, overrides))
