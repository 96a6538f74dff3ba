"""What a terminal is given: only characters that it can show, and none that it obeys, whoever prints."""

from __future__ import annotations

import codecs
import sys
from collections.abc import Iterator
from contextlib import contextmanager

from causalrec.plain_streams import use_plain_streams

PLAIN = {
    "…": ".",
    "−": "-",
    "–": "-",
    "—": "-",
    "×": "x",
    "·": ".",
    "→": ">",
    "±": "+-",
    "≤": "<=",
    "≥": ">=",
    "─": "-",
    "▽": "v",
}
HANDLER = "causalrec.plain"


def _plain(error: UnicodeError) -> tuple[str, int]:
    """Write what cannot be encoded by plain characters, `?` for those without a likeness."""
    assert isinstance(error, UnicodeEncodeError)
    return "".join(PLAIN.get(sign, "?") for sign in error.object[error.start : error.end]), error.end


def write_plain_where_needed() -> None:
    """Let stdout and stderr print any text: an ASCII terminal, or a pipe in the C locale, stops at the first dash."""
    codecs.register_error(HANDLER, _plain)
    for stream in (sys.stdout, sys.stderr):
        encoding, reconfigure = getattr(stream, "encoding", None), getattr(stream, "reconfigure", None)
        if encoding and reconfigure and not encoding.lower().startswith("utf"):
            reconfigure(errors=HANDLER)


@contextmanager
def plain_terminal() -> Iterator[None]:
    """Print plain text alone within the block: what a terminal lacks by likenesses, control characters written out."""
    write_plain_where_needed()
    stdout, stderr = sys.stdout, sys.stderr
    use_plain_streams()
    try:
        yield
    finally:
        sys.stdout, sys.stderr = stdout, stderr
