"""Secrets are not written down: values of the environment's keys and passwords, logins in addresses, typed tokens."""

from __future__ import annotations

import re
import shlex
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TypeVar, cast

from causalrec.secret_values import MIN_LENGTH, REDACTED, SecretForms, secret_forms

T = TypeVar("T")
SECRET_KEY = re.compile(  # of a setting that holds a secret
    r"(^|_|\.)((api|access|secret|private|auth)_?key|(\w+_)?token|secret|password|passwd|passphrase|credentials?)$",
    re.IGNORECASE,
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


def redact_text(text: str) -> str:
    """Return a text without the environment's secrets and without logins in addresses.

    >>> redact_text("redis://me:word@host/0?token=abc")
    'redis://redacted@host/0?token=redacted'
    """
    return _redact_by(secret_forms(), text)


def _redact_by(forms: SecretForms | None, text: str) -> str:
    if "://" in text:
        text = QUERY.sub(rf"\1{REDACTED}", LOGIN.sub(f"://{REDACTED}@", text))
    return forms.redact(text) if forms is not None else text


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
    forms = secret_forms()
    return cast(T, _redact(value, lambda text: _redact_by(forms, _without_home(text))))


def redact_settings(value: T) -> T:
    """Return plain values without secrets and logins; the home folder stays, for they are read again."""
    forms = secret_forms()
    return cast(T, _redact(value, lambda text: _redact_by(forms, text)))


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
