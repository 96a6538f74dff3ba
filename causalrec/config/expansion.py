"""How large a configuration becomes when its `${...}` are filled in, reckoned before any is."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping

from causalrec.errors import RequestError

REFERENCE = re.compile(r"\$\{\s*(\.*[^\s:${}]*)\s*\}")  # to another key: `${paths.runs}`, `${.width}`, `${list[0]}`
MAX_EXPANSION = 1_000_000  # characters of a value; ours have some hundred


def check_expansion(plain: Mapping[str, object]) -> None:
    """Raise RequestError where a value refers to others that refer to others, and so on without measure.

    `plain`: the composed configuration, nothing filled in.

    >>> check_expansion({"a": "x", "b": "${a}${a}"})
    """
    texts = dict(_texts(plain, ()))
    sizes: dict[tuple[str, ...], int] = {}
    for path, text in texts.items():
        try:
            too_long = "${" in text and _size(path, texts, sizes) > MAX_EXPANSION
        except RecursionError:
            too_long = True
        if too_long:
            key = ".".join(path)
            raise RequestError(f"{key}: becomes longer than {MAX_EXPANSION} characters by its ${{...}}; write it out")


def _texts(value: object, path: tuple[str, ...]) -> Iterator[tuple[tuple[str, ...], str]]:
    if isinstance(value, Mapping):
        for key, member in value.items():
            yield from _texts(member, (*path, str(key)))
    elif isinstance(value, list):
        for index, member in enumerate(value):
            yield from _texts(member, (*path, str(index)))
    else:
        yield path, value if isinstance(value, str) else ""


def _size(path: tuple[str, ...], texts: Mapping[tuple[str, ...], str], sizes: dict[tuple[str, ...], int]) -> int:
    """Return how long a value becomes; a circle counts once, and is refused when it is filled in."""
    if path not in sizes:
        sizes[path] = 0
        text = texts[path]
        size = len(text) + 1
        for target in REFERENCE.findall(text):
            start = _absolute(target, path)
            below = [key for key in texts if key[: len(start)] == start] if start not in texts else [start]
            size += sum(_size(key, texts, sizes) for key in below)
        sizes[path] = size
    return sizes[path]


def _absolute(target: str, path: tuple[str, ...]) -> tuple[str, ...]:
    """Return the path of the key that a reference means; dots in front count from where it stands."""
    name = target.lstrip(".")
    words = tuple(word for word in re.split(r"[.\[\]]", name) if word)
    dots = len(target) - len(name)
    return (*path[: len(path) - dots], *words) if dots else words
