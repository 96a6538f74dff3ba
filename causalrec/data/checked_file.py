"""A cached file that carries the sum of its content: as it was written, or made anew."""

from __future__ import annotations

import hashlib
import os
import shutil
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import TypeVar

from causalrec.data.checked_folder import say_made_anew
from causalrec.data.files import replace_atomically
from causalrec.data.regular_files import open_regular
from causalrec.data.removal import require_unlinked

MAGIC = b"causalrec cache 1\n"
DIGEST = 64  # hexadecimal characters of a sha256
Value = TypeVar("Value")


def load_or_make(path: Path, make: Callable[[], bytes], parse: Callable[[bytes], Value]) -> Value:
    """Return what a cached file holds; where there is none, or none as it was written, make it and write it first.

    A damaged file is told in one line on stderr. One that cannot be written raises OSError, which names it; one whose
    folder is a link DataError.

    Args:
        path: of the file.
        make: computes its content.
        parse: reads the content; whatever it raises means that the file holds something else.
    """
    require_unlinked(path.parent, path.parent.parent)
    content = _read(path)
    if content is not None:
        try:
            return parse(content)
        except Exception as error:  # right sum, other content: an older version's, or somebody's
            drop_damaged(path, f"holds something else: {type(error).__name__}")
    content = make()
    with replace_atomically(path) as temporary, temporary.open("wb") as out:
        out.write(MAGIC + hashlib.sha256(content).hexdigest().encode() + content)
    return parse(content)


def _read(path: Path) -> bytes | None:
    """Return the content of a file that is as it was written, None where there is none; a damaged one is removed."""
    if not os.path.lexists(path):
        return None
    try:
        with open_regular(path, follow_links=False) as file:
            stored = file.read()
    except OSError as error:
        drop_damaged(path, (error.strerror or "not readable").lower())
        return None
    start = len(MAGIC) + DIGEST
    if (
        not stored.startswith(MAGIC)
        or hashlib.sha256(stored[start:]).hexdigest().encode() != stored[len(MAGIC) : start]
    ):
        drop_damaged(path, "its sha256 is another")
        return None
    return stored[start:]


def drop_damaged(path: Path, why: str) -> None:
    """Remove what stands in the place of a cached file, and say on stderr that it is made anew."""
    say_made_anew(path, why)
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path, ignore_errors=True)
    else:
        with suppress(OSError):
            path.unlink()
