"""Composing by Hydra, and validating what was composed: every message is one line, before any work starts."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import fields
from functools import lru_cache
from pathlib import Path
from typing import Any, Literal

from causalrec.config.checks import PlainConfig, check_keys_and_scalars
from causalrec.config.component import ComponentConfig, allowed_packages, load_class, validate_component
from causalrec.config.composition import Composition, resolve
from causalrec.config.content import Content
from causalrec.config.expanded_size import check_expansion
from causalrec.config.folders import package_folder
from causalrec.config.hydra_keys import check_search_path
from causalrec.config.overrides import expand_sweep, normalise_overrides, original_overrides
from causalrec.config.run_config import RunConfig
from causalrec.config.schema import COLLECTIONS, GROUPS, OPTIONAL, DataRequest, ExperimentConfig
from causalrec.config.settings import check_candidates, why_unused
from causalrec.config.yaml_errors import check_chosen_files, one_line_errors
from causalrec.limits import MAX_JOBS

__all__ = [
    "PlainConfig",
    "compose_all",
    "compose_and_check",
    "compose_config",
    "compose_plain",
    "data_request",
    "expand_sweep",
    "normalise_overrides",
    "one_line_errors",
    "original_overrides",
    "package_folder",
    "validate_config",
    "validate_group",
]
DEFAULT_NAME_GROUPS = (
    ("encoder", "objective"),
    ("encoder", "head", "objective"),
)  # groups whose choices make the default `name`


def compose_config(overrides: Sequence[str], name: Literal["train", "estimate"] = "train") -> PlainConfig:
    """Compose `conf/NAME.yaml` with normalised overrides into plain values; raise RequestError in one line."""
    components, values = _split_plain_values(overrides)
    return resolve(*_compose(components, name), values)


def compose_and_check(overrides: Sequence[str]) -> PlainConfig:
    """Compose normalised overrides, every key checked: for verbs that build some of the components."""
    plain = compose_config(overrides)
    check_keys_and_scalars(plain)
    return plain


def compose_all(jobs: Sequence[Sequence[str]]) -> list[ExperimentConfig]:
    """Compose and validate jobs."""
    plain_configs = compose_plain(jobs)
    return [validate_config(plain, original_overrides(job)) for plain, job in zip(plain_configs, jobs, strict=True)]


def compose_plain(jobs: Sequence[Sequence[str]]) -> list[PlainConfig]:
    """Compose jobs, every key checked before the first class of any is imported.

    Those that choose the same components share one composition: each takes Hydra a third of a second.
    """
    compositions: dict[tuple[str, ...], Composition] = {}
    resolved = []
    for job in jobs:
        components, values = _split_plain_values(job)
        if components not in compositions:
            compositions[components] = Composition(*_compose(components, "train"))
        resolved.append(compositions[components].resolve(values))
    return [check_keys_and_scalars(plain)[0] for plain in resolved]


def _split_plain_values(overrides: Sequence[str]) -> tuple[tuple[str, ...], list[tuple[str, object]]]:
    """Return what Hydra composes, and the keys and values that are only set in what it composed."""
    values = {text: parsed for text in overrides if (parsed := _plain_value(text)) is not None}
    return tuple(text for text in overrides if text not in values), list(values.values())


@lru_cache(maxsize=MAX_JOBS)
def _plain_value(text: str) -> tuple[str, object] | None:
    """Return the key and value of an override that only sets a value (as it was normalised), else None."""
    from hydra.core.override_parser.overrides_parser import OverridesParser

    if not text.startswith("++") or text.startswith("++hydra"):
        return None
    override = OverridesParser.create().parse_override(text)
    return None if override.is_sweep_override() else (override.key_or_group, override.value())


def _compose(overrides: Sequence[str], name: str) -> tuple[Any, Any]:
    """Return the configuration without Hydra's own section, unresolved, and all of it."""
    from hydra import compose as hydra_compose
    from omegaconf import OmegaConf

    from causalrec.config.loader import initialise_hydra

    check_search_path(overrides)
    roots = _roots(overrides)
    with one_line_errors(roots, overrides), initialise_hydra():
        everything = hydra_compose(name, overrides=list(overrides), return_hydra_config=True)
        check_chosen_files(everything.hydra.runtime.choices, roots[1:])
        config = OmegaConf.masked_copy(everything, [str(key) for key in everything if key != "hydra"])
        check_expansion(config)
        return config, everything


def _roots(overrides: Sequence[str]) -> list[Path]:
    """Return the folders that components are looked for in, as `normalise_overrides` wrote them down."""
    search_path = next((text for text in overrides if text.startswith("hydra.searchpath=")), "")
    return [package_folder("conf"), *map(Path, re.findall(r"file://([^,\]]+)", search_path))]


def validate_config(plain: Mapping[str, object], overrides: tuple[str, ...] = ()) -> ExperimentConfig:
    """Check a composed configuration from the scalars down to every nested component; raise RequestError in one line.

    `overrides`: what was asked for; what is used of it is kept beside the result.
    """
    composed, run = check_keys_and_scalars(plain)
    members = {group: _validate_members(composed, group) for group in (*COLLECTIONS, *GROUPS)}
    _write_edges_out(members)
    config = ExperimentConfig(run=_with_name(run, members["learner"] and members["learner"].target.groups), **members)
    check_candidates(config)
    used = tuple(text for text in overrides if why_unused(config, text) is None)
    return config.replace(overrides=used)


def _write_edges_out(members: dict[str, Any]) -> None:
    """Give the graph an edge for each column that its patterns mean, as a record names them."""
    graph = members["graph"]
    if any(mark in edge for edge in graph.arguments.get("edges", ()) for mark in "*?,"):
        members["graph"] = graph.replace(edges=graph.build().for_columns(members["dataset"].build().card).edges)


def data_request(plain: Mapping[str, object]) -> DataRequest:
    """Return what a composed configuration says of the question and the data, checked; no network is imported."""
    composed, run = check_keys_and_scalars(plain)
    groups = [field.name for field in fields(DataRequest) if field.name != "run"]
    members = {group: _validate_members(composed, group) for group in groups}
    _write_edges_out(members)
    return DataRequest(run=run, **members)


def _validate_members(composed: PlainConfig, group: str) -> Any:
    """Return the checked component of a group, those of a collection by name."""
    if group in COLLECTIONS:
        members = composed.get(group) or {}
        return {name: _validate_once(f"{group}.{name}", node, COLLECTIONS[group]) for name, node in members.items()}
    if group in OPTIONAL and composed.get(group) is None:
        return None
    return _validate_once(group, composed[group], GROUPS[group])


def _validate_once(path: str, node: object, contract: str) -> ComponentConfig[Any]:
    """Check a component, once for all jobs that have the same; `contract`: full path of a class."""
    return _validate_content(path, Content.of(node), contract, allowed_packages())


@lru_cache(maxsize=MAX_JOBS)
def _validate_content(
    path: str, node: Content[object], contract: str, packages: tuple[str, ...]
) -> ComponentConfig[Any]:
    return validate_component(path, node.value, load_class(contract))


def validate_group(plain: Mapping[str, object], group: str) -> ComponentConfig[Any]:
    """Check the component of one group of a composed configuration."""
    return validate_component(group, plain.get(group), load_class(GROUPS[group]))


def _with_name(run: RunConfig, groups_read: frozenset[str] | None) -> RunConfig:
    """Name a row after its learner (without one its task) where it would be named after what is not trained."""
    default = run.name in {"-".join(str(run.chosen_name(group)) for group in names) for names in DEFAULT_NAME_GROUPS}
    if not default or (groups_read is not None and "objective" in groups_read):
        return run
    return run.model_copy(update={"name": run.chosen_name("task" if groups_read is None else "learner")})
