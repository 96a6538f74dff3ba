"""A file that others wrote, read without waiting and without filling the memory."""

from __future__ import annotations

import os
import stat
from io import FileIO
from pathlib import Path

from causalrec.errors import DataError

LARGEST_BYTES = 1 << 28  # 256 MiB: a hundred times the largest record of a long study
PIECE = 1 << 20  # bytes read at a time
NO_WAITING = getattr(os, "O_NONBLOCK", 0)  # for the writer of a pipe


def read_ordinary_file(path: Path, largest: int = LARGEST_BYTES) -> bytes:
    """Return the bytes of a file.

    Raises DataError where the path is no ordinary file (a folder, a pipe, a link in a circle), cannot be read or is
    larger than `largest` bytes; FileNotFoundError and NotADirectoryError where there is nothing.
    """
    try:
        descriptor = os.open(path, os.O_RDONLY | NO_WAITING)
    except (FileNotFoundError, NotADirectoryError):
        raise
    except (OSError, ValueError) as error:  # ValueError: a NUL in its name
        raise DataError(f"{path}: cannot be read ({_reason(error)})") from error
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise DataError(f"{path}: no ordinary file")
    with FileIO(descriptor) as file:
        content = _read_at_most(file, largest + 1)
    if len(content) > largest:
        raise DataError(f"{path}: larger than {largest:,} bytes")
    return content


def _read_at_most(file: FileIO, most: int) -> bytes:
    pieces = []
    while most > 0 and (piece := file.read(min(most, PIECE))):
        pieces.append(piece)
        most -= len(piece)
    return b"".join(pieces)


def _reason(error: OSError | ValueError) -> str:
    return error.strerror or str(error) if isinstance(error, OSError) else str(error)
