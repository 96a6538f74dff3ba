"""Whether raw data are only read: while a finished run, which may be somebody else's, is opened again."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

_READ_ONLY: ContextVar[bool] = ContextVar("read_only", default=False)


def is_read_only() -> bool:
    """Say whether nothing may be downloaded, and nothing written where a record says that its data lie."""
    return _READ_ONLY.get()


@contextmanager
def read_only() -> Iterator[None]:
    """Let nothing be downloaded within, where a file that is missing is an error."""
    token = _READ_ONLY.set(True)
    try:
        yield
    finally:
        _READ_ONLY.reset(token)
