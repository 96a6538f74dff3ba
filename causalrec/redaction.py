"""Secrets are not written down: values of the environment's keys and passwords, logins in addresses, typed tokens."""

from __future__ import annotations

import json
import os
import re
import shlex
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import lru_cache
from pathlib import Path
from typing import TypeVar, cast

T = TypeVar("T")
REDACTED = "redacted"
SECRET_KEY = re.compile(  # of a setting that holds a secret
    r"(^|_|\.)((api|access|secret|private|auth)_?key|(\w+_)?token|secret|password|passwd|passphrase|credentials?)$",
    re.IGNORECASE,
)
SECRET_NAME = re.compile(  # of a variable of the environment
    r"TOKEN(?!IZ)|SECRET|PASSW(OR)?D|PASSPHRASE|CREDENTIAL|API_?KEY|(^|_)(PWD|PASS|AUTH|JWT|COOKIE)(_|$)|KEYS?(_|$)",
    re.IGNORECASE,
)
PUBLIC_NAME = re.compile(r"(OLD)?PWD|.*_(PATH|FILE|DIR|FOLDER|SOCK|LEN|LENGTH|COUNT|TYPE|NAME)|GPG_KEY", re.IGNORECASE)
OWNERS = ("USER", "LOGNAME", "HOSTNAME", "HOME")  # variables whose values are no secret under any name
MIN_LENGTH = 6  # of a secret: shorter ones would redact text at random
MIN_PLAIN_LENGTH = 8  # of one of letters alone or digits alone, which may as well be a word or a number
COMMON = frozenset(  # values that say how, and are no secret
    ("default", "disabled", "enabled", "required", "optional", "password", "redacted", "causalrec")
)
LOGIN = re.compile(r"""://(?:[^/@\s"'<>:]*:(?!\d+(?:/|$))[^\s"'<>]*|[^/@\s"'<>]+)@""")
QUERY = re.compile(
    r"""([?&](?:\w*(?:token|password|passwd|secret|api_?key|signature|sig))=)[^&\s"'<>]+""", re.IGNORECASE
)


TYPED = re.compile(  # the value of a secret's key in a mapping that was typed
    r"""([{,]\s*\w*(?:token|secret|passw(?:or)?d|passphrase|credentials?|(?:api|access|secret)_?key)['"]?\s*:\s*)[^,}\s]+""",
    re.IGNORECASE,
)
JSON_TEXT = re.compile(r'"(?:[^"\\]|\\.)*"(\s*:)?')  # a text of a JSON document, and what makes it a key


def is_secret_name(name: str) -> bool:
    """Say whether a variable of the environment holds a secret, by its name.

    >>> [is_secret_name(name) for name in ("HF_TOKEN", "DB_PASSWORD", "TOKENIZERS_PARALLELISM", "SSH_AUTH_SOCK")]
    [True, True, False, False]
    """
    return SECRET_NAME.search(name) is not None and PUBLIC_NAME.fullmatch(name) is None


def redact_text(text: str) -> str:
    """Return a text without the environment's secrets and without logins in addresses.

    >>> redact_text("redis://me:word@host/0?token=abc")
    'redis://redacted@host/0?token=redacted'
    """
    return _redact_by(_pattern(_secrets()), text)


def _redact_by(pattern: re.Pattern[str] | None, text: str) -> str:
    if "://" in text:
        text = QUERY.sub(rf"\1{REDACTED}", LOGIN.sub(f"://{REDACTED}@", text))
    return pattern.sub(REDACTED, text) if pattern is not None else text


def redact_command(words: Sequence[str]) -> str:
    """Return a command as a shell takes it, without the secrets that were typed.

    >>> redact_command(["causalrec", "train", "logger.api_key=abc", "seed=0"])
    'causalrec train logger.api_key=redacted seed=0'
    """
    return shlex.join(map(redact_override, words))


def redact_override(text: str) -> str:
    """Return `key=value` without the value where the key is one of secrets, else without logins.

    >>> redact_override("logger={mode: offline, api_key: abc}")
    'logger={mode: offline, api_key: redacted}'
    """
    key, equals, _ = text.partition("=")
    if equals and SECRET_KEY.search(key):
        return f"{key}={REDACTED}"
    return redact_text(TYPED.sub(rf"\1{REDACTED}", text))


def redact(value: T) -> T:
    """Return a value without secrets, logins in addresses and the home folder; below a secret's key nothing is left.

    >>> redact({"address": "redis://me:word@host/0", "api_key": "abc", "seed": 1})
    {'address': 'redis://redacted@host/0', 'api_key': 'redacted', 'seed': 1}
    """
    pattern = _pattern(_secrets())
    return cast(T, _redact(value, lambda text: _redact_by(pattern, _without_home(text))))


def redact_settings(value: T) -> T:
    """Return plain values without secrets and logins; the home folder stays, for they are read again."""
    pattern = _pattern(_secrets())
    return cast(T, _redact(value, lambda text: _redact_by(pattern, text)))


def _redact(value: object, change: Callable[[str], str]) -> object:
    if isinstance(value, str):
        return change(value)
    if isinstance(value, list | tuple):
        return type(value)(_redact(entry, change) for entry in value)
    if isinstance(value, Mapping):
        return {
            key: REDACTED if _is_text(entry) and SECRET_KEY.search(str(key)) else _redact(entry, change)
            for key, entry in value.items()
        }
    return value


def _is_text(value: object) -> bool:
    """Say whether a value below a secret's key may be one: a text, or a number as long as one."""
    return isinstance(value, str) or (isinstance(value, int) and value >= 10**MIN_LENGTH)


def _without_home(text: str) -> str:
    home = _home()
    return re.sub(rf"{re.escape(home)}(?=/|\\|\s|$)", "~", text) if len(home) > 1 else text


def _home() -> str:
    try:
        return str(Path.home())
    except RuntimeError:  # HOME is not set, and the system does not know the user
        return ""


def redact_document(text: str, suffix: str) -> str:
    """Return a file's text without secrets; of a JSON document only texts change, so that it stays one.

    >>> redact_document('{"address": "redis://me:word@host"}', ".json")
    '{"address": "redis://redacted@host"}'
    """
    redacted = redact_text(text)
    if redacted == text or suffix != ".json":
        return redacted
    return JSON_TEXT.sub(lambda literal: literal[0] if literal[1] else redact_text(literal[0]), text)


def holds_secret(text: str) -> bool:
    """Say whether a text holds a secret of the environment or a login in an address."""
    return redact_text(text) != text


@contextmanager
def redact_arguments() -> Iterator[None]:
    """Let a library that keeps this process's arguments see none with a secret in it."""
    typed = sys.argv
    sys.argv = [*typed[:1], *map(redact_override, typed[1:])]
    try:
        yield
    finally:
        sys.argv = typed


def _secrets() -> tuple[str, ...]:
    """Return the values of the environment that must not be written."""
    values = {os.environ[name].strip() for name in list(os.environ) if _is_secret_name(name)}
    if not values:
        return ()
    public = {os.environ.get(name, "") for name in OWNERS}
    return tuple(sorted(value for value in values - public if _is_secret(value)))


_is_secret_name = lru_cache(maxsize=4096)(is_secret_name)


def _is_secret(value: str) -> bool:
    """Say whether a value is long and odd enough to be a secret rather than a setting."""
    least = MIN_PLAIN_LENGTH if value.isalpha() or value.isdigit() else MIN_LENGTH
    is_path = value.startswith(("/", "~", "./")) and Path(value).expanduser().exists()
    return len(value) >= least and value.lower() not in COMMON and not is_path


@lru_cache(maxsize=8)
def _pattern(secrets: tuple[str, ...]) -> re.Pattern[str] | None:
    """Return what finds secrets as they stand, and as JSON, addresses, shells and pages write them."""
    import html
    from urllib.parse import quote

    forms: dict[str, str] = {}
    for value in secrets:
        plain = value.isalpha() or value.isdigit()  # as a word or a number: not inside a longer one
        edge = ("(?<![A-Za-z0-9])", "(?![A-Za-z0-9])") if plain else ("", "")
        written = (value, json.dumps(value)[1:-1], json.dumps(value, ensure_ascii=False)[1:-1], repr(value)[1:-1])
        escaped = (quote(value, safe=""), value.replace("'", "'\"'\"'"), html.escape(value), " ".join(value.split()))
        forms |= {form: edge[0] + re.escape(form) + edge[1] for form in (*written, *escaped)}
    return re.compile("|".join(forms[form] for form in sorted(forms, key=len, reverse=True))) if forms else None
