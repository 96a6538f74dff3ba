"""Who works on a job: claims that one launcher alone can hold, on a local disk and on a network file system."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, field
from functools import cache
from pathlib import Path

from causalrec.data.files import replace_atomically
from causalrec.redaction import redact_document

HEARTBEAT = 10.0  # seconds between two touches of a held claim
STALE = 120.0  # seconds without a touch after which another host's claim counts as abandoned


@dataclass(frozen=True)
class ClaimHolder:
    """The process that holds a claim.

    Attributes:
        host: name of the host.
        machine: what tells hosts, boots and process namespaces of one name apart.
        pid: of the process.
        started: when the process started, in the unit of its machine.
    """

    host: str
    machine: str
    pid: int
    started: str

    @staticmethod
    def here() -> ClaimHolder:
        """This process."""
        return ClaimHolder(socket.gethostname(), _machine(), os.getpid(), _start_time(os.getpid()) or "")

    @property
    def has_ended(self) -> bool:
        """Whether the process has ended, as far as this machine can tell: never of a process elsewhere."""
        return self.machine == _machine() and _start_time(self.pid) != self.started


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
        mine = self.folder / f"{job}~{max(map(claim_number, before), default=0) + 1}"
        try:
            handle = os.open(mine, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o644)
        except FileExistsError:
            return None
        try:
            with os.fdopen(handle, "w", encoding="utf-8") as out:
                json.dump(asdict(ClaimHolder.here()), out)
                out.flush()
                os.fsync(out.fileno())
            others = [path for path in self.of_job(job) if path != mine]
            if any(claim_number(path) > claim_number(mine) or self.inspect(path).live for path in others):
                mine.unlink(missing_ok=True)
                return None
        except BaseException:
            with suppress(OSError):
                mine.unlink(missing_ok=True)
            raise
        for path in others:
            path.unlink(missing_ok=True)
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
        mine.unlink(missing_ok=True)

    def of_job(self, job: str) -> list[Path]:
        """Return the claims of one job."""
        return [path for name, paths in self.by_job().items() if name == job for path in paths]

    def by_job(self) -> dict[str, list[Path]]:
        """Return every claim by job, lowest number first."""
        paths_by_job: dict[str, list[Path]] = {}
        for name in file_names(self.folder):
            paths_by_job.setdefault(name.rpartition("~")[0], []).append(self.folder / name)
        return {job: sorted(paths, key=claim_number) for job, paths in paths_by_job.items()}

    def inspect(self, path: Path) -> ClaimStatus:
        """Read one claim; opening it makes an NFS client ask for its present state."""
        try:
            with path.open(encoding="utf-8") as read:
                touched, text = os.fstat(read.fileno()).st_mtime, read.read()
        except FileNotFoundError:
            return ClaimStatus(None, 0.0, live=False)
        try:
            holder = ClaimHolder(**json.loads(text))
        except (ValueError, TypeError):  # its maker has not written it yet, or died before it could
            holder = None
        if holder is not None and holder.machine == _machine():
            return ClaimStatus(holder, max(0.0, time.time() - touched), live=not holder.has_ended)
        age = max(0.0, self.clock() - touched)
        return ClaimStatus(holder, age, live=age < self.stale_after)

    def clock(self) -> float:
        """Return the file server's time."""
        with _probe(self.folder) as probe:
            return probe.stat().st_mtime

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
    number = path.name.rpartition("~")[2]
    return int(number) if number.isdigit() else 0


def file_names(folder: Path) -> list[str]:
    """Return the names in a folder, without hidden ones; none where there is no folder."""
    try:
        return [name for name in os.listdir(folder) if not name.startswith(".")]  # noqa: PTH208  # thousands
    except FileNotFoundError:
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
    try:
        with probe.open("w"):
            os.utime(probe)
            yield probe
    finally:
        probe.unlink(missing_ok=True)


def write_json(path: Path, value: object) -> None:
    """Write a small JSON file atomically."""
    with replace_atomically(path) as temporary:
        temporary.write_text(redact_document(json.dumps(value), ".json"), encoding="utf-8")


@cache
def _machine() -> str:
    """Return what tells this boot of this host, and its process namespace, from any other."""
    try:
        boot = Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
        return f"{socket.gethostname()} {boot} {Path('/proc/self/ns/pid').stat().st_ino}"
    except OSError:
        return socket.gethostname()


def _start_time(pid: int) -> str | None:
    """Return when a process of this machine started, in its own unit; None where it is gone or a zombie."""
    if not Path("/proc/self/stat").exists():
        listed = subprocess.run(["ps", "-o", "lstart=", "-p", str(pid)], capture_output=True, text=True)
        return listed.stdout.strip() or None
    try:
        fields = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace").rpartition(")")[2].split()
    except (FileNotFoundError, ProcessLookupError):
        return None
    return None if fields[0] in "ZX" else fields[19]
