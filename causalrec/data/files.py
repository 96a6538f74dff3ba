"""Files are written under a temporary name and renamed, so that a reader never sees a half-written one."""

import os
import secrets
import shutil
import stat
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from causalrec.data.disk_errors import naming
from causalrec.errors import RequestError
from causalrec.redaction import redact_document

NEW_FILE_MODE = 0o666  # less the umask
READABLE_CHARACTERS = 40  # of a name that its temporary file repeats: a name may be as long as the disk allows


@contextmanager
def replace_atomically(path: Path, *, through_link: bool = False) -> Iterator[Path]:
    """Yield a temporary path beside `path`; on success it is synced and takes its name, on failure it is removed.

    A file that is there gives its mode to the new one, which otherwise has what the umask leaves. An OSError names
    `path`, which those of a full disk do not.

    Args:
        path: the file to write.
        through_link: where `path` is a symbolic link, write the file it stands for: right for a document that the user
            named. Without it the link itself is replaced, so that nothing outside the folder is written.
    """
    with naming(path):
        target = _link_target(path) if through_link else path
        mode = _mode_of(target)
        target.parent.mkdir(parents=True, exist_ok=True)
        name = f".{target.name[:READABLE_CHARACTERS]}.{secrets.token_hex(4)}{target.suffix[:READABLE_CHARACTERS]}"
        temporary = target.with_name(name)
        os.close(os.open(temporary, os.O_CREAT | os.O_EXCL | os.O_WRONLY, NEW_FILE_MODE if mode is None else mode))
        try:
            yield temporary
            if mode is not None:
                temporary.chmod(mode)
            sync(temporary)
            temporary.replace(target)
            sync(target.parent)
        finally:
            temporary.unlink(missing_ok=True)


@contextmanager
def new_folder(path: Path) -> Iterator[Path]:
    """Yield a temporary folder beside `path`, which is not there yet; on success it takes its name, else it goes.

    An OSError names `path`.
    """
    with naming(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        temporary = path.with_name(f".{path.name[:READABLE_CHARACTERS]}.{secrets.token_hex(4)}")
        temporary.mkdir()
        try:
            yield temporary
            temporary.rename(path)
            sync(path.parent)
        finally:
            shutil.rmtree(temporary, ignore_errors=True)


def write_text(path: Path, text: str, *, through_link: bool = False) -> None:
    """Write a text file atomically (UTF-8); `through_link` as of `replace_atomically`."""
    with replace_atomically(path, through_link=through_link) as temporary:
        temporary.write_text(redact_document(text, path.suffix), encoding="utf-8")


def sync(path: Path) -> None:
    """Put a file, or the names in a folder, on the disk; a folder that its file system cannot sync is left."""
    try:
        handle = os.open(path, os.O_RDONLY)
    except OSError:  # a folder whose names may not be read
        return
    try:
        with suppress(OSError) if path.is_dir() else naming(path):
            os.fsync(handle)
    finally:
        os.close(handle)


def _link_target(path: Path) -> Path:
    """Return the file that a link stands for, which must be there: a dangling one names nothing to keep."""
    return Path(os.path.realpath(path, strict=True)) if path.is_symlink() else path


def _mode_of(path: Path) -> int | None:
    """Return the permissions of a regular file, None where there is none."""
    with suppress(OSError):
        state = path.lstat()
        return stat.S_IMODE(state.st_mode) if stat.S_ISREG(state.st_mode) else None
    return None


def require_creatable(folder: Path, setting: str) -> None:
    """Raise RequestError, naming the setting, where `folder` cannot be made or written; nothing is made."""
    try:
        above = next(path for path in (folder.absolute(), *folder.absolute().parents) if path.exists())
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


def derived_folder() -> Path:
    """Return where derived data go that have no folder of their own: `$CAUSALREC_CACHE`, or below the home folder."""
    return Path(os.environ.get("CAUSALREC_CACHE") or Path.home() / ".cache" / "causalrec" / "derived")
