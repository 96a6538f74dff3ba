"""Removing files below a folder of ours: never through a symbolic link, never outside it."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from itertools import count
from pathlib import Path

from causalrec.data.regular_files import kind_of
from causalrec.errors import DataError
from causalrec.plain_streams import print_note

DAMAGED = ".damaged-"  # and a number: ends the name of what was moved aside


def first_link(path: Path, root: Path) -> Path | None:
    """Return the first symbolic link on the way from `root` (which may be one) to `path`; None where there is none."""
    below = path.relative_to(root)
    if ".." in below.parts:
        return path
    steps = [root.joinpath(*below.parts[: k + 1]) for k in range(len(below.parts))]
    return next((step for step in steps if step.is_symlink()), None)


def require_unlinked(path: Path, root: Path) -> None:
    """Raise DataError where a symbolic link stands between `root` and `path`, or is `path` itself."""
    if link := first_link(path, root):
        raise DataError(
            f"{link}: a symbolic link, behind which nothing is written or removed; put the folder itself there, or "
            f"remove the link"
        )


def output_folder(root: Path, *names: str) -> Path:
    """Return the folder of these names below `root`, to be written by whoever asks; DataError where one is a link.

    What a library writes by its own means has its folder from here: it would follow a link in what somebody sent.
    """
    folder = root.joinpath(*names)
    require_unlinked(folder, root)
    return folder


def output_file(folder: Path, name: str) -> Path:
    """Return a file that a library will write in place; DataError where a link, a pipe or a folder stands there."""
    path = folder / name
    require_unlinked(path, folder)
    if path.exists() and not path.is_file():
        raise DataError(f"{path}: {kind_of(path.lstat().st_mode)} where a file is meant; remove it")
    return path


def files_below(folder: Path) -> Iterator[Path]:
    """Yield the regular files below a folder in order of name; nothing behind a link, nothing where it is one."""
    if folder.is_symlink():
        return
    for parent, folders, names in os.walk(folder, followlinks=False):
        folders.sort()
        for name in sorted(names):
            path = Path(parent) / name
            if path.is_file() and not path.is_symlink():
                yield path


def links_below(folder: Path) -> Iterator[Path]:
    """Yield the symbolic links at and below a folder."""
    if folder.is_symlink():
        yield folder
        return
    for parent, folders, names in os.walk(folder, followlinks=False):
        yield from (path for name in sorted([*folders, *names]) if (path := Path(parent) / name).is_symlink())


def remove_folder(path: Path, root: Path) -> None:
    """Remove a folder below `root` and all in it, links in it as links; raise DataError where a link leads to it."""
    require_unlinked(path, root)
    if path.is_dir():
        shutil.rmtree(path)


def remove_file(path: Path, root: Path) -> None:
    """Remove a file below `root`, if it is there; raise DataError where a link leads to it."""
    require_unlinked(path, root)
    path.unlink(missing_ok=True)


def make_way(path: Path, aside: Path | None = None) -> None:
    """Remove what is no regular file where one will be written: a link, a pipe, an empty folder.

    A folder that holds something is moved aside (`move_aside`).
    """
    if path.is_dir() and not path.is_symlink():
        try:
            path.rmdir()
        except OSError:
            move_aside(path, aside)
    elif path.is_symlink() or (path.exists() and not path.is_file()):
        path.unlink()


def make_way_for_folder(path: Path, root: Path, aside: Path | None = None) -> None:
    """Move aside what is no folder on the way from `root` to `path`; raise DataError where a symbolic link is."""
    require_unlinked(path, root)
    below = path.relative_to(root).parts
    for step in (root.joinpath(*below[: k + 1]) for k in range(len(below))):
        if os.path.lexists(step) and not step.is_dir():
            move_aside(step, aside)


def move_aside(path: Path, aside: Path | None = None) -> None:
    """Rename what stands where something of ours belongs to `NAME.damaged-N`, and say so; nothing of it is removed.

    Args:
        path: what is renamed; no link leads to it.
        aside: the folder it goes to; its present one by default.
    """
    folder = aside or path.parent
    folder.mkdir(parents=True, exist_ok=True)
    names = (folder / f"{path.name}{DAMAGED}{number}" for number in count(1))
    free = next(name for name in names if not os.path.lexists(name))
    try:
        kind = kind_of(path.lstat().st_mode)
        path.rename(free)
    except FileNotFoundError:  # another launcher was quicker
        if os.path.lexists(path):
            raise
        return
    print_note(f"causalrec: {path}: {kind} where none belongs, moved aside to {free}; remove it if you do not need it")
