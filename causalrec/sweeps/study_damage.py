"""What is wrong with a study's database, in one line: every public method of a guarded class says it so."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Concatenate, ParamSpec, Protocol, TypeVar

from optuna.exceptions import OptunaError
from optuna.storages import RDBStorage
from sqlalchemy.exc import SQLAlchemyError

from causalrec.errors import DataError

SHOWN = 160  # characters of what a library says, or of what a database holds
# what reading rows that anybody may have written can raise, in Optuna, SQLAlchemy or here
DAMAGE = (
    OptunaError,
    SQLAlchemyError,
    ArithmeticError,
    AssertionError,
    AttributeError,
    LookupError,
    RuntimeError,
    TypeError,
    ValueError,
)
PASSING = ("SQLITE_BUSY", "SQLITE_LOCKED", "SQLITE_FULL", "SQLITE_IOERR", "SQLITE_READONLY", "SQLITE_CANTOPEN")


class Stored(Protocol):
    """What lies in a database."""

    @property
    def storage(self) -> RDBStorage:
        """The database."""


P = ParamSpec("P")
R = TypeVar("R")
S = TypeVar("S", bound=Stored)
C = TypeVar("C")


@contextmanager
def report_damage(storage: RDBStorage) -> Iterator[None]:
    """Raise what a study's database makes the libraries say as DataError in one line that names it and the mend."""
    try:
        yield
    except DAMAGE as error:
        raise DataError(f"{_address(storage)}: {describe(error)}; {_mend(error)}") from error


def guard_methods(guarded: type[C]) -> type[C]:
    """Report damage in every public method of a class that has a `storage`, those added later too."""
    for name, method in list(vars(guarded).items()):
        if callable(method) and not name.startswith("_"):
            setattr(guarded, name, _guard(method))
    return guarded


def _guard(method: Callable[Concatenate[S, P], R]) -> Callable[Concatenate[S, P], R]:
    @functools.wraps(method)
    def call(self: S, /, *args: P.args, **kwargs: P.kwargs) -> R:
        with report_damage(self.storage):
            return method(self, *args, **kwargs)

    return call


def describe(error: BaseException) -> str:
    """Return the first line of what a library says, shortened.

    >>> describe(KeyError())
    'KeyError'
    """
    text = " ".join(str(error.__cause__ or error).split("\n")[0].split()) or type(error).__name__
    return text if len(text) <= SHOWN else f"{text[:SHOWN]}..."


def _mend(error: BaseException) -> str:
    cause = getattr(error.__cause__ or error, "orig", None)
    if str(getattr(cause, "sqlite_errorname", "")).startswith(PASSING):
        return "mend that and launch again"
    return "the study is damaged: remove it or name another sweep=NAME"


def _address(storage: RDBStorage) -> str:
    """Return where a database lies, without the user and the password of its address."""
    url = storage.engine.url
    return str(url.database) if url.drivername.startswith("sqlite") else f"{url.host or ''}/{url.database or ''}"
