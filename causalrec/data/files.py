"""Files are written under a temporary name and renamed, so that a reader never sees a half-written one."""

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from causalrec.errors import RequestError
from causalrec.redaction import redact_document


@contextmanager
def replace_atomically(path: Path) -> Iterator[Path]:
    """Yield a temporary path beside `path`; on success it is synced and takes its name, on failure it is removed."""
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.", suffix=path.suffix)
    os.close(handle)
    temporary = Path(name)
    try:
        yield temporary
        with temporary.open("rb") as written:
            os.fsync(written.fileno())
        temporary.chmod(0o644)
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


def write_text(path: Path, text: str) -> None:
    """Write a text file atomically (UTF-8)."""
    with replace_atomically(path) as temporary:
        temporary.write_text(redact_document(text, path.suffix), encoding="utf-8")


def require_creatable(folder: Path, setting: str) -> None:
    """Raise RequestError, naming the setting, where `folder` cannot be made or written; nothing is made."""
    above = next(path for path in (folder.absolute(), *folder.absolute().parents) if path.exists())
    try:
        with tempfile.TemporaryFile(dir=above):
            pass
    except OSError as error:
        raise RequestError(f"{setting}={folder}: cannot be written ({error.strerror}); name another folder") from error


def require_writable(folder: Path, setting: str) -> None:
    """Create `folder` and try a file in it; raise RequestError naming the setting that chose it."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            pass
    except OSError as error:
        raise RequestError(f"{setting}={folder}: cannot be written ({error.strerror}); name another folder") from error
