"""A file with the ids of users, one a line."""

from __future__ import annotations

from pathlib import Path

from causalrec.errors import RequestError


def read_users(path: Path, why_once: str) -> list[str]:
    """Return the raw ids of users in a file, one a line; RequestError where it has none, or one twice.

    Args:
        path: the file.
        why_once: what to do where a user stands in it twice, ready to end a message.
    """
    try:
        lines = [line.strip() for line in path.read_text(encoding="utf-8-sig").splitlines()]
    except (OSError, UnicodeDecodeError) as error:
        raise RequestError(
            f"--users {path}: is no text that can be read ({error}); write the ids of users, one a line"
        ) from error
    users: dict[str, int] = {}
    for number, user in enumerate(lines, start=1):
        if user and (first := users.setdefault(user, number)) != number:
            raise RequestError(f"--users {path}: line {number}: user {user} stands in line {first}; {why_once}")
    if not users:
        raise RequestError(f"--users {path}: holds no id; write the ids of users, one a line")
    return [*users]
