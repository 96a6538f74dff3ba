"""One job of a sweep: claimed, trained, marked. What every launcher runs, in this process or in another."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from causalrec.config import TrainSpec
from causalrec.errors import CausalRecError
from causalrec.sweeps.ledger import Claim, Ledger, LostClaim

if TYPE_CHECKING:
    from omegaconf import DictConfig

FULL = (errno.ENOSPC, errno.EDQUOT)
SHUT = (errno.EROFS, errno.EACCES, errno.EPERM)
RANKS = ("RANK", "LOCAL_RANK", "NODE_RANK", "SLURM_PROCID")


@dataclass(frozen=True)
class Outcome:
    """What became of a job: `job` is its name in the ledger, `label` what messages call it, `folder` its record's."""

    job: str
    status: Literal["done", "skipped", "running elsewhere", "failed"]
    reason: str = ""
    exit_code: int = 0
    label: str = ""
    folder: Path = Path()


def attempt(spec: TrainSpec) -> Outcome:
    """Claim a job, train it and mark it; a finished one is skipped. Whatever fails is told, and stops no other job.

    An interrupt gives the job back and goes on; with HYDRA_FULL_ERROR set, an error does too.
    """
    if is_helper(spec):
        return _helped(spec)
    ledger = Ledger.of(spec)
    try:
        claim = ledger.claim(job := ledger.enter(spec))
        if claim is None:
            return standing(spec, ledger, job)
    except OSError as error:
        return failed(spec, error, ledger.root)
    try:
        return finish_claimed(spec, claim, _trained(spec, claim.check))
    finally:
        with suppress(OSError):  # a claim that cannot be removed goes stale with its process
            claim.release()


def finish_claimed(spec: TrainSpec, claim: Claim, result: Path | Exception) -> Outcome:
    """Mark a claimed job by what its training came to: the path of its record, or why it failed."""
    try:
        if isinstance(result, Exception):
            raise result
        claim.done(result)
    except LostClaim as error:
        return outcome_of(spec, "running elsewhere", str(error))
    except Exception as error:
        return give_back(spec, claim, error)
    return outcome_of(spec, "done")


def give_back(spec: TrainSpec, claim: Claim, error: Exception) -> Outcome:
    """Mark a claimed job as failed; where not even that can be written, say both and leave it to the next launch."""
    told = failed(spec, error, spec.folder)
    try:
        claim.failed(told.reason, told.exit_code)
    except LostClaim:
        return outcome_of(spec, "running elsewhere", told.reason)
    except OSError as second:
        return told if _disk([error], spec.folder) else failed(spec, second, spec.folder)
    return told


def failed(spec: TrainSpec, error: Exception, near: Path) -> Outcome:
    """Say in one line why a job failed; `near` is named where the disk is the reason and the error names no path."""
    kind = "" if isinstance(error, CausalRecError) else f"{type(error).__name__}: "
    reason = _disk(_chain(error), near) or f"{kind}{' '.join(str(error).split())}"
    return outcome_of(spec, "failed", reason, getattr(error, "exit_code", 1))


def outcome_of(
    spec: TrainSpec,
    status: Literal["done", "skipped", "running elsewhere", "failed"],
    reason: str = "",
    exit_code: int = 0,
) -> Outcome:
    """Return what became of a job."""
    job = f"{spec.folder.parent.name}~{spec.folder.name}"
    return Outcome(job, status, reason, exit_code, f"{spec.spine.name} seed {spec.spine.seed}", spec.folder)


def standing(spec: TrainSpec, ledger: Ledger, job: str) -> Outcome:
    """Say why a job could not be claimed."""
    state = ledger.state(job)
    if state.status == "done":
        return outcome_of(spec, "skipped")
    if state.status == "failed":
        return outcome_of(spec, "failed", state.reason, state.exit_code)
    holder = state.claim.holder if state.claim else None
    return outcome_of(spec, "running elsewhere", f"host {holder.host}, process {holder.pid}" if holder else "")


def _disk(errors: Iterable[BaseException], near: Path) -> str:
    """Return what is wrong with the disk, "" where it is not the reason."""
    for error in errors:
        if isinstance(error, OSError) and error.errno in (*FULL, *SHUT):
            mend = "free some space" if error.errno in FULL else "make it writable"
            return f"{_place(error, near)}: {os.strerror(error.errno).lower()}; {mend}, then launch again to go on"
    return ""


def _place(error: OSError, near: Path) -> str:
    named = error.filename2 or error.filename
    return str(Path(os.fsdecode(named)).parent) if isinstance(named, str | bytes) else str(near)


def _chain(error: BaseException) -> list[BaseException]:
    """Return an error and what it was raised from or during, the last first."""
    found: list[BaseException] = []
    now: BaseException | None = error
    while now is not None and now not in found:
        found.append(now)
        now = now.__cause__ or now.__context__
    return found


def is_helper(spec: TrainSpec) -> bool:
    """Whether this process only helps another, which holds the claim: a rank above 0 of one job on several devices."""
    several = spec.leaves["trainer"].resolved().get("devices", 1) != 1
    return several and any(os.environ.get(name, "0") != "0" for name in RANKS)


def _helped(spec: TrainSpec) -> Outcome:
    ledger = Ledger.of(spec)
    if ledger.state(ledger.enter(spec)).status == "done":
        return outcome_of(spec, "skipped")
    from causalrec import run
    from causalrec.training.selection import each_alone

    (result,) = run.train_together([spec], each_alone, [None])  # rank 0 writes the record
    return failed(spec, result, spec.folder) if isinstance(result, Exception) else outcome_of(spec, "done")


def _trained(spec: TrainSpec, fence: Callable[[], None]) -> Path | Exception:
    from causalrec import run

    try:
        return run.train(spec, fence)
    except Exception as error:
        if os.environ.get("HYDRA_FULL_ERROR"):
            raise
        return error


def task(composed: DictConfig) -> Outcome:
    """Run one job composed by Hydra; a module-level function, so that it is sent to other processes by its name."""
    from hydra.core.hydra_config import HydraConfig
    from omegaconf import OmegaConf

    from causalrec import config

    plain = OmegaConf.to_container(composed, resolve=True)
    asked = tuple(text.lstrip("+") for text in HydraConfig.get().overrides.task)
    return attempt(config.validate({str(key): value for key, value in dict(plain).items()}, asked))  # type: ignore[arg-type]
