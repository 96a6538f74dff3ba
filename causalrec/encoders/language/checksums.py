"""Checksums that are computed once per state of a file, and locks between processes."""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from filelock import FileLock

from causalrec.data.checked_folder import sum_of
from causalrec.data.files import write_text
from causalrec.data.regular_files import read_bytes
from causalrec.data.removal import make_way, output_folder

SETTLED = 2_000_000_000  # nanoseconds: a file written later than this could change again within its clock's tick


def file_sha256(path: Path, cache: Path) -> str:
    """Return a file's sha256, read again only when its path, size, times of change or inode are others."""
    state = path.stat()
    identity = [str(path.resolve()), state.st_size, state.st_mtime_ns, state.st_ctime_ns, state.st_ino]
    key = key_of(identity)
    note = output_folder(cache, "digests") / key
    with suppress(OSError, ValueError):  # no note, or a damaged one
        digest, seal = read_bytes(note).decode("ascii").split()
        if seal == key_of([key, digest]):
            return digest
    digest = sum_of(path)
    if time.time_ns() - max(state.st_mtime_ns, state.st_ctime_ns) > SETTLED:
        make_way(note)
        write_text(note, f"{digest} {key_of([key, digest])}")
    return digest


def key_of(values: object) -> str:
    """Name plain values by 32 hexadecimal digits."""
    return hashlib.sha256(json.dumps(values).encode()).hexdigest()[:32]


@contextmanager
def file_lock(path: Path) -> Iterator[None]:
    """Hold the lock named by `path` while the block runs; a process that dies releases it."""
    lock = path.with_name(f".{path.name}.lock")
    lock.parent.mkdir(parents=True, exist_ok=True)
    make_way(lock)  # a link there would be emptied, a folder refused
    with FileLock(lock):
        yield
