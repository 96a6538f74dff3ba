"""Who works on a job: claims that one launcher alone can hold, on a local disk and on a network file system."""

from __future__ import annotations

import errno
import json
import os
import re
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, field
from pathlib import Path

from causalrec.data.files import replace_atomically
from causalrec.data.regular_files import open_regular
from causalrec.data.removal import make_way
from causalrec.ids import is_job_id
from causalrec.redaction import redact_document
from causalrec.sweeps.claim_holder import ClaimHolder, parse_holder, this_machine
from causalrec.sweeps.ledger_folders import is_linked, make_way_in_ledger

NUMBER = re.compile(r"[0-9]{1,9}")  # of a claim
MAX_NUMBER = 99_999_999
MAX_CLAIM_BYTES = 4096
CLAIM_START = b'{"host": "'
HEARTBEAT = 10.0  # seconds between two touches of a held claim
STALE = 120.0  # seconds without a touch after which another host's claim counts as abandoned

_HELD: set[Path] = set()  # the claims that this process holds, by path


@dataclass(frozen=True)
class ClaimStatus:
    """A claim as read: its holder (None where not yet written), seconds since its last touch, and whether it holds."""

    holder: ClaimHolder | None
    age: float
    live: bool


@dataclass(frozen=True)
class Claims:
    """The claims of a sweep, files `JOB~N` in one folder, N the number of the claim.

    A claim is made with O_CREAT|O_EXCL, which the file server decides: one of several makers wins, on NFS (version 3
    and up) too. It is stale when its process is gone (same machine: pid and start time) or, from another machine, when
    it has not been touched for `stale_after` seconds by the server's own clock, read from a file touched on the spot.
    Taking over makes claim N+1, again exclusively. Only after that does the winner list the folder: its own new file
    has changed the folder, so that an NFS client asks the server instead of its cache, and of two makers at least the
    later sees the other; whoever sees another live claim yields. `holds` is the ownership check: it lists the folder
    behind a new file in the same way, and is False once a claim of a higher number exists.

    Attributes:
        folder: where the files lie.
        heartbeat: seconds between two touches of a held claim.
        stale_after: seconds without a touch after which another machine's claim is stale.
        beating: what stops the heartbeat of each claim held here.
    """

    folder: Path
    heartbeat: float = HEARTBEAT
    stale_after: float = STALE
    beating: dict[Path, threading.Event] = field(default_factory=dict, compare=False, repr=False)

    def acquire(self, job: str) -> Path | None:
        """Return the new claim, or None where somebody else works on the job."""
        self.folder.mkdir(parents=True, exist_ok=True)
        before = self.of_job(job)
        if any(self.inspect(path).live for path in before):
            return None
        number = max(map(claim_number, before), default=0) + 1
        if number > MAX_NUMBER:  # no launch of ours counts so far
            for path in before:
                self._discard(path)
            number = 1
        mine = self.folder / f"{job}~{number}"
        try:
            handle = os.open(mine, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o644)
        except FileExistsError:
            return None
        _HELD.add(mine.absolute())
        try:
            with os.fdopen(handle, "w", encoding="utf-8") as out:
                json.dump(asdict(ClaimHolder.here()), out)
                out.flush()
                os.fsync(out.fileno())
            others = [path for path in self.of_job(job) if path != mine]
            if any(claim_number(path) > claim_number(mine) or self.inspect(path).live for path in others):
                self.release(mine)
                return None
        except BaseException:
            with suppress(OSError):
                self.release(mine)
            raise
        for path in others:
            self._discard(path)
        self._start_beating(mine)
        return mine

    def holds(self, mine: Path) -> bool:
        """Whether this claim still stands: it is there, and nobody has taken the job over."""
        refresh(self.folder)
        there = self.of_job(mine.name.rpartition("~")[0])
        return mine in there and all(claim_number(path) <= claim_number(mine) for path in there)

    def release(self, mine: Path) -> None:
        """Give a claim back."""
        if stopped := self.beating.pop(mine, None):
            stopped.set()
        _HELD.discard(mine.absolute())
        mine.unlink(missing_ok=True)

    def of_job(self, job: str) -> list[Path]:
        """Return the claims of one job."""
        return [path for name, paths in self.by_job().items() if name == job for path in paths]

    def by_job(self) -> dict[str, list[Path]]:
        """Return every claim by job, lowest number first."""
        paths_by_job: dict[str, list[Path]] = {}
        for name in file_names(self.folder):
            job, _, number = name.rpartition("~")
            if NUMBER.fullmatch(number) and is_job_id(job):
                paths_by_job.setdefault(job, []).append(self.folder / name)
        return {job: sorted(paths, key=claim_number) for job, paths in paths_by_job.items()}

    def inspect(self, path: Path) -> ClaimStatus:
        """Read one claim; opening it makes an NFS client ask for its present state.

        What no maker of ours can have written (another kind of file, another text) holds nothing. A claim that is empty
        or cut may be about to be written, so its age tells, as that of another machine's; one that was touched in the
        future, before a clock was set back, is as stale as one as far in the past.
        """
        try:
            with open_regular(path, follow_links=False) as read:
                touched, content = os.fstat(read.fileno()).st_mtime, read.read(MAX_CLAIM_BYTES)
        except FileNotFoundError:
            return ClaimStatus(None, 0.0, live=False)
        except OSError as error:
            if error.errno not in (errno.EINVAL, errno.ELOOP, errno.ENXIO):  # the server is away, or rights are missing
                return self._by_age(None, path.lstat().st_mtime)
            return ClaimStatus(None, 0.0, live=False)
        holder = parse_holder(content)
        if holder is None and content and not content.startswith(CLAIM_START[: len(content)]):
            return ClaimStatus(None, 0.0, live=False)
        if holder is not None and holder.machine == this_machine():
            mine = holder == ClaimHolder.here()  # what this very process once failed to give back, nobody holds
            live = path.absolute() in _HELD if mine else not holder.has_ended
            return ClaimStatus(holder, max(0.0, time.time() - touched), live)
        return self._by_age(holder, touched)

    def _by_age(self, holder: ClaimHolder | None, touched: float) -> ClaimStatus:
        age = self.clock() - touched
        return ClaimStatus(holder, max(0.0, age), live=abs(age) < self.stale_after)

    def _discard(self, path: Path) -> None:
        """Remove a claim that holds nothing, whatever it is; a folder that is not empty is moved aside."""
        with suppress(OSError):
            make_way_in_ledger(path)
            path.unlink(missing_ok=True)

    def clock(self) -> float:
        """Return the file server's time; that of this machine where no file can be touched."""
        try:
            with _probe(self.folder) as probe:
                return probe.stat().st_mtime
        except OSError:
            return time.time()

    def _start_beating(self, mine: Path) -> None:
        stopped = self.beating[mine] = threading.Event()
        threading.Thread(target=self._beat, args=(mine, stopped), daemon=True, name=f"claim {mine.name}").start()

    def _beat(self, mine: Path, stopped: threading.Event) -> None:
        while not stopped.wait(self.heartbeat):
            try:
                os.utime(mine)
            except FileNotFoundError:  # taken over, which the ownership check (`Claims.holds`) will find
                return
            except OSError:  # the server is away for a moment
                continue


def claim_number(path: Path) -> int:
    """Return how many times the job had been claimed when this claim was made."""
    return int(path.name.rpartition("~")[2])


def file_names(folder: Path) -> list[str]:
    """Return the names in a folder of a ledger, without hidden ones; none where it is no folder, or a link."""
    if is_linked(folder):
        return []
    try:
        return [name for name in os.listdir(folder) if not name.startswith(".")]  # noqa: PTH208  # thousands
    except (FileNotFoundError, NotADirectoryError):
        return []


def refresh(folder: Path) -> None:
    """Make an NFS client forget what it believes a folder holds: a change of ours makes it ask the server."""
    if folder.is_dir():
        with _probe(folder):
            pass


@contextmanager
def _probe(folder: Path) -> Iterator[Path]:
    folder.mkdir(parents=True, exist_ok=True)
    probe = folder / f".probe-{socket.gethostname()}-{os.getpid()}-{threading.get_ident()}"
    make_way(probe)
    try:
        with probe.open("w"):
            os.utime(probe)
            yield probe
    finally:
        probe.unlink(missing_ok=True)


def write_json(path: Path, value: object) -> None:
    """Write a small JSON file of a ledger, `.ledger/FOLDER/NAME`, atomically."""
    make_way_in_ledger(path)
    with replace_atomically(path) as temporary:
        temporary.write_text(redact_document(json.dumps(value), ".json"), encoding="utf-8")
