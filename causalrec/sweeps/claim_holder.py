"""The process behind a claim: written into it, read from it, and asked after on this machine."""

from __future__ import annotations

import json
import os
import socket
import subprocess
from dataclasses import dataclass
from functools import cache
from pathlib import Path

MAX_PID = 1 << 32


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
        return ClaimHolder(socket.gethostname(), this_machine(), os.getpid(), _start_time(os.getpid()) or "")

    @property
    def has_ended(self) -> bool:
        """Whether the process has ended, as far as this machine can tell: never of a process elsewhere."""
        return self.machine == this_machine() and _start_time(self.pid) != self.started


def parse_holder(content: bytes) -> ClaimHolder | None:
    """Return the holder that a claim names, None where it names none."""
    try:
        values = json.loads(content.decode("utf-8"))
        holder = ClaimHolder(**values)
    except (ValueError, TypeError, RecursionError):
        return None
    is_pid = isinstance(holder.pid, int) and 0 < holder.pid < MAX_PID
    return holder if is_pid and all(isinstance(v, str) for v in (holder.host, holder.machine, holder.started)) else None


@cache
def this_machine() -> str:
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
