"""The secrets of the environment: which variables hold one, which values are one, and where a text repeats them."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache

REDACTED = "redacted"
PASSWORD_NAME = re.compile(  # of a variable whose value is chosen by people or short
    r"TOKEN(?!IZ)|SECRET|PASSW(OR)?D|PASSWRD|PSWD|PASSPHRASE|PASSCODE|CREDENTIAL|CREDS?(_|$)"
    r"|PWD(_|$)|(?<!BY)(?<!COM)(?<!SUR)(?<!TRES)PASS(_|$)",
    re.IGNORECASE,
)
KEY_NAME = re.compile(  # of the others that hold a secret
    r"API_?KEY|KEYS?(_|$)|CONN(ECTION)?_?STR(ING)?(_|$)|(^|_)(AUTH|AUTHORIZATION|BEARER|COOKIE|DSN|JWT|PAT|SAS)(_|$)",
    re.IGNORECASE,
)
PUBLIC_NAME = re.compile(r"(OLD)?PWD|.*_(PATH|FILE|DIR|FOLDER|SOCK|LEN|LENGTH|COUNT|TYPE|NAME)|GPG_KEY", re.IGNORECASE)
OWNERS = ("USER", "LOGNAME", "HOSTNAME", "HOME")  # variables whose values are no secret under any name
MIN_PASSWORD_LENGTH = 4  # of a variable that says password or token: shorter ones would redact text at random
MIN_LENGTH = 6  # of any other
MIN_PLAIN_LENGTH = 8  # of any other's letters alone, and of digits alone or a number under every name
MIN_LINE_LENGTH = 16  # of a line of a secret of several, as a key in PEM form
MIN_CUT_LENGTH = 12  # characters of a longer secret from which on what is left of it is one too
COMMON_WORDS = (  # that say how, or that our own files are made of: no secrets
    "admin all always anonymous any auto bert binary cache causal causalrec click coat count cuda data dataset debug "
    "default disabled done dummy empty enabled error example exposure failed false file float32 full graph guest high "
    "home info interrupted item items local localhost login main mean naive never nil none normal null offline online "
    "optional outcome pass passwd password prod public read redacted required root score secret seed split string "
    "task temp test text time token train treatment true user users warn warning write"
)
COMMON = frozenset(COMMON_WORDS.split())
PATH_STARTS = ("/", "~", "./")
ELLIPSES = ("..", "…")
SAYS_CUT = re.compile(r"\.\.|…|~[0-9a-f]{6}(?![0-9a-f])")  # what stands after a text that was cut
WORD_END = re.compile(rf"{SAYS_CUT.pattern}|\Z|[^\w+/=-]")
LINE_END = re.compile(r"\r?\n|\\r\\n|\\n")  # as it stands, or escaped


@dataclass(frozen=True)
class SecretForms:
    """What finds the secrets of the environment in a text.

    Attributes:
        complete: matches each as it stands, and as JSON, addresses, shells and pages write it.
        long: the forms of which a part is a secret too.
    """

    complete: re.Pattern[str]
    long: tuple[str, ...]

    def redact(self, text: str) -> str:
        """Return a text without secrets, nor what is left of a long one that was cut."""
        text = self.complete.sub(REDACTED, text)
        for secret in self.long:
            text = _without_end(_without_start(text, secret), secret)
        return text


def is_secret_name(name: str) -> bool:
    """Say whether a variable of the environment holds a secret, by its name.

    >>> [is_secret_name(name) for name in ("HF_TOKEN", "SSHPASS", "TOKENIZERS_PARALLELISM", "SSH_AUTH_SOCK")]
    [True, True, False, False]
    """
    return (PASSWORD_NAME.search(name) or KEY_NAME.search(name)) is not None and PUBLIC_NAME.fullmatch(name) is None


_is_secret_name = lru_cache(maxsize=4096)(is_secret_name)


def secret_forms() -> SecretForms | None:
    """Return what finds the secrets that the environment holds now; None where it holds none."""
    names = [name for name in list(os.environ) if _is_secret_name(name)]
    if not names:
        return None
    public = {os.environ.get(name, "") for name in OWNERS}
    values = {(line, is_short) for name in names for line, is_short in _values(name) if line not in public}
    return _forms(tuple(sorted(value for value, may_be_short in values if _is_secret(value, may_be_short))))


def _values(name: str) -> Iterator[tuple[str, bool]]:
    """Yield what a variable holds, and each long line of it; with it whether it may be as short as a password."""
    value = os.environ.get(name, "").strip()
    yield value, PASSWORD_NAME.search(name) is not None
    lines = LINE_END.split(value) if "\n" in value or "\\n" in value else []
    for line in lines:
        if len(line.strip()) >= MIN_LINE_LENGTH and not line.startswith("-----"):
            yield line.strip(), False


def _is_secret(value: str, may_be_short: bool) -> bool:
    """Say whether a value is long and odd enough to be a secret rather than a setting."""
    if value.isdigit() or _is_number(value):
        least = MIN_PLAIN_LENGTH
    elif may_be_short:
        least = MIN_PASSWORD_LENGTH
    else:
        least = MIN_PLAIN_LENGTH if value.isalpha() else MIN_LENGTH
    # of a key too long for a path, or a home that nobody has, these two say no where pathlib raises
    is_path = value.startswith(PATH_STARTS) and os.path.exists(os.path.expanduser(value))  # noqa: PTH110, PTH111
    return len(value) >= least and value.lower() not in COMMON and not is_path


def _is_number(value: str) -> bool:
    try:
        float(value)
    except ValueError:
        return False
    return True


@lru_cache(maxsize=8)
def _forms(secrets: tuple[str, ...]) -> SecretForms | None:
    import html
    from urllib.parse import quote

    patterns: dict[str, str] = {}
    for value in secrets:
        is_word = value.isalpha() or value.isdigit() or len(value) < MIN_LENGTH  # not inside a longer one
        edge = ("(?<![A-Za-z0-9])", "(?![A-Za-z0-9])") if is_word else ("", "")
        written = (value, json.dumps(value)[1:-1], json.dumps(value, ensure_ascii=False)[1:-1], repr(value)[1:-1])
        escaped = (quote(value, safe=""), value.replace("'", "'\"'\"'"), html.escape(value), " ".join(value.split()))
        patterns |= {form: edge[0] + re.escape(form) + edge[1] for form in (*written, *escaped)}
    forms = sorted(patterns, key=len, reverse=True)
    long = tuple(form for form in forms if len(form) > MIN_CUT_LENGTH and not form.startswith("-----"))
    return SecretForms(re.compile("|".join(map(patterns.__getitem__, forms))), long) if forms else None


def _without_start(text: str, secret: str) -> str:
    """Redact what a cut left of a secret's beginning: so many characters of it, then an ellipsis or a word's end."""
    is_path = secret.startswith(PATH_STARTS) or "://" in secret  # others begin alike, and their words end
    after = SAYS_CUT if is_path else WORD_END
    start = text.find(secret[:MIN_CUT_LENGTH])
    while start >= 0:
        end = start + _common_length(secret, text[start : start + len(secret)])
        if after.match(text, end):
            text = text[:start] + REDACTED + text[end:]
        start = text.find(secret[:MIN_CUT_LENGTH], start + 1)
    return text


def _without_end(text: str, secret: str) -> str:
    """Redact what a cut left of a secret's end: an ellipsis, then so many characters of it."""
    tail = secret[-MIN_CUT_LENGTH:]
    at = text.find(tail)
    while at >= 0:
        end = at + len(tail)
        start = end - _common_length(secret[::-1], text[max(end - len(secret), 0) : end][::-1])
        if text[:start].endswith(ELLIPSES):
            text = text[:start] + REDACTED + text[end:]
        at = text.find(tail, at + 1)
    return text


def _common_length(first: str, second: str) -> int:
    """Return how many characters two texts have in common from their beginning."""
    pairs = zip(first, second, strict=False)
    return next((k for k, (a, b) in enumerate(pairs) if a != b), min(len(first), len(second)))
