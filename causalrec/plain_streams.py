"""Standard streams of plain text without secrets, whoever prints: this package, its libraries, or a warning."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator
from typing import TextIO

from causalrec.plain_text import escape_controls, one_line
from causalrec.redaction import redact_text


class PlainStream:
    """A text stream that writes control characters out and redacts secrets: no name or message of a file acts on a
    terminal, and no traceback tells a password.

    All else is that of the stream behind it.

    Attributes:
        stream: what it writes to.
    """

    def __init__(self, stream: TextIO) -> None:
        self.stream = stream

    def write(self, text: str) -> int:
        """Write a text; return its length, as callers count what they gave."""
        self.stream.write(escape_controls(redact_text(text)))
        return len(text)

    def writelines(self, lines: Iterable[str]) -> None:
        """Write texts one after another."""
        for line in lines:
            self.write(line)

    def __getattr__(self, name: str) -> object:
        return getattr(self.stream, name)

    def __iter__(self) -> Iterator[str]:
        return iter(self.stream)


def use_plain_streams() -> None:
    """Let stdout and stderr write plain text without secrets, until somebody sets other streams."""
    for name in ("stdout", "stderr"):
        stream = getattr(sys, name)
        if stream is not None and not isinstance(stream, PlainStream):
            setattr(sys, name, PlainStream(stream))


def raw_stderr() -> TextIO:
    """Return the stream behind stderr, for what draws on a terminal by its codes: bars, of texts that are escaped."""
    stream: object = sys.stderr
    return stream.stream if isinstance(stream, PlainStream) else sys.stderr


def print_note(text: str) -> None:
    """Print one line on stderr; line ends and control characters within it are written out."""
    print(one_line(text), file=sys.stderr, flush=True)
