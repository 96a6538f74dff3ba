"""What the YAML of a source may name: files below their folder, https addresses, wheels of an index."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path, PurePosixPath
from typing import Annotated
from urllib.parse import unquote, urlsplit

from pydantic import AfterValidator

from causalrec.data.readable_paths import why_closed
from causalrec.errors import DataError

SCHEMES = ("https", "file")  # of addresses; a file's lies below paths.data


def check_relative(name: str) -> str:
    """Return the path of a file or folder that stays below the folder it is joined to; raise ValueError for another.

    >>> check_relative("KuaiRec 2.0/data")
    'KuaiRec 2.0/data'
    """
    if not name or name == ".":
        raise ValueError("a name is missing; give a path below the folder")
    if any(not sign.isprintable() or sign == "\\" for sign in name):
        raise ValueError("a path holds no backslash and no control character")
    if name.startswith(("/", "~")) or ".." in name.split("/"):
        raise ValueError("a path stays below its folder: relative, and without '..'")
    if PurePosixPath(name).as_posix() != name:
        raise ValueError(f"a path is written plainly, as {PurePosixPath(name).as_posix()}")
    return name


def check_shown(name: str) -> str:
    """Return the path of a file or folder that is written to; raise ValueError for one that leaves or is hidden.

    >>> check_shown("KuaiRec 2.0/data")
    'KuaiRec 2.0/data'
    """
    if any(component.startswith(".") for component in check_relative(name).split("/")):
        raise ValueError("nothing is written to hidden folders and files; give names that do not begin with '.'")
    return name


def check_member(name: str) -> str:
    """Return a folder inside an archive, "" for its root; raise ValueError for one that leaves it."""
    return check_relative(name) if name else name


def check_url(url: str) -> str:
    """Return an address that may be fetched; raise ValueError for another.

    >>> check_url("https://example.org/a.zip")
    'https://example.org/a.zip'
    """
    address = urlsplit(url)
    if address.scheme not in SCHEMES or any(not sign.isprintable() or sign.isspace() for sign in url):
        raise ValueError("an address begins with https://, or is a file: below paths.data")
    if bool(address.hostname) == (address.scheme == "file"):
        raise ValueError("an address names a host, https://HOST/FILE, and that of a file none, file:///PATH")
    return url


def check_wheel(requirement: str) -> str:
    """Return a wheel's NAME==VERSION; raise ValueError for a path, an address, an option and all else.

    >>> check_wheel("recbole==1.2.1")
    'recbole==1.2.1'
    """
    from packaging.utils import InvalidName, canonicalize_name
    from packaging.version import InvalidVersion, Version

    name, _, version = requirement.partition("==")
    try:
        canonicalize_name(name, validate=True)
        Version(version)
    except (InvalidName, InvalidVersion):
        raise ValueError("a wheel is NAME==VERSION of a package index") from None
    if requirement != requirement.strip() or not requirement.isascii():
        raise ValueError("a wheel is NAME==VERSION of a package index, without spaces")
    return requirement


RelativePath = Annotated[str, AfterValidator(check_shown)]
MemberPath = Annotated[str, AfterValidator(check_member)]
Address = Annotated[str, AfterValidator(check_url)]
Wheel = Annotated[str, AfterValidator(check_wheel)]


def local_file(url: str, root: Path) -> Path:
    """Return the path of a file: address; raise DataError where it lies elsewhere than below paths.data, or hidden."""
    path = Path(unquote(urlsplit(url).path))
    if not path.resolve().is_relative_to(root.resolve()):
        raise DataError(f"{url}: lies outside {root}; a file: address is below paths.data")
    if why := why_closed(path, root):
        raise DataError(f"{url}: {why}, and is not copied; copy it by hand")
    return path


def require_below(path: Path, folder: Path, written: Callable[[], str]) -> None:
    """Raise DataError where a path leads out of a folder, through links too; `written` says what to do by hand."""
    if not path.resolve().is_relative_to(folder.resolve()):
        raise DataError(f"{path}: leads out of {folder} through a link, and nothing is written there; {written()}")
