"""What makes a sweep resumable: which of its jobs are finished, failed, worked on, or were cut."""

from __future__ import annotations

import hashlib
import os
import time
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Literal

from causalrec.config.schema import ExperimentConfig
from causalrec.data.files import write_text
from causalrec.data.regular_files import is_regular
from causalrec.data.removal import make_way, make_way_for_folder, remove_folder
from causalrec.errors import CausalRecError, DataError, RequestError
from causalrec.ids import job_id_of, job_path
from causalrec.records.run_record import RECORD
from causalrec.records.sidecars import SIDECARS
from causalrec.sweeps.claim_files import HEARTBEAT, STALE, Claims, ClaimStatus, refresh, write_json
from causalrec.sweeps.claim_holder import ClaimHolder
from causalrec.sweeps.fingerprint import job_fingerprint, of_this_code
from causalrec.sweeps.ledger_folders import make_way_in_ledger, prepare_ledger, require_unlinked_ledger
from causalrec.sweeps.ledger_notes import JobOverrides, read_failure, read_groups
from causalrec.sweeps.status_files import (
    RECORDED_STATUSES,
    RecordedStatus,
    StatusFile,
    StatusFiles,
    describe_damage,
    is_complete,
    sha256_or_empty,
    status_file_name,
)

MAX_NAME_BYTES = 140  # bytes of a job's name: markers add a fingerprint, a size and a time to it, and names end at 255
Status = Literal["new", "done", "outdated", "failed", "interrupted", "running", "running elsewhere"]


@dataclass(frozen=True)
class State:
    """Where a job stands.

    Attributes:
        status: where it stands; `outdated`: done by another code or on other data; `running`: on this host.
        reason: why it failed.
        note: what the user must know.
        exit_code: of a failure.
        claim: who works on it.
    """

    status: Status
    reason: str = ""
    note: str = ""
    exit_code: int = 0
    claim: ClaimStatus | None = None


class LostClaim(CausalRecError):
    """Another launcher has taken the job over: what was computed here is not recorded."""


@dataclass(frozen=True)
class Claim:
    """A job that this process alone works on; give it back with `done`, `failed` or `release`.

    `done` and `failed` first make the ownership check (`Claims.holds`). Between its answer and the status file a holder
    that was silent for `stale_after` seconds could still be overtaken, which does no harm: the status file names a
    record that lies there whole, and who takes over finds it (`Ledger.claim` looks once more after claiming) and does
    not train again.
    """

    ledger: Ledger
    job: str
    path: Path

    def check(self) -> None:
        """Raise LostClaim where the job was taken over; call it before a record is written."""
        if not self.ledger.claims.holds(self.path):
            raise LostClaim(f"{self.job}: taken over by another launcher; its record is the one that counts")

    def mark_done(self, record: Path) -> None:
        """Mark the job as finished by this record; raise LostClaim, or DataError where the record is not whole."""
        self.check()
        if not is_complete(record):
            raise DataError(f"{record}: not a whole record of a finished job; look at the disk, then launch again")
        self.ledger.status_files.mark_done(self.job, self.ledger.fingerprints[self.job], record)
        self.release()

    def mark_failed(self, reason: str, exit_code: int = 1) -> None:
        """Mark the job as failed; it runs again at the next launch."""
        self.check()
        self.ledger.mark_failed(self.job, reason, exit_code)
        self.release()

    def release(self) -> None:
        """Give the job back as it is; whoever claims it next goes on from its last checkpoint."""
        self.ledger.claims.release(self.path)


@dataclass(frozen=True)
class Ledger:
    """The state of a sweep in small files below SWEEP/.ledger, safe where several hosts share the folder.

    A job's name is its folder's, `ROW~seed0-KEY`; its fingerprint says what its result depends on. `done/` holds empty
    files, `JOB~FINGERPRINT~SIZE~TIME` of each record, `failed/` the reasons, `started/` what was begun (and the sha256
    of an older record that lay there then), `claims/` who works on what, `groups/` what is trained together,
    `launches/` the commands.
    To tell finished jobs costs a listing, and one `stat` a job: no record is read unless its size or time has changed.

    Attributes:
        folder: of the sweep.
        heartbeat: seconds between two touches of a held claim.
        stale_after: seconds of silence after which a claim is abandoned.
        fingerprints: of the jobs that were entered, by name.
        claims: who works on what.
        status_files: done, failed and started jobs.
    """

    folder: Path
    heartbeat: float = HEARTBEAT
    stale_after: float = STALE
    fingerprints: dict[str, str] = field(default_factory=dict, compare=False, repr=False)
    claims: Claims = field(init=False, compare=False, repr=False)
    status_files: StatusFiles = field(init=False, compare=False, repr=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "claims", Claims(self.root / "claims", self.heartbeat, self.stale_after))
        object.__setattr__(self, "status_files", StatusFiles(self.root))

    @staticmethod
    def for_config(config: ExperimentConfig) -> Ledger:
        """Return the ledger of a job's sweep."""
        return Ledger(config.folder.parents[1])

    @property
    def root(self) -> Path:
        return self.folder / ".ledger"

    def enter(self, config: ExperimentConfig) -> str:
        """Return a job's name, and remember its fingerprint for what follows."""
        job = job_id_of(config.folder)
        if len(os.fsencode(job)) > MAX_NAME_BYTES:
            raise RequestError(
                f"name={config.run.name}: too long by {len(os.fsencode(job)) - MAX_NAME_BYTES} bytes; shorten it"
            )
        self.fingerprints[job] = job_fingerprint(config)
        return job

    def job_folder(self, job: str) -> Path:
        return self.folder / job_path(job)

    def state(self, job: str) -> State:
        """Return where one job stands."""
        return self.states([job])[job]

    def states(self, jobs: Sequence[str] | None = None) -> dict[str, State]:
        """Return where jobs stand (all that were ever begun, by default), from one look at the folders."""
        files_by_status = {status: self.status_files.by_job(status) for status in RECORDED_STATUSES}
        claims = self.claims.by_job()
        listed = (
            sorted({*claims, *(job for files in files_by_status.values() for job in files)}) if jobs is None else jobs
        )
        return {job: self._state(job, files_by_status, claims.get(job, [])) for job in listed}

    def _state(
        self, job: str, files_by_status: Mapping[RecordedStatus, dict[str, list[StatusFile]]], claims: Sequence[Path]
    ) -> State:
        done = self._current_file(job, files_by_status["done"].get(job, ()))
        note = describe_damage(f"{self.folder}/{job_path(job)}/{RECORD}", done) if done else ""
        if done and not note:
            return State("done")
        for seen in map(self.claims.inspect, claims):
            if seen.live:
                here = seen.holder is not None and seen.holder.host == ClaimHolder.here().host
                return State("running" if here else "running elsewhere", claim=seen)
        if failed := self._current_file(job, files_by_status["failed"].get(job, ())):
            return self._failure(failed)
        if note:
            return State("new", note=note)
        if self._current_file(job, files_by_status["started"].get(job, ())):
            return State("interrupted")
        return State("outdated" if any(job in files for files in files_by_status.values()) else "new")

    def _current_file(self, job: str, files: Sequence[StatusFile]) -> StatusFile | None:
        """Return the status file under the job's fingerprint; where that is not known, under the present code."""
        wanted = self.fingerprints.get(job)
        fits = [f for f in files if (of_this_code(f.fingerprint) if wanted is None else f.fingerprint == wanted)]
        return fits[-1] if fits else None

    def _failure(self, status_file: StatusFile) -> State:
        note = read_failure(self.root / "failed" / status_file.name)
        return State("failed", note["reason"], exit_code=note["exit_code"])

    def claim(self, job: str) -> Claim | None:
        """Return the job for this process alone; None where it is finished, has failed (until `requeue`), or somebody
        else works on it.

        After claiming it looks once more: a record that was written under this fingerprint but not marked, because its
        process died or has just finished, is adopted. What an older code left to resume from is removed.
        """
        prepare_ledger(self.root)
        path = self.claims.acquire(job)
        if path is None:
            return None
        claim = Claim(self, job, path)
        try:
            for folder in (self.root / "failed", self.root / "started", self.job_folder(job)):
                refresh(folder)
            if self.status_files.exists("failed", job, self.fingerprints[job]) or self.adopt(job):
                claim.release()
                return None
            self._start(job)
        except BaseException:
            with suppress(OSError):
                claim.release()
            raise
        return claim

    def adopt(self, job: str) -> bool:
        """Mark a whole record that was written under the present fingerprint; return whether there was one."""
        record = self.job_folder(job) / RECORD
        if not is_regular(self._start_file(job)):
            return False
        older = self._start_file(job).read_text(encoding="utf-8", errors="replace")
        if not is_complete(record) or sha256_or_empty(record) == older:
            return False
        self.status_files.mark_done(job, self.fingerprints[job], record)
        return True

    def _start_file(self, job: str) -> Path:
        return self.root / "started" / status_file_name(job, self.fingerprints[job])

    def _start(self, job: str) -> None:
        begun, folder = self._start_file(job), self.job_folder(job)
        make_way_for_folder(folder / "checkpoints", self.folder)
        for path in (folder / RECORD, *(folder / f"{name}.npz" for name in SIDECARS)):
            if path.is_dir() and not path.is_symlink():
                make_way(path)
        if is_regular(begun):
            return
        remove_folder(folder / "checkpoints", self.folder)
        make_way_in_ledger(begun)
        write_text(begun, sha256_or_empty(folder / RECORD))
        self.status_files.remove("started", job, keep=begun.name)

    def mark_failed(self, job: str, reason: str, exit_code: int) -> None:
        """Note why a job failed."""
        note = {"reason": reason, "exit_code": exit_code, "time": time.time(), **asdict(ClaimHolder.here())}
        write_json(self.root / "failed" / status_file_name(job, self.fingerprints[job]), note)

    def requeue(self, jobs: Iterable[str]) -> int:
        """Forget that jobs failed, so that they run again; return how many had."""
        failed = self.status_files.by_job("failed")
        return sum(self.status_files.remove("failed", job) for job in jobs if job in failed)

    def reset_job(self, job: str) -> None:
        """Forget a job that nobody works on, and what it could be resumed from; its record stays until the next."""
        for status in RECORDED_STATUSES:
            self.status_files.remove(status, job)
        remove_folder(self.job_folder(job) / "checkpoints", self.folder)

    def remember_group(self, jobs: Mapping[str, Sequence[str]]) -> str:
        """Note jobs that are trained together and what each was asked for, so that a later launch packs them alike;
        return the group's name.
        """
        name = self.group_name(list(jobs))
        write_json(self.root / "groups" / f"{name}.json", {job: list(overrides) for job, overrides in jobs.items()})
        return name

    def group_name(self, jobs: Sequence[str]) -> str:
        """Return the name of a group of entered jobs, another one where their configuration, code or data is."""
        content = "\n".join(status_file_name(job, self.fingerprints.get(job, "")) for job in jobs)
        return hashlib.sha256(content.encode()).hexdigest()[:16]

    def groups(self) -> dict[str, JobOverrides]:
        """Return what was asked for each job of each group, by the group's name, the last noted first."""
        return read_groups(self.root / "groups")

    def require_unlinked(self) -> None:
        """Raise DataError where the ledger or a folder of it is a symbolic link: it would be kept somewhere else."""
        require_unlinked_ledger(self.root)

    def note_launch(self, command: str, jobs: Sequence[str]) -> None:
        """Note a launch: its command, time, place and jobs, one file each."""
        prepare_ledger(self.root)
        note = {"command": command, "time": time.time(), "folder": str(Path.cwd()), "jobs": list(jobs)}
        name = f"{time.time():.6f}-{ClaimHolder.here().host}-{os.getpid()}.json"
        write_json(self.root / "launches" / name, {**note, **asdict(ClaimHolder.here())})
