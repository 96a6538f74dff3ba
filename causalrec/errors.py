"""The errors a user meets: one line that names what is wrong, where, and the mend."""

import difflib
from collections.abc import Iterable

from causalrec.redaction import redact_text


class CausalRecError(Exception):
    """The work failed although the request was right (exit code 1)."""

    exit_code = 1

    def __str__(self) -> str:
        return redact_text(super().__str__())


class DataError(CausalRecError):
    """A file or a table does not hold what it must."""


class RequestError(CausalRecError):
    """The request itself is wrong: nothing was started (exit code 2)."""

    exit_code = 2


class NotIdentified(RequestError):
    """The causal graph does not identify the estimand from what is observed."""


def did_you_mean(word: str, allowed: Iterable[str]) -> str:
    """Name the known words nearest to a misspelt one, ready to end a message.

    >>> did_you_mean("poolng", ["width", "pooling"])
    "did you mean 'pooling'? (known: pooling, width)"
    >>> did_you_mean("x", [])
    'none are known here'
    """
    names = sorted(allowed)
    if not names:
        return "none are known here"
    close = difflib.get_close_matches(word, names, n=2, cutoff=0.5)
    listed = f"(known: {', '.join(names)})"
    return f"did you mean {' or '.join(map(repr, close))}? {listed}" if close else listed[1:-1]
