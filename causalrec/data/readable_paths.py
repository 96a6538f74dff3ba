"""Which files YAML from outside may have read as data: none that is hidden, none of the operating system's."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path, PurePosixPath

from causalrec.errors import RequestError

SYSTEM = ("/proc", "/sys", "/dev", "/etc", "/run", "/boot", "/root", "/var/log", "/var/spool")


def require_readable(folder: Path, name: str, root: Path) -> Path:
    """Return the path of a raw file; raise RequestError where it leaves its folder, is hidden or is the system's.

    Args:
        folder: of the data set.
        name: of the file, below the folder.
        root: `paths.data`; what is hidden above it, above the working directory and above the home is no hindrance.
    """
    if not name or PurePosixPath(name).is_absolute() or ".." in PurePosixPath(name).parts:
        raise RequestError(f"{name!r}: a file of a table lies below its folder; set dataset.folder to where it lies")
    path = folder / name
    if why := why_closed(path, root):
        raise RequestError(f"{path}: {why}, and is not read as data; copy it, or set paths.data to its folder")
    return path


def why_closed(path: Path, root: Path) -> str | None:
    """Say why a file or folder, all links followed, is not read because YAML names it; None where it is.

    Args:
        path: of the file or folder.
        root: `paths.data`.
    """
    try:
        real, bases = path.resolve(), [base.resolve() for base in _bases(root)]
    except (OSError, ValueError, RuntimeError) as error:
        return f"cannot be followed ({' '.join(str(error).split())})"
    where = "" if real == path.absolute() else f"leads to {real}, which "
    if any(_is_of_system(real, Path(system).resolve(), bases) for system in SYSTEM):
        return f"{where}is a file of the operating system"
    below = min((real.relative_to(base).parts for base in bases if real.is_relative_to(base)), key=len, default=None)
    hidden = next((name for name in (real.parts if below is None else below) if name.startswith(".")), None)
    return f"{where}is hidden ({hidden})" if hidden else None


def _bases(root: Path) -> list[Path]:
    """Return the folders that the user chose to work in."""
    try:
        return [root, Path.cwd(), Path.home()]
    except (OSError, RuntimeError):  # a working directory that is gone, a user without an entry
        return [root]


def _is_of_system(path: Path, system: Path, bases: Sequence[Path]) -> bool:
    """Whether a path lies in a folder of the system, and in none of the user's that lie there."""
    chosen = any(base.is_relative_to(system) and path.is_relative_to(base) for base in bases)
    return path.is_relative_to(system) and not chosen
