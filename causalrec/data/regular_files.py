"""Reading what may be anything: a pipe, a device, a loop of links, a file cut off, or JSON of another shape."""

from __future__ import annotations

import errno
import json
import os
import stat
from pathlib import Path
from typing import BinaryIO

MAX_NOTE_BYTES = 64 << 20  # of a small file of ours; what is longer is not one


def open_regular(path: Path, *, follow_links: bool = True) -> BinaryIO:
    """Open a regular file to read; raise OSError for anything else, without waiting for a pipe to be written."""
    flags = os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC | (0 if follow_links else os.O_NOFOLLOW)
    handle = os.open(path, flags)
    mode = os.fstat(handle).st_mode
    if not stat.S_ISREG(mode):
        os.close(handle)
        raise OSError(errno.EINVAL, f"is {kind_of(mode)}, not a file", str(path))
    return os.fdopen(handle, "rb")


def is_regular(path: Path) -> bool:
    """Whether there is a regular file of this name, itself and not behind a link."""
    try:
        return stat.S_ISREG(path.lstat().st_mode)
    except (OSError, ValueError):
        return False


def kind_of(mode: int) -> str:
    """Name the kind of what a mode belongs to.

    >>> kind_of(stat.S_IFIFO)
    'a pipe'
    """
    kinds = {stat.S_IFDIR: "a folder", stat.S_IFIFO: "a pipe", stat.S_IFLNK: "a link", stat.S_IFREG: "a file"}
    return kinds.get(stat.S_IFMT(mode), "a device or a socket")


def read_bytes(path: Path, limit: int = MAX_NOTE_BYTES) -> bytes:
    """Read a regular file of at most `limit` bytes; raise OSError for another kind, ValueError for a longer one."""
    with open_regular(path) as file:
        if os.fstat(file.fileno()).st_size > limit:
            raise ValueError(f"larger than {limit:,} bytes")
        return file.read(limit)


def read_json(path: Path) -> object:
    """Read the JSON of a regular file; raise OSError, or ValueError for whatever is no JSON, in one line."""
    content = read_bytes(path)
    if not content.strip():
        raise ValueError("empty")
    try:
        value: object = json.loads(content.decode("utf-8"))
    except RecursionError as error:
        raise ValueError("nested too deep") from error
    except UnicodeDecodeError as error:
        raise ValueError("not UTF-8") from error
    return value
