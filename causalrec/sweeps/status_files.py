"""The marks of a sweep's jobs: file names that say all, so that a listing tells where thousands of jobs stand."""

from __future__ import annotations

import hashlib
import os
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from causalrec.errors import DataError
from causalrec.ids import SEPARATOR
from causalrec.records.run_record import RunRecord
from causalrec.sweeps.claim_files import file_names

Room = Literal["done", "failed", "started"]
ROOMS: tuple[Room, ...] = ("done", "failed", "started")


def status_file_name(job: str, fingerprint: str, *record: int) -> str:
    """Return the name of a mark: `JOB~FINGERPRINT`, and of a finished job `~SIZE~TIME` of its record.

    >>> status_file_name("mf~seed0-1f2e", "ab", 10, 3)
    'mf~seed0-1f2e~ab~10~3'
    """
    return SEPARATOR.join((job, fingerprint, *map(str, record)))


@dataclass(frozen=True)
class StatusFile:
    """A file name `JOB~FINGERPRINT`; of a finished job with `~SIZE~TIME` of its record, as they were then.

    Attributes:
        name: of the file.
        job: in the ledger.
        fingerprint: of what the result depends on.
        size: of the record, in bytes.
        time: when the record was changed, in nanoseconds.
    """

    name: str
    job: str
    fingerprint: str
    size: int = 0
    time: int = 0

    @staticmethod
    def parse(name: str) -> StatusFile:
        """Read a mark's name; raise ValueError for a name of another form."""
        row, folder, fingerprint, *record = name.split(SEPARATOR)
        return StatusFile(name, SEPARATOR.join((row, folder)), fingerprint, *map(int, record[:2]))


@dataclass(frozen=True)
class StatusFiles:
    """The marks below one folder, by room."""

    root: Path

    def all(self, room: Room) -> dict[str, list[StatusFile]]:
        """Return every mark of a room by job."""
        files_by_job: dict[str, list[StatusFile]] = {}
        for name in file_names(self.root / room):
            with suppress(ValueError):
                mark = StatusFile.parse(name)
                files_by_job.setdefault(mark.job, []).append(mark)
        return files_by_job

    def of(self, room: Room, job: str) -> list[StatusFile]:
        """Return the marks of one job."""
        return [
            StatusFile.parse(name)
            for name in file_names(self.root / room)
            if name.startswith(status_file_name(job, ""))
        ]

    def remove(self, room: Room, job: str, keep: str = "") -> int:
        """Remove the marks of a job but the one named `keep`; return how many went."""
        old = [mark for mark in self.of(room, job) if mark.name != keep]
        for mark in old:
            (self.root / room / mark.name).unlink(missing_ok=True)
        return len(old)

    def mark_done(self, job: str, fingerprint: str, record: Path) -> None:
        """Mark a job as finished by this record; its other marks go, but for `started`."""
        now = record.stat()
        name = status_file_name(job, fingerprint, now.st_size, now.st_mtime_ns)
        (self.root / "done").mkdir(parents=True, exist_ok=True)
        (self.root / "done" / name).touch()
        self.remove("done", job, keep=name)
        self.remove("failed", job)


def damage(record: str, mark: StatusFile) -> str:
    """Return what is wrong with a marked record, "" for a whole one; it is read only where size or time differ."""
    try:
        now = os.stat(record)  # noqa: PTH116  # thousands: a Path takes as long to make as the rest
    except OSError:
        return f"{record}: gone; the job runs again"
    if (now.st_size, now.st_mtime_ns) == (mark.size, mark.time) or is_complete(Path(record)):
        return ""
    return f"{record}: not whole, {now.st_size} bytes of {mark.size}; the job runs again"


def is_complete(record: Path) -> bool:
    """Whether a record is whole and of a finished job."""
    try:
        return RunRecord.load(record).done
    except (OSError, DataError):
        return False


def digest(record: Path) -> str:
    """Return the sha256 of a file, "" where there is none."""
    return hashlib.sha256(record.read_bytes()).hexdigest() if record.exists() else ""
