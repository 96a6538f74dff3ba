"""What the keeper of a sweep asks: where its jobs stand, how to go on, and what may be thrown away."""

from __future__ import annotations

import json
import shutil
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from causalrec.errors import RequestError
from causalrec.ids import job_path
from causalrec.records.run_record import RECORD
from causalrec.sweeps.claim_files import file_names
from causalrec.sweeps.ledger import Ledger, State
from causalrec.sweeps.status_files import StatusFile

ORDER = ("done", "running", "running elsewhere", "waiting", "interrupted", "failed", "outdated", "new")
BEST = "best"  # checkpoints of this name are kept: the weights a record was computed from


def open_ledger(folder: Path) -> Ledger:
    """Return the ledger of a sweep's folder; raise RequestError where there is none."""
    ledger = Ledger(folder)
    if not ledger.root.is_dir():
        raise RequestError(f"{folder}: no sweep was launched here (it holds no .ledger); name a folder like runs/SWEEP")
    return ledger


def launches(ledger: Ledger) -> list[dict[str, Any]]:
    """Return the notes of its launches, oldest first."""
    paths = sorted((ledger.root / "launches").glob("*.json"), key=lambda path: float(path.name.split("-")[0]))
    return [json.loads(path.read_text(encoding="utf-8")) for path in paths]


def status(ledger: Ledger) -> dict[str, Any]:
    """Return counts by state and one row a job: `host`, `pid` and `age` (seconds since its last sign of life) where it
    runs, `reason` where it failed or its record is damaged. A job that the last launch asked for and nobody has begun
    is waiting; one done by another code is outdated. Jobs `running` do so on this host.
    """
    states = ledger.states()
    rows = [_row(job, state) for job, state in states.items()]
    noted = launches(ledger)
    waiting = [job for job in (noted[-1]["jobs"] if noted else []) if job not in states]
    rows += [{"job": job_path(job), "status": "waiting"} for job in waiting]
    counts = Counter(row["status"] for row in rows)
    return {
        "sweep": ledger.folder.name,
        "counts": {name: counts[name] for name in ORDER if counts[name]},
        "launches": len(noted),
        "jobs": sorted(rows, key=lambda row: (ORDER.index(row["status"]), row["job"])),
    }


def _row(job: str, state: State) -> dict[str, Any]:
    row: dict[str, Any] = {"job": job_path(job), "status": state.status}
    if state.claim is not None:
        holder = state.claim.holder
        row |= {"host": holder and holder.host, "pid": holder and holder.pid, "age": round(state.claim.age, 1)}
    return row | ({"reason": said} if (said := state.reason or state.note) else {})


def retry(ledger: Ledger) -> tuple[int, list[dict[str, Any]]]:
    """Forget every failure; return how many there were, and the last launch of each job that failed."""
    failed, noted = list(ledger.status_files.by_job("failed")), launches(ledger)
    owners = {job: note for note in noted for job in note["jobs"]}
    chosen = [note for note in noted if any(owners.get(job) is note for job in failed)]
    return ledger.requeue(failed), chosen or (noted[-1:] if failed else [])


@dataclass(frozen=True)
class Garbage:
    """A file or folder that may go, and why; `size` in bytes."""

    path: Path
    kind: str
    size: int


def collect_garbage(ledger: Ledger) -> list[Garbage]:
    """Remove what a sweep no longer needs and return what went; jobs that run, or may be resumed, keep all they have.

    Checkpoints of finished jobs go but for the best weights; so do claims whose process is gone, temporary files of
    writers that were killed, and status files of finished jobs whose record is gone (they run again).
    """
    states = ledger.states()
    garbage = [
        *_checkpoints(ledger, states),
        *_claims(ledger),
        *_temporary(ledger, states),
        *_status_files(ledger, states),
    ]
    for waste in garbage:
        if waste.path.is_dir():
            shutil.rmtree(waste.path)
        else:
            waste.path.unlink(missing_ok=True)
    return garbage


def _checkpoints(ledger: Ledger, states: dict[str, State]) -> Iterator[Garbage]:
    for job, state in states.items():
        if state.status == "done":
            folder = ledger.job_folder(job) / "checkpoints"
            for path in sorted(folder.rglob("*.ckpt")):
                if path.stem != BEST:
                    yield Garbage(path, "checkpoint", path.stat().st_size)
    for path in sorted((ledger.root / "groups").glob("*.json")):
        jobs, stack = json.loads(path.read_text(encoding="utf-8")), path.with_suffix("")
        if stack.is_dir() and all(job in states and states[job].status == "done" for job in jobs):
            yield Garbage(stack, "checkpoint", sum(map(_size, stack.rglob("*"))))


def _claims(ledger: Ledger) -> Iterator[Garbage]:
    for paths in ledger.claims.by_job().values():
        for path in paths:
            if not ledger.claims.inspect(path).live:
                yield Garbage(path, "stale claim", _size(path))


def _temporary(ledger: Ledger, states: dict[str, State]) -> Iterator[Garbage]:
    """Temporary files as `data.files.replace_atomically` and the probes name them, once nobody can be writing them."""
    idle = [ledger.job_folder(job) for job, state in states.items() if not state.status.startswith("running")]
    folders = [path for path in ledger.root.iterdir() if path.is_dir()]
    for path in (path for folder in [*folders, *idle] for path in folder.glob(".*")):
        if path.is_file() and time.time() - path.stat().st_mtime > ledger.stale_after:
            yield Garbage(path, "temporary file", _size(path))


def _status_files(ledger: Ledger, states: dict[str, State]) -> Iterator[Garbage]:
    for name in file_names(ledger.root / "done"):
        job = StatusFile.parse(name).job
        if not (ledger.job_folder(job) / RECORD).exists() and not _running(states, job):
            yield Garbage(ledger.root / "done" / name, "mark without a record", 0)


def _running(states: dict[str, State], job: str) -> bool:
    return job in states and states[job].status.startswith("running")


def _size(path: Path) -> int:
    return path.stat().st_size if path.exists() else 0
