"""Overrides as they are typed, and in Hydra's grammar."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from causalrec.config.checks import ADDED
from causalrec.config.folders import component_names, package_folder
from causalrec.config.hydra_keys import check_hydra_override, check_user_folder
from causalrec.config.schema import COLLECTIONS, GROUPS, OPTIONAL
from causalrec.config.sweep_counts import SHOWN, check_job_count, check_size
from causalrec.config.yaml_errors import yaml_problem
from causalrec.config.yaml_reading import check_yaml_files, read_yaml
from causalrec.errors import RequestError, did_you_mean
from causalrec.limits import MAX_JOBS

if TYPE_CHECKING:
    from hydra.core.override_parser.types import Glob, Override


def normalise_overrides(overrides: Sequence[str], config_dirs: Sequence[Path] = ()) -> list[str]:
    """Return the overrides in Hydra's grammar.

    Values become `++key=value`, so that Hydra accepts any key and our own check names the unknown ones. A pattern,
    `GROUP=glob(..)`, becomes the names that match.
    """
    for text in overrides:
        check_size(text)
    _ensure_home()
    roots = [package_folder("conf"), *{folder.resolve(): folder for folder in config_dirs}.values()]
    check_yaml_files(roots[1:])
    _check_roots(roots)
    search_path = ",".join(f"file://{folder.resolve()}" for folder in config_dirs)
    result = [f"hydra.searchpath=[{search_path}]"] if config_dirs else []
    return result + [_normalise(text, override, roots) for text, override in _parse(overrides)]


def _parse(overrides: Sequence[str]) -> list[tuple[str, Override]]:
    from hydra.core.override_parser.overrides_parser import OverridesParser
    from hydra.errors import HydraException

    parser, parsed = OverridesParser.create(), []
    for text in overrides:
        if text.startswith("="):
            raise RequestError(f"{text}: not an override; write key=value")
        try:
            parsed.append((text, parser.parse_override(text)))
        except ValueError as error:  # digits beyond what Python makes a number of
            raise RequestError(f"{text[:SHOWN]}...: holds a number of too many digits; shorten it") from error
        except HydraException as error:
            quoting = "quote a value that holds special characters, 'key=\"value\"'"
            raise RequestError(f"{text}: not an override; write key=value, and {quoting}") from error
    return parsed


def _normalise(text: str, override: Override, roots: Sequence[Path]) -> str:
    """Return one override in Hydra's grammar; raise RequestError where it asks for what cannot be."""
    from hydra.core.override_parser.types import Glob

    key = override.key_or_group
    value = None if override.is_delete() else override.value()
    if key.partition(".")[0] == "choices":
        raise RequestError(f"{text}: choices are written by the run; choose a component with GROUP=NAME")
    if key.partition(".")[0] in COLLECTIONS and "." in key and override.package is not None:
        setting = f"{key}.{override.package.partition('.')[2]}"
        raise RequestError(f"{text}: a name with @ is no key; write {setting}=VALUE, for metrics of one name")
    is_group = any((root / key).is_dir() for root in roots)
    check_hydra_override(text, override, roots[1:])
    if override.is_delete() and key in GROUPS and key not in OPTIONAL:
        raise RequestError(f"{text}: every run has a component of {key}; choose one with {key}=NAME")
    if is_group and not override.is_delete() and value in (None, "") and key not in OPTIONAL:
        raise RequestError(f"{text}: expected a component; choose one with {key}=NAME")
    if is_group and isinstance(value, bool | int | float | dict):
        names = component_names(key, *roots[1:])
        raise RequestError(f"{text}: is no component of {key}; {did_you_mean(str(value), names)}")
    if key in OPTIONAL and value is None and not override.is_delete():
        return f"~{key}"  # Hydra looks for a component of that name
    if isinstance(value, Glob):
        return f"{key}={','.join(_matching(text, key, value, roots))}"
    hydras = key.startswith("hydra") and not key.startswith(("hydra.launcher.", "hydra.sweeper."))
    if key in COLLECTIONS and override.is_add() and override.package is None:
        return text.replace(f"+{key}=", f"+{key}@{ADDED}.{key}=", 1)
    return text if is_group or hydras or override.is_delete() else "++" + text.lstrip("+")


def _matching(text: str, group: str, pattern: Glob, roots: Sequence[Path]) -> list[str]:
    """Return the components of a group that a pattern matches: Hydra looks for them in our own folder alone."""
    names = component_names(group, *roots[1:])
    if not names:
        raise RequestError(f"{text}: glob() chooses components, and {group} is no group of them; list the values")
    matching: list[str] = pattern.filter(names)
    if not matching:
        raise RequestError(f"{text}: no component matches; known: {', '.join(names)}")
    return matching


def _ensure_home() -> None:
    """Set HOME where the environment has none: the default folders, and libraries, read it."""
    if "HOME" not in os.environ:
        try:
            os.environ["HOME"] = str(Path.home())
        except RuntimeError:  # a user without an entry, as in containers
            os.environ["HOME"] = tempfile.gettempdir()


def _check_roots(roots: Sequence[Path]) -> None:
    """Raise RequestError where a folder is none, or two of them hold a component of one name: Hydra takes the first."""
    seen: dict[Path, Path] = {}
    members: dict[tuple[str, str], Path] = {}
    for root in roots:
        if not root.is_dir():
            raise RequestError(f"--config-dir {root}: {'is no folder' if root.exists() else 'no such folder'}")
        if root != roots[0]:
            check_user_folder(root)
        for path in sorted(root.glob("*/**/*.yaml")) if len(roots) > 1 else ():
            name = path.relative_to(root)
            if name in seen:
                where = f"{name.parent}={name.stem}"
                raise RequestError(f"{where}: stands in {seen[name]} and in {root}; rename one of the two")
            seen[name] = root
            for member in _members(path) if name.parts[0] in COLLECTIONS else ():
                first = members.setdefault((name.parts[0], member), path)
                if first != path:
                    raise RequestError(
                        f"{name.parts[0]} {member!r}: stands in {first} and in {path}; rename one of the two"
                    )


def _members(path: Path) -> list[str]:
    """Return the names of the components that a file of a collection holds; none where it holds no mapping."""
    if problem := yaml_problem(path):
        raise RequestError(problem)
    loaded = read_yaml(path)
    return [str(name) for name in loaded if name != "defaults"] if isinstance(loaded, dict) else []


def original_overrides(overrides: Sequence[str]) -> tuple[str, ...]:
    """Return overrides as they are typed, without what `normalise_overrides` added.

    >>> original_overrides(["hydra.searchpath=[file:///conf]", "++seed=0", "+slice@added.slice=[x]", "dataset=coat"])
    ('seed=0', '+slice=[x]', 'dataset=coat')
    """
    requested = [text for text in overrides if not text.startswith("hydra.searchpath")]
    return tuple(_original(text) for text in requested)


def _original(text: str) -> str:
    group, mark, rest = text.partition(f"@{ADDED}.")
    return f"{group}={rest.partition('=')[2]}" if mark and group.startswith("+") else text.lstrip("+")


def expand_sweep(overrides: Sequence[str], max_jobs: int = MAX_JOBS) -> list[list[str]]:
    """Expand a multirun's sweeps into the overrides of each job, in Hydra's order; refuse more than `max_jobs`."""
    from hydra._internal.core_plugins.basic_sweeper import BasicSweeper
    from hydra.core.override_parser.overrides_parser import OverridesParser
    from hydra.errors import HydraException

    parsed = OverridesParser.create().parse_overrides(list(overrides))
    check_job_count(parsed, max_jobs)
    try:
        return [job for batch in BasicSweeper.split_arguments(parsed, None) for job in batch]
    except HydraException as error:
        raise RequestError(" ".join(str(error).split())) from error
