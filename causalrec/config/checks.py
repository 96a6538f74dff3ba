"""Checks of a composed configuration that import no component: its keys, its scalars, its values by their sources."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from difflib import get_close_matches
from typing import Any

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from causalrec.config.class_source import keyword_names
from causalrec.config.component import is_node, wrong_value
from causalrec.config.constructor_source import check_keys, check_source
from causalrec.config.folders import component_names
from causalrec.config.run_config import RunConfig
from causalrec.config.schema import COLLECTIONS, GROUPS, OPTIONAL
from causalrec.config.settings import CANDIDATES_KEY
from causalrec.errors import RequestError, did_you_mean
from causalrec.redaction import holds_secret

PlainConfig = dict[str, Any]  # plain values, as YAML and overrides give them
ADDED = "added"  # where `+GROUP=[..]` puts its components, beside those of the group


def check_keys_and_scalars(plain: Mapping[str, object]) -> tuple[PlainConfig, RunConfig]:
    """Check every key and the scalars' values, without importing a component; return all, and the scalars."""
    composed = _with_cutoffs(_with_added(plain))
    scalars = {key: value for key, value in composed.items() if key not in {**GROUPS, **COLLECTIONS}}
    run = _run_config(scalars, _owners(composed))
    _check_folder_names(run)
    for key in (*GROUPS, *COLLECTIONS):
        may_miss = key in OPTIONAL or key in COLLECTIONS
        if not isinstance(composed.get(key), Mapping) and not (may_miss and composed.get(key) is None):
            raise RequestError(f"{key}={composed.get(key)!r}: expected a component; choose one with {key}=NAME")
        if key in COLLECTIONS:
            _check_members(key, composed.get(key) or {})
        elif composed.get(key) is not None:
            check_source(key, composed[key], GROUPS[key])
    _check_candidate_names(composed, run)
    return composed, run


def _check_folder_names(run: RunConfig) -> None:
    """Raise RequestError where a folder would be named by a secret: no redaction reaches the names of folders."""
    for key, text in (("name", run.name), ("sweep", run.sweep), ("paths.runs", str(run.paths.runs))):
        if holds_secret(text):
            raise RequestError(f"{key}: holds a secret of the environment or a login, and names a folder; name another")


def _check_members(group: str, members: Mapping[str, object]) -> None:
    """Raise RequestError at settings of a member of a collection that the run does not have."""
    present = [name for name, node in members.items() if not isinstance(node, Mapping) or "_target_" in node]
    for name in members.keys() - present:
        if name in (components := component_names(group)):
            raise RequestError(f"{group}.{name}: not in this run; +{group}=[{name}] adds it")
        nearest = did_you_mean(name, {*present, *components})
        raise RequestError(f"{group}.{name}: not in this run, and +{group}=[NAME] adds one; {nearest}")
    for name, node in members.items():
        check_source(f"{group}.{name}", node, COLLECTIONS[group])


def _check_candidate_names(composed: PlainConfig, run: RunConfig) -> None:
    """Raise RequestError at a candidate that no component has, or whose component refuses one of its values."""
    requested = run.selection.candidates
    for path, values in requested.items() if isinstance(requested, dict) else ():
        group, _, key = path.partition(".")
        if group not in {*GROUPS, *COLLECTIONS}:
            owners = _owners(composed).get(path, [])
            groups = did_you_mean(group, [*GROUPS, *COLLECTIONS])
            nearest = f"did you mean {' or '.join(map(repr, owners))}?" if owners else groups
            raise RequestError(f"{CANDIDATES_KEY}: {path}: there is no such setting; {nearest}")
        node = composed.get(group)
        if not is_node(node):
            continue
        names = keyword_names(str(node["_target_"]))
        if names is not None and key not in names:
            nearest = did_you_mean(key, sorted(names))
            raise RequestError(f"{CANDIDATES_KEY}: {path}: there is no such setting; {nearest}")
        for value in values if names is not None else ():
            check_keys(f"{CANDIDATES_KEY}: {group}", {**node, key: value})


def _owners(composed: PlainConfig) -> dict[str, list[str]]:
    """Return where each setting of a component stands (`lr`: `optimizer.lr`)."""
    owners: dict[str, list[str]] = {}
    for group in GROUPS:
        node = composed.get(group)
        for key in (keyword_names(str(node.get("_target_"))) or ()) if is_node(node) else ():
            owners.setdefault(key, []).append(f"{group}.{key}")
    return owners


def _with_added(plain: Mapping[str, object]) -> PlainConfig:
    """Return a composed configuration in which what `+GROUP=[..]` added is among the members of the group.

    >>> _with_added({"metric": {"auc": {}}, "added": {"metric": {"mae": {"_target_": "x"}}}})
    {'metric': {'auc': {}, 'mae': {'_target_': 'x'}}}
    """
    joined: PlainConfig = dict(plain)
    added = joined.pop(ADDED, {})
    if not isinstance(added, Mapping) or not all(
        group in COLLECTIONS and isinstance(members, Mapping) for group, members in added.items()
    ):
        raise RequestError(f"{ADDED}: is no key; +GROUP=[NAME] adds a component to {', '.join(COLLECTIONS)}")
    for group, members in added.items():
        present = joined.get(group) or {}
        joined[group] = present | {name: _merge(node, present.get(name, {})) for name, node in members.items()}
    return joined


def _with_cutoffs(composed: PlainConfig) -> PlainConfig:
    """Return a configuration in which the settings of `NAME` are those of its members `NAME@K`, one for each k.

    >>> _with_cutoffs({"metric": {"ndcg@5": {"_target_": "x", "k": 5}, "ndcg": {"k": [5, 10]}}})
    {'metric': {'ndcg@5': {'_target_': 'x', 'k': 5}, 'ndcg@10': {'_target_': 'x', 'k': 10}}}
    """
    for group in COLLECTIONS:
        members = composed.get(group) or {}
        for stem, settings in list(members.items()) if isinstance(members, Mapping) else ():
            family = {name: node for name, node in members.items() if name.startswith(f"{stem}@")}
            if family and isinstance(settings, Mapping) and "_target_" not in settings:
                members = _with_family(members, stem, dict(settings), family)
        if members:
            composed = {**composed, group: members}
    return composed


def _with_family(
    members: Mapping[str, object], stem: str, settings: PlainConfig, family: Mapping[str, Mapping[str, object]]
) -> PlainConfig:
    """Return the members of a group, `STEM@K` made anew by settings that were given to STEM."""
    cutoffs = settings.pop("k", [node.get("k") for node in family.values()])
    listed = cutoffs if isinstance(cutoffs, list) else [cutoffs]
    first = next(iter(family.values()))
    anew = {f"{stem}@{k}": {**family.get(f"{stem}@{k}", first), "k": k, **settings} for k in listed}
    expanded: PlainConfig = {}
    for name, node in members.items():
        if name in family:
            expanded |= anew
        elif name != stem:
            expanded[name] = node
    return expanded


def _merge(node: object, changes: object) -> object:
    """Return a component with the settings that overrides gave it (a value that is no mapping is judged later)."""
    both = isinstance(node, Mapping) and isinstance(changes, Mapping)
    return {**node, **changes} if both else changes or node  # type: ignore[dict-item]


def _run_config(values: PlainConfig, owners: Mapping[str, Sequence[str]]) -> RunConfig:
    try:
        return RunConfig.model_validate(values)
    except ValidationError as error:
        first = _most_apt(error)
        path = [str(key) for key in first["loc"] if "[" not in str(key)]  # of a union, the branch's name has brackets
        if first["type"] != "extra_forbidden":
            raise RequestError(wrong_value(".".join(path), first["input"], first["msg"])) from error
        raise RequestError(f"{'.'.join(path)}: unknown key; {_nearest_keys(path, owners)}") from error


def _nearest_keys(path: Sequence[str], owners: Mapping[str, Sequence[str]]) -> str:
    """Name the keys nearest to an unknown one, those of components too where it stands at the top (`lr`)."""
    keys = _known_keys(path)
    close = get_close_matches(path[-1], [*owners, *keys], n=1, cutoff=0.6) if len(path) == 1 else []
    if close and close[0] in owners and close[0] not in keys:
        return f"did you mean {' or '.join(sorted(owners[close[0]]))}?"
    return did_you_mean(path[-1], keys)


def _most_apt(error: ValidationError) -> ErrorDetails:
    """Return the first error; of the branches of a union, that of mappings where one was given."""
    first, *others = error.errors()
    deeper = [detail for detail in others if detail["loc"][:2] == first["loc"][:2] and len(detail["loc"]) > 3]
    return deeper[0] if deeper and isinstance(first["input"], dict) else first


def _known_keys(path: Sequence[str]) -> list[str]:
    if len(path) == 1:
        return [*(name for name in RunConfig.model_fields if name != "choices"), *GROUPS, *COLLECTIONS]
    section: type[object] | None = RunConfig
    for name in path[:-1]:
        inner = section.model_fields[name].annotation if section and issubclass(section, BaseModel) else None
        section = inner if isinstance(inner, type) else None
    return list(section.model_fields) if section and issubclass(section, BaseModel) else []
