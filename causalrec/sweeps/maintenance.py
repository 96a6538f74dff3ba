"""What the keeper of a sweep asks: where its jobs stand, how to go on, and what may be thrown away."""

from __future__ import annotations

import os
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from causalrec.data.disk_errors import disk_problem
from causalrec.data.regular_files import is_regular
from causalrec.data.removal import files_below, first_link, links_below, remove_file, remove_folder
from causalrec.errors import DataError, RequestError
from causalrec.ids import job_path
from causalrec.plain_streams import print_note
from causalrec.records.run_record import RECORD
from causalrec.sweeps.ledger import Ledger, State
from causalrec.sweeps.ledger_notes import LaunchNote, foreign_files, read_launches

ORDER = ("done", "running", "running elsewhere", "waiting", "interrupted", "failed", "outdated", "new")
SHOWN_FILES = 10  # lines of what is left alone
BEST = "best"  # checkpoints of this name are kept: the weights a record was computed from


def open_ledger(folder: Path, *, to_change: bool = True) -> Ledger:
    """Return the ledger of a sweep's folder; raise RequestError where there is none.

    Raises DataError where it is to be changed and it, or a folder of it, is a symbolic link.
    """
    ledger = Ledger(folder)
    if not ledger.root.is_dir():
        raise RequestError(f"{folder}: no sweep was launched here (it holds no .ledger); name a folder like runs/SWEEP")
    if to_change:
        ledger.require_unlinked()
    return ledger


def launches(ledger: Ledger) -> list[LaunchNote]:
    """Return the notes of its launches, oldest first."""
    return read_launches(ledger.root / "launches")


def warn_of_foreign_files(ledger: Ledger) -> None:
    """Say on stderr what lies in a ledger and is none of its files; it is left alone."""
    foreign = foreign_files(ledger.root)
    for file in foreign[:SHOWN_FILES]:
        _say(f"{file.path}: left alone ({file.reason})")
    if len(foreign) > SHOWN_FILES:
        _say(f"{ledger.root}: {len(foreign) - SHOWN_FILES} more files that are none of a ledger's, left alone")


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


def retry(ledger: Ledger) -> tuple[int, list[LaunchNote]]:
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
    for link in _links(ledger, states):
        _say(f"{link}: a symbolic link, left alone with what it leads to")
    return [waste for waste in garbage if _remove(waste, ledger.folder)]


def _remove(waste: Garbage, root: Path) -> bool:
    """Remove a file or folder; say why where it cannot be, and return whether it went."""
    try:
        if waste.path.is_dir():
            remove_folder(waste.path, root)
        else:
            remove_file(waste.path, root)
    except (OSError, DataError) as error:
        _say(disk_problem(error) if isinstance(error, OSError) else str(error))
        return False
    return True


def _links(ledger: Ledger, states: dict[str, State]) -> Iterator[Path]:
    """Yield the links where checkpoints of finished jobs and of stacks would be removed."""
    seen = set[Path]()
    for job, state in states.items():
        folder = ledger.job_folder(job) / "checkpoints"
        if state.status == "done" and (link := first_link(folder, ledger.folder)) not in seen:
            yield from [link] if link else links_below(folder)
            seen |= {link} if link else set()
    yield from links_below(ledger.root / "groups")


def _checkpoints(ledger: Ledger, states: dict[str, State]) -> Iterator[Garbage]:
    for job, state in states.items():
        folder = ledger.job_folder(job) / "checkpoints"
        if state.status == "done" and first_link(folder, ledger.folder) is None:
            for path in files_below(folder):
                if path.suffix == ".ckpt" and path.stem != BEST:
                    yield Garbage(path, "checkpoint", _size(path))
    for name, jobs in ledger.groups().items():
        stack = ledger.root / "groups" / name
        is_folder = stack.is_dir() and not stack.is_symlink()
        if is_folder and all(job in states and states[job].status == "done" for job in jobs):
            yield Garbage(stack, "checkpoint", sum(map(_size, files_below(stack))))


def _claims(ledger: Ledger) -> Iterator[Garbage]:
    for paths in ledger.claims.by_job().values():
        for path in paths:
            if not ledger.claims.inspect(path).live:
                yield Garbage(path, "stale claim", _size(path))


def _temporary(ledger: Ledger, states: dict[str, State]) -> Iterator[Garbage]:
    """Temporary files as `data.files.replace_atomically` and the probes name them, once nobody can be writing them."""
    idle = [ledger.job_folder(job) for job, state in states.items() if not state.status.startswith("running")]
    folders = [path for path in ledger.root.iterdir() if path.is_dir() and not path.is_symlink()]
    idle = [folder for folder in idle if first_link(folder, ledger.folder) is None]
    for path in (path for folder in [*folders, *idle] for path in folder.glob(".*")):
        if is_regular(path) and abs(time.time() - path.stat().st_mtime) > ledger.stale_after:
            yield Garbage(path, "temporary file", _size(path))


def _status_files(ledger: Ledger, states: dict[str, State]) -> Iterator[Garbage]:
    for job, files in ledger.status_files.by_job("done").items():
        if not (ledger.job_folder(job) / RECORD).exists() and not _running(states, job):
            for file in files:
                yield Garbage(ledger.root / "done" / file.name, "mark without a record", 0)


def _running(states: dict[str, State], job: str) -> bool:
    return job in states and states[job].status.startswith("running")


def _size(path: Path) -> int:
    return path.lstat().st_size if os.path.lexists(path) else 0


def _say(line: str | None) -> None:
    print_note(f"causalrec: {line}")
