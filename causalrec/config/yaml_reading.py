"""The one reader of YAML: size, nesting and aliases are counted before anything is built of a text.

Hydra reads the files of a configuration itself; they are counted by `check_yaml_files` before it does.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

import yaml

from causalrec.errors import RequestError
from causalrec.limits import MAX_YAML_BYTES, MAX_YAML_DEPTH, MAX_YAML_VALUES

EVENTS: type[yaml.SafeLoader | yaml.CSafeLoader] = (  # ten times as fast where libyaml is there
    yaml.CSafeLoader if yaml.__with_libyaml__ else yaml.SafeLoader
)


@dataclass
class OpenCollection:
    """A list or mapping whose end is not yet reached.

    Attributes:
        before: values that the text held before it.
        height: of the highest collection inside it so far.
        anchor: its name; None where it has none.
    """

    before: int
    height: int
    anchor: str | None


class YamlCount:
    """How many values a YAML text stands for, aliases written out, and how deeply they are nested.

    Only events are read, one after another, so that nothing is built and nothing recurses.
    """

    def __init__(self) -> None:
        self.values = 0
        self.open: list[OpenCollection] = []
        self.anchored: dict[str, tuple[int, int]] = {}  # values and height of what an anchor names

    def problem(self, text: str) -> str | None:
        """Return what is too much in a text, a clause with its mend; None where nothing is, or YAML itself objects."""
        try:
            return next(filter(None, map(self._add, yaml.parse(text, Loader=EVENTS))), None)
        except (yaml.YAMLError, ValueError):
            return None  # said, with line and mend, by whoever reads it

    def _add(self, event: yaml.Event) -> str | None:
        anchor = getattr(event, "anchor", None)
        if isinstance(event, yaml.AliasEvent):
            if any(anchor == collection.anchor for collection in self.open):
                return f"*{anchor} stands inside what it names; write it out"
            return self._count(*self.anchored.get(anchor or "", (1, 0)))
        if isinstance(event, yaml.ScalarEvent):
            if anchor:
                self.anchored[anchor] = (1, 0)
            return self._count(1, 0)
        if isinstance(event, yaml.CollectionStartEvent):
            self.open.append(OpenCollection(self.values, 0, anchor))
            return self._count(1, 0)
        if isinstance(event, yaml.CollectionEndEvent):
            ended = self.open.pop()
            if ended.anchor:
                self.anchored[ended.anchor] = (self.values - ended.before, ended.height + 1)
            self._raise_to(ended.height + 1)
        return None

    def _count(self, values: int, height: int) -> str | None:
        self.values += values
        self._raise_to(height)
        if self.values > MAX_YAML_VALUES:
            return f"stands for more than {MAX_YAML_VALUES:,} values, aliases written out; make it smaller"
        if len(self.open) + height > MAX_YAML_DEPTH:
            return f"is nested too deep, above {MAX_YAML_DEPTH} lists or mappings inside one another; flatten it"
        return None

    def _raise_to(self, height: int) -> None:
        if self.open:
            self.open[-1].height = max(self.open[-1].height, height)


def read_text(path: Path) -> str:
    """Return the text of a YAML file that is not too large, nested or repeated; raise RequestError in one line.

    UnicodeDecodeError and OSError are left to whoever says them.
    """
    size = path.stat().st_size
    if size > MAX_YAML_BYTES:
        raise RequestError(
            f"{shorten(path)}: has {size:,} bytes, above {MAX_YAML_BYTES:,} of a YAML file; make it smaller"
        )
    text = path.read_bytes().decode("utf-8-sig")
    if problem := YamlCount().problem(text):
        raise RequestError(f"{shorten(path)}: {problem}")
    return text


def holds_mapping(path: Path) -> bool:
    """Whether a YAML file that can be read begins as a mapping; no more of it is read."""
    try:
        events = yaml.parse(read_text(path), Loader=EVENTS)
        return isinstance(next(event for event in events if isinstance(event, yaml.NodeEvent)), yaml.MappingStartEvent)
    except (yaml.YAMLError, ValueError, OSError, StopIteration):
        return False


def read_yaml(path: Path) -> object:
    """Return what a YAML file holds, plain values alone; raise as `read_text`, and what YAML says."""
    return yaml.safe_load(read_text(path))


def shorten(path: Path) -> str:
    """Return a path as a user would type it: from the working directory where it lies below."""
    relative = os.path.relpath(path)
    return str(path) if relative.startswith("..") else relative


def check_yaml_files(folders: Iterable[Path]) -> None:
    """Raise RequestError at a YAML file of a user's folders that is too large, nested or repeated for anyone to read.

    What else is wrong in a file is said once it is chosen.
    """
    for path in (path for folder in folders for path in _yaml_files(folder)):
        try:
            read_text(path)
        except (UnicodeDecodeError, OSError):
            continue


def _yaml_files(folder: Path) -> Iterator[Path]:
    return (path for ending in ("yaml", "yml") for path in sorted(folder.rglob(f"*.{ending}")) if path.is_file())
