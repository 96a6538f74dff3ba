"""A folder of derived arrays, whole or absent: written under a temporary name, renamed, and checked when opened."""

from __future__ import annotations

import os
import shutil
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from functools import lru_cache
from pathlib import Path

from causalrec.data.checked_folder import Meta, open_sealed, seal
from causalrec.data.disk_errors import FULL, naming
from causalrec.data.files import derived_folder
from causalrec.data.read_only import is_read_only
from causalrec.data.regular_files import kind_of
from causalrec.data.removal import require_unlinked
from causalrec.errors import DataError
from causalrec.plain_streams import print_note

STALE = 86_400  # seconds after which a temporary folder belongs to nobody


def store_folder(folder: Path, root: Path) -> Path:
    """Return where to keep what we derive from `folder`: inside it below `root` (`paths.data`), if that is writable.

    Elsewhere, a user's own folder is left as it is: then `$CAUSALREC_CACHE/tables`, `~/.cache/causalrec/derived/tables`
    by default. So too where a finished run is opened again whose record names another folder of data, and where
    something else than a folder stands in the store's place, which is told in one line.
    """
    is_ours = not is_read_only() or root.resolve() == _data_folder().resolve()
    if is_ours and folder.resolve().is_relative_to(root.resolve()) and os.access(folder, os.W_OK):
        inside = folder / ".causalrec"
        if not os.path.lexists(inside) or (inside.is_dir() and not inside.is_symlink()):
            return inside
        _say_not_a_folder(inside, kind_of(inside.lstat().st_mode))
    return derived_folder() / "tables"


def _data_folder() -> Path:
    """Return `paths.data` as this process's environment has it."""
    return Path(os.environ.get("CAUSALREC_DATA") or Path.home() / ".cache" / "causalrec" / "data")


@lru_cache
def _say_not_a_folder(path: Path, kind: str) -> None:
    """Say once what stands in the place of a data set's store."""
    print_note(f"causalrec: {path}: {kind}, not a folder, so the cache folder is used; remove it")


@contextmanager
def scratch_folder(store_path: Path) -> Iterator[Path]:
    """Yield a temporary folder beside the store's, removed at the end; raise DataError where it cannot be made."""
    require_unlinked(store_path.parent, store_path.parent.parent)
    try:
        store_path.parent.mkdir(parents=True, exist_ok=True)
        scratch = Path(tempfile.mkdtemp(dir=store_path.parent, prefix=".making-"))
    except OSError as error:
        raise DataError(f"{store_path.parent}: cannot be written ({error.strerror}); set CAUSALREC_CACHE") from error
    for other in store_path.parent.glob(".making-*"):
        with suppress(OSError):  # gone meanwhile
            if not other.is_symlink() and time.time() - other.stat().st_mtime > STALE:
                shutil.rmtree(other, ignore_errors=True)
    try:
        with naming(store_path):
            yield scratch
    except OSError as error:
        if error.errno not in FULL:
            raise
        fix = "free some space, or set CAUSALREC_CACHE to another folder"
        raise DataError(f"{store_path}: no space left ({os.strerror(error.errno).lower()}); {fix}") from error
    finally:
        shutil.rmtree(scratch, ignore_errors=True)


def keep_store(folder: Path, store_path: Path, meta: Mapping[str, object]) -> Meta:
    """Give a finished folder its meta data and its name, unless another process was first; return the meta data."""
    with naming(store_path):
        content = seal(folder, meta)
        try:
            folder.rename(store_path)
        except OSError:  # there already: both hold the same bytes
            if open_sealed(store_path) is None:
                folder.rename(store_path)
    return content
