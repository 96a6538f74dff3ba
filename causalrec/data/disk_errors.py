"""What the disk refuses, in one line: the path, the reason, the mend."""

from __future__ import annotations

import errno
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from causalrec.errors import CausalRecError

FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
NOT_WRITABLE = (errno.EROFS, errno.EACCES, errno.EPERM)
REFUSALS = (*FULL, *NOT_WRITABLE)
MENDS = {  # what helps, by the number of the error
    errno.EISDIR: "a folder where a file is meant: remove it, or name another path",
    errno.ENOTDIR: "a file stands where a folder is meant: remove it, or name another path",
    errno.EEXIST: "something else is there: remove it, or name another path",
    errno.ENOTEMPTY: "something else is there: remove it, or name another path",
    errno.ELOOP: "symbolic links that lead nowhere: remove them, or name another path",
    errno.ENAMETOOLONG: "give a shorter name",
    errno.ENOENT: "name a path that is there",
    errno.EMFILE: "too many files are open: raise `ulimit -n`",
    errno.EINVAL: "remove it, or name another path",
    errno.EIO: "the disk fails: look at it, then run again",
}
TEMPORARY = re.compile(r"\.(.+)\.\w+(\.\w+)?")  # names of files on their way
LIBRARY_TEXTS = ("PytorchStreamWriter failed", "unexpected pos")  # of torch, which drops the number of the error


@contextmanager
def naming(path: Path) -> Iterator[None]:
    """Let an OSError that names no file, as those of a full disk, name this one; so does one of a temporary name."""
    try:
        yield
    except OSError as error:
        if error.errno is None or (named := _named_path(error)) == path:
            raise
        if named is not None and named != path.parent:
            raise
        raise OSError(error.errno, error.strerror or os.strerror(error.errno), str(path)) from error
    except CausalRecError:
        raise
    except Exception as error:
        if (full := full_disk(error, path)) is None:
            raise
        raise full from error


def disk_problem(error: BaseException, near: Path | str | None = None) -> str | None:
    """Return the line of what the disk refused; None where it is not the reason.

    An OSError is one, and so is an error of another class in whose chain a disk is full or cannot be written.
    `near`: named where the error itself names no path.
    """
    for cause in chain(error):
        if isinstance(cause, OSError) and cause.errno is not None and (cause is error or cause.errno in REFUSALS):
            return _line(cause.errno, _named_path(cause) or near, cause.strerror)
        if (number := _number_in_text(cause)) is not None:
            return _line(number, near)
    return None


def full_disk(error: BaseException, near: Path) -> OSError | None:
    """Return the OSError of a full disk that a library told in words of its own; None where it is something else."""
    for cause in chain(error):
        number = cause.errno if isinstance(cause, OSError) else _number_in_text(cause)
        if number in FULL:
            return OSError(number, os.strerror(number), str(near))
    return None


def chain(error: BaseException) -> list[BaseException]:
    """Return an error and what it was raised from or during, the last first."""
    errors: list[BaseException] = []
    now: BaseException | None = error
    while now is not None and now not in errors:
        errors.append(now)
        now = now.__cause__ or now.__context__
    return errors


def _line(number: int, path: Path | str | None, said: str | None = None) -> str:
    reason, where = said or os.strerror(number), "standard output or the disk" if path is None else path
    if number in FULL:
        full = "no space left on device" if number == errno.ENOSPC else f"no space left ({reason.lower()})"
        return f"{where}: {full}; free some space or name another folder, then run it again"
    if number in NOT_WRITABLE:
        return f"{where}: {reason.lower()}; make it writable or name another folder, then run it again"
    return f"{where}: {reason.lower()}; {MENDS.get(number, 'look at the disk, then run again')}"


def _named_path(error: OSError) -> Path | None:
    """Return the file that an error names; of a temporary one the folder."""
    named = error.filename2 or error.filename
    if not isinstance(named, str | bytes | os.PathLike):
        return None
    path = Path(os.fsdecode(named))
    return path.parent if TEMPORARY.fullmatch(path.name) else path


def _number_in_text(error: BaseException) -> int | None:
    """Return the number of a full disk that an error of a library tells in words alone."""
    if isinstance(error, OSError | SystemExit | KeyboardInterrupt):
        return None
    text = str(error)
    numbers = [number for number in FULL if f"os error {number}" in text or os.strerror(number) in text]
    if not numbers and any(words in text for words in LIBRARY_TEXTS):
        return errno.ENOSPC
    return numbers[0] if numbers else None
