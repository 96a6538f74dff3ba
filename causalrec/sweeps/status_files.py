"""The status files of a sweep's jobs: their names say all, so that a listing tells where thousands of jobs stand."""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from causalrec.data.regular_files import is_regular
from causalrec.errors import DataError
from causalrec.ids import SEPARATOR, is_job_id
from causalrec.records.run_record import RunRecord
from causalrec.sweeps.ledger_folders import is_linked, make_way_in_ledger

RecordedStatus = Literal["done", "failed", "started"]
NAME = re.compile(r"([^~]+~[^~]+)~(\w+)(?:~([0-9]{1,20})~([0-9]{1,20}))?")
RECORDED_STATUSES: tuple[RecordedStatus, ...] = ("done", "failed", "started")


def status_file_name(job: str, fingerprint: str, *record: int) -> str:
    """Return the name of a status file: `JOB~FINGERPRINT`, and of a finished job `~SIZE~TIME` of its record.

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
        """Read a status file's name; raise ValueError for a name of another form."""
        match = NAME.fullmatch(name)
        if match is None or not is_job_id(match[1]):
            raise ValueError(f"{name}: not JOB~FINGERPRINT")
        return StatusFile(name, match[1], match[2], int(match[3] or 0), int(match[4] or 0))


@dataclass(frozen=True)
class StatusFiles:
    """The status files below one folder, a folder for each status."""

    root: Path

    def by_job(self, status: RecordedStatus) -> dict[str, list[StatusFile]]:
        """Return every file of a status by job."""
        files_by_job: dict[str, list[StatusFile]] = {}
        for status_file in self._files(status):
            files_by_job.setdefault(status_file.job, []).append(status_file)
        return files_by_job

    def of_job(self, status: RecordedStatus, job: str) -> list[StatusFile]:
        """Return the files of one job and status."""
        return [status_file for status_file in self._files(status) if status_file.job == job]

    def exists(self, status: RecordedStatus, job: str, fingerprint: str) -> bool:
        """Whether there is a file of this status, and no folder, link or pipe of its name."""
        return is_regular(self.root / status / status_file_name(job, fingerprint))

    def _files(self, status: RecordedStatus) -> Iterator[StatusFile]:
        """Yield the status files; what is of another name or kind is nobody's status."""
        for name in regular_names(self.root / status):
            with suppress(ValueError):
                yield StatusFile.parse(name)

    def remove(self, status: RecordedStatus, job: str, keep: str = "") -> int:
        """Remove the files of a job and status but the one named `keep`; return how many went."""
        old = [status_file for status_file in self.of_job(status, job) if status_file.name != keep]
        for status_file in old:
            (self.root / status / status_file.name).unlink(missing_ok=True)
        return len(old)

    def mark_done(self, job: str, fingerprint: str, record: Path) -> None:
        """Mark a job as finished by this record; its other files go, but for `started`."""
        now = record.stat()
        name = status_file_name(job, fingerprint, now.st_size, now.st_mtime_ns)
        (self.root / "done").mkdir(parents=True, exist_ok=True)
        make_way_in_ledger(self.root / "done" / name)
        (self.root / "done" / name).touch()
        self.remove("done", job, keep=name)
        self.remove("failed", job)


def describe_damage(record: str, status_file: StatusFile) -> str:
    """Return what is wrong with a record marked done, "" for a whole one; it is read only where size or time differ."""
    try:
        now = os.stat(record)  # noqa: PTH116  # thousands: a Path takes as long to make as the rest
    except OSError:
        return f"{record}: gone; the job runs again"
    if (now.st_size, now.st_mtime_ns) == (status_file.size, status_file.time) or is_complete(Path(record)):
        return ""
    return f"{record}: not whole, {now.st_size} bytes of {status_file.size}; the job runs again"


def is_complete(record: Path) -> bool:
    """Whether a record is whole and of a finished job."""
    if not is_regular(record):
        return False
    try:
        return RunRecord.load(record).done
    except (OSError, DataError):
        return False


def sha256_or_empty(record: Path) -> str:
    """Return the sha256 of a file, "" where there is none."""
    return hashlib.sha256(record.read_bytes()).hexdigest() if is_regular(record) else ""


def regular_names(folder: Path) -> list[str]:
    """Return the names of the regular files in a folder of a ledger, without hidden ones; none where it is no folder,
    or a link.
    """
    if is_linked(folder):
        return []
    try:
        with os.scandir(folder) as entries:
            return [e.name for e in entries if not e.name.startswith(".") and e.is_file(follow_symlinks=False)]
    except (FileNotFoundError, NotADirectoryError):
        return []
