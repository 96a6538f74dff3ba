"""What `${...}` would write out, counted before OmegaConf resolves it: a few lines can stand for gigabytes."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import TYPE_CHECKING

from causalrec.errors import RequestError
from causalrec.limits import MAX_YAML_VALUES

if TYPE_CHECKING:
    from omegaconf import DictConfig

DYNAMIC = re.compile(r"\$\{(?!oc\.env:|hydra:)[^{}]*\$\{")  # a key that is itself looked up
NAME = re.compile(r"\.*[A-Za-z_@][\w@.-]*")
MAX_REFERENCES = 128  # from one to the next
MAX_CHARACTERS = 16 * MAX_YAML_VALUES
NodePath = tuple[str, ...]


def check_expansion(config: DictConfig) -> None:
    """Raise RequestError where the `${...}` of an unresolved configuration stand for too much."""
    from omegaconf import OmegaConf

    plain = OmegaConf.to_container(config, resolve=False)
    assert isinstance(plain, dict)
    ExpandedSize({str(key): value for key, value in plain.items()}).check()


class ExpandedSize:
    """Counts the characters and values that each node of an unresolved configuration stands for, by multiplication.

    Every word inside `${...}` that names a node counts as a reference to it, so that a resolver that reads keys
    (`oc.select`) is counted like a plain one.
    """

    def __init__(self, config: Mapping[str, object]) -> None:
        self.config = config
        self.sizes: dict[NodePath, int] = {}
        self.pending: set[NodePath] = set()

    def check(self) -> None:
        """Raise RequestError where the configuration stands for too much."""
        self._size((), self.config)

    def _size(self, path: NodePath, node: object) -> int:
        if not isinstance(node, str | Mapping | list):
            return 1
        if path in self.sizes:
            return self.sizes[path]
        if path in self.pending:
            return 1  # a cycle: OmegaConf names it
        if len(self.pending) > MAX_REFERENCES:
            raise RequestError(f"{'.'.join(path)}: refers to what refers on, above {MAX_REFERENCES} times")
        self.pending.add(path)
        size = self._text(path, node) if isinstance(node, str) else self._members(path, node)
        self.pending.discard(path)
        if size > MAX_CHARACTERS:
            raise RequestError(
                f"{'.'.join(path) or 'the configuration'}: its ${{...}} stand for more than {MAX_CHARACTERS:,} "
                f"characters; write out what is meant"
            )
        self.sizes[path] = size
        return size

    def _members(self, path: NodePath, node: Mapping[str, object] | list[object]) -> int:
        items = node.items() if isinstance(node, Mapping) else enumerate(node)
        return 1 + sum(self._size((*path, str(key)), value) for key, value in items)

    def _text(self, path: NodePath, text: str) -> int:
        if "${" not in text:
            return len(text) + 1
        if DYNAMIC.search(text):
            raise RequestError(f"{'.'.join(path)}={text!r}: looks up which key to read; write the key")
        inside = text[text.index("${") :]
        return len(text) + 1 + sum(self._reference(path[:-1], word) for word in NAME.findall(inside))

    def _reference(self, parent: NodePath, word: str) -> int:
        """Return the size of the node that a word inside `${...}` names; 0 where it names none."""
        dots = len(word) - len(word.lstrip("."))
        start = parent[: len(parent) - dots + 1] if dots else ()
        path = (*start, *filter(None, word.lstrip(".").split(".")))
        try:
            node: object = self.config
            for key in path:
                node = _member(node, key)
        except (KeyError, IndexError, ValueError, TypeError):
            return 0
        return self._size(path, node)


def _member(node: object, key: str) -> object:
    if isinstance(node, Mapping):
        return node[key]
    if isinstance(node, list):
        return node[int(key)]
    raise KeyError(key)
