"""The working directory is not trusted: no library obeys a file in it, and no child process imports from it."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from causalrec.errors import RequestError

OBEYED: Mapping[str, str] = {  # files of a working directory, and the library that would obey each before any other
    ".numba_config.yaml": "numba",  # names the folder of its pickled cache
    "matplotlibrc": "matplotlib",  # names a module of its backend, and lines of a LaTeX document
}
SAFE_PATH = "PYTHONSAFEPATH"  # `python -m` and `python -c` then import nothing from where they are started


def check_working_folder() -> None:
    """Raise RequestError where the working directory holds a file that a library would obey."""
    for name, library in OBEYED.items():
        if _would_be_read(Path(name)):
            raise RequestError(f"{name}: {library} would obey it; start in another folder or remove it")


def _would_be_read(path: Path) -> bool:
    try:
        return path.exists() and not path.is_dir()
    except OSError:  # a folder that cannot be looked into: nor can the library
        return False


@contextmanager
def import_nothing_from_here() -> Iterator[None]:
    """Let the Python processes that are started within the block import nothing from the working directory.

    What the user installed, and what `PYTHONPATH` names, they import as ever.
    """
    earlier = os.environ.get(SAFE_PATH)
    os.environ[SAFE_PATH] = "1"
    try:
        yield
    finally:
        if earlier is None:
            os.environ.pop(SAFE_PATH, None)
        else:
            os.environ[SAFE_PATH] = earlier
