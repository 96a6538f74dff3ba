"""Named files out of zip and tar archives: nothing else is read, nothing lands elsewhere, nothing fills the disk."""

from __future__ import annotations

import shutil
import tarfile
import zipfile
import zlib
from collections.abc import Iterable, Mapping
from pathlib import Path, PurePosixPath
from typing import IO

from causalrec.errors import DataError

CHUNK = 1 << 20
MAX_EXPANSION = 200  # of an archive: tables of text compress to a tenth, rarely to a fiftieth


def extract(archive: Path, target: Path, member: str, names: Iterable[str]) -> None:
    """Unpack the named files below `member` of a zip or tar archive; nothing can land outside `target`.

    Only regular members of exactly these names are read, and their bytes written to paths of ours.

    Args:
        archive: The zip or tar file.
        target: The folder to write to.
        member: The folder of the files inside the archive, "" for its root.
        names: Paths of the files below `member`, and below `target`.

    Raises:
        DataError: On a link, a device, a name that would leave the folder, a member that is not there, and a damaged
            archive.
    """
    wanted = {str(PurePosixPath(member) / name): _path_inside(target, name) for name in names}
    members = _untar(archive, wanted) if tarfile.is_tarfile(archive) else _unzip(archive, wanted)
    for stored in wanted:
        if stored not in members:
            raise DataError(f"{archive.name}: has no member {stored}; the archive is another version")


def _path_inside(target: Path, name: str) -> Path:
    path = (target / name).resolve()
    if not path.is_relative_to(target.resolve()):
        raise DataError(f"{name}: the archive member would leave its folder; refused")
    return path


def _unzip(archive: Path, wanted: Mapping[str, Path]) -> set[str]:
    try:
        with zipfile.ZipFile(archive) as opened:
            members = set(opened.namelist()) & set(wanted)
            _check_size(archive, sum(opened.getinfo(stored).file_size for stored in members))
            for stored in sorted(members):
                with opened.open(stored) as source:
                    _write(source, wanted[stored])
    except (zipfile.BadZipFile, zlib.error) as error:
        raise DataError(f"{archive.name}: not a readable zip archive ({error}); fetch it again") from error
    return members


def _untar(archive: Path, wanted: Mapping[str, Path]) -> set[str]:
    members, size = set(), 0
    try:
        with tarfile.open(archive) as opened:
            for entry in opened:
                stored = str(PurePosixPath(entry.name))  # drops a leading ./
                if stored not in wanted:
                    continue
                _check_size(archive, size := size + entry.size)
                source = opened.extractfile(entry) if _is_plain(entry) else None
                if source is None:
                    raise DataError(f"{entry.name}: the archive member is a link or a device, not a file; refused")
                with source:
                    _write(source, wanted[stored])
                members.add(stored)
    except (tarfile.TarError, EOFError, zlib.error, OSError) as error:
        raise DataError(f"{archive.name}: not a readable tar archive ({error}); fetch it again") from error
    return members


def _check_size(archive: Path, size: int) -> None:
    """Raise DataError where files are far larger than text that compresses well: their archive would fill the disk."""
    if size > MAX_EXPANSION * max(archive.stat().st_size, CHUNK):
        raise DataError(f"{archive.name}: expands to {size} bytes, over {MAX_EXPANSION} times its size; refused")


def _is_plain(entry: tarfile.TarInfo) -> bool:
    """Tell whether a member is a regular file, also by Python's own filter where this Python has one (3.11.4)."""
    judge = getattr(tarfile, "data_filter", None)
    try:
        return entry.isreg() and (judge is None or judge(entry, ".") is not None)
    except tarfile.TarError:
        return False


def _write(source: IO[bytes], path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("wb") as out:
        shutil.copyfileobj(source, out, CHUNK)
