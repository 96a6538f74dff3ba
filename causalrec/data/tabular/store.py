"""A folder of derived arrays, whole or absent: written under a temporary name, renamed, and checked when opened."""

from __future__ import annotations

import json
import os
import shutil
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from causalrec.errors import DataError

META = "meta.json"
STALE = 86_400  # seconds after which a temporary folder belongs to nobody


def store_folder(folder: Path, root: Path) -> Path:
    """Return where to keep what we derive from `folder`: inside it below `root` (`paths.data`), if that is writable.

    Elsewhere, a user's own folder is left as it is: then `$CAUSALREC_CACHE/tables`, `~/.cache/causalrec/derived/tables`
    by default.
    """
    if folder.resolve().is_relative_to(root.resolve()) and os.access(folder, os.W_OK):
        return folder / ".causalrec"
    cache = os.environ.get("CAUSALREC_CACHE") or Path.home() / ".cache" / "causalrec" / "derived"
    return Path(cache) / "tables"


def open_store(path: Path) -> dict[str, Any] | None:
    """Return the meta data of a complete store, None where there is none; a damaged one is removed."""
    try:
        meta: dict[str, Any] = json.loads((path / META).read_text(encoding="utf-8"))
        if all((path / name).stat().st_size == size for name, size in meta["sizes"].items()):
            return meta
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError):
        pass
    shutil.rmtree(path, ignore_errors=True)
    return None


@contextmanager
def scratch_folder(store_path: Path) -> Iterator[Path]:
    """Yield a temporary folder beside the store's, removed at the end; raise DataError where it cannot be made."""
    try:
        store_path.parent.mkdir(parents=True, exist_ok=True)
        scratch = Path(tempfile.mkdtemp(dir=store_path.parent, prefix=".making-"))
    except OSError as error:
        raise DataError(f"{store_path.parent}: cannot be written ({error.strerror}); set CAUSALREC_CACHE") from error
    for other in store_path.parent.glob(".making-*"):
        if time.time() - other.stat().st_mtime > STALE:
            shutil.rmtree(other, ignore_errors=True)
    try:
        yield scratch
    finally:
        shutil.rmtree(scratch, ignore_errors=True)


def keep_store(folder: Path, store_path: Path, meta: dict[str, Any]) -> dict[str, Any]:
    """Give a finished folder its meta data and its name, unless another process was first; return the meta data."""
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    meta = {**meta, "sizes": {str(path.relative_to(folder)): path.stat().st_size for path in files}}
    for path in files:
        with path.open("rb") as written:
            os.fsync(written.fileno())
    (folder / META).write_text(json.dumps(meta), encoding="utf-8")
    try:
        folder.rename(store_path)
    except OSError:  # there already: both hold the same bytes
        if open_store(store_path) is None:
            folder.rename(store_path)
    return meta
