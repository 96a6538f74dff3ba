"""Checksums that are computed once per state of a file, and locks between processes."""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock

from causalrec.data.files import write_text
from causalrec.data.sources import sha256_of

SETTLED = 2_000_000_000  # nanoseconds: a file written later than this could change again within its clock's tick


def file_sha256(path: Path, cache: Path) -> str:
    """Return a file's sha256, read again only when its path, size, time of change or inode is another."""
    state = path.stat()
    identity = [str(path.resolve()), state.st_size, state.st_mtime_ns, state.st_ino]
    note = cache / "digests" / key_of(identity)
    if note.exists() and len(remembered := note.read_text(encoding="ascii").strip()) == 64:
        return remembered
    digest = sha256_of(path)
    if time.time_ns() - state.st_mtime_ns > SETTLED:
        write_text(note, digest)
    return digest


def key_of(values: object) -> str:
    """Name plain values by 32 hexadecimal digits."""
    return hashlib.sha256(json.dumps(values).encode()).hexdigest()[:32]


@contextmanager
def file_lock(path: Path) -> Iterator[None]:
    """Hold the lock named by `path` while the block runs; a process that dies releases it."""
    lock = path.with_name(f".{path.name}.lock")
    lock.parent.mkdir(parents=True, exist_ok=True)
    with FileLock(lock):
        yield
