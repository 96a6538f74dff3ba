"""A folder of derived files, sealed by the sums of their content: whole and as it was written, or made anew."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from causalrec.data.files import sync, write_text
from causalrec.data.regular_files import open_regular, read_json
from causalrec.data.removal import files_below
from causalrec.plain_streams import print_note

META = "meta.json"
SUMMED = ".summed"  # the states of the files when their sums were last taken
ALWAYS_SUMMED = 32 << 20  # bytes: a smaller folder is summed at each opening, in some 0.02 s
BLOCK = 1 << 20
Meta = dict[str, Any]


class Damaged(Exception):
    """What is wrong with a folder, in a few words."""


def seal(folder: Path, meta: Mapping[str, object]) -> Meta:
    """Write the meta data of a finished folder, with the sum of each of its files and of itself; return them."""
    sums = {str(path.relative_to(folder)): sum_of(path) for path in files_below(folder)}
    for name in sums:
        sync(folder / name)
    sizes = {name: (folder / name).stat().st_size for name in sums}
    content: Meta = json.loads(json.dumps({**meta, "sums": sums, "sizes": sizes}))  # as it will be read
    write_text(folder / META, json.dumps({"sum": _sum_of_meta(content), "content": content}))
    return content


def open_sealed(folder: Path) -> Meta | None:
    """Return the meta data of a folder that is as it was sealed, None where there is none.

    One that was cut, changed or replaced by something else is removed, in one line on stderr. All files are summed
    where they are small together; else where one's size, times or inode are other than when they were last summed, so
    that a change in place is noticed and gigabytes are not read at each start.
    """
    if not os.path.lexists(folder):
        return None
    try:
        return _read(folder)
    except Damaged as error:
        say_made_anew(folder, str(error))
    if folder.is_symlink() or not folder.is_dir():
        folder.unlink(missing_ok=True)
    else:
        shutil.rmtree(folder, ignore_errors=True)
    return None


def say_made_anew(path: Path, why: str) -> None:
    """Say on stderr that something derived was damaged and is made anew."""
    print_note(f"causalrec: {path}: damaged ({why}), so it is made anew")


def sum_of(path: Path) -> str:
    """Return the sha256 of a regular file, hexadecimal."""
    total = hashlib.sha256()
    with open_regular(path) as file:
        while block := file.read(BLOCK):
            total.update(block)
    return total.hexdigest()


def _read(folder: Path) -> Meta:
    if folder.is_symlink() or not folder.is_dir():
        raise Damaged("not a folder")
    try:
        sealed = read_json(folder / META)
        content = sealed["content"] if isinstance(sealed, dict) else None
        if not isinstance(content, dict) or sealed["sum"] != _sum_of_meta(content):  # type: ignore[index]
            raise Damaged(f"{META}: not as it was written")
    except (OSError, ValueError, LookupError, RecursionError) as error:
        raise Damaged(f"{META}: {_reason(error)}") from error
    sums: dict[str, str] = content["sums"]
    for name in _to_sum(folder, sums, content["sizes"]):
        try:
            now = sum_of(folder / name)
        except OSError as error:
            raise Damaged(f"{name}: {_reason(error)}") from error
        if now != sums[name]:
            raise Damaged(f"{name}: its sha256 is another")
    return content


def _to_sum(folder: Path, names: Mapping[str, str], sizes: Mapping[str, int]) -> list[str]:
    """Return the files whose sums must be taken, and remember their states where the others need not be next time."""
    states: dict[str, list[int]] = {}
    for name in names:
        try:
            state = (folder / name).lstat()
        except OSError as error:
            raise Damaged(f"{name}: {_reason(error)}") from error
        if state.st_size != sizes[name]:
            raise Damaged(f"{name}: {state.st_size} bytes instead of {sizes[name]}")
        states[name] = [state.st_size, state.st_mtime_ns, state.st_ctime_ns, state.st_ino]
    if sum(state[0] for state in states.values()) <= ALWAYS_SUMMED:
        return [*names]
    earlier: object = None
    with suppress(OSError, ValueError):
        earlier = read_json(folder / SUMMED)
    if isinstance(earlier, dict) and earlier == states:
        return []
    changed = [name for name in names if not isinstance(earlier, dict) or earlier.get(name) != states[name]]
    if all(sum_of(folder / name) == names[name] for name in changed):
        with suppress(OSError):  # a folder that cannot be written is summed each time
            write_text(folder / SUMMED, json.dumps(states))
        return []
    return changed


def _sum_of_meta(content: Meta) -> str:
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()


def _reason(error: Exception) -> str:
    return (error.strerror or "not readable").lower() if isinstance(error, OSError) else " ".join(str(error).split())
