"""Composing by Hydra, and validating what was composed: every message is one line, before any work starts."""

from __future__ import annotations

import copy
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Literal

import yaml
from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from causalrec.config.component import ComponentConfig, load_class, validate_component, wrong_value
from causalrec.config.constructor_source import check_keys, keyword_names
from causalrec.config.run_config import RunConfig
from causalrec.config.schema import COLLECTIONS, GROUPS, OPTIONAL, ExperimentConfig
from causalrec.config.settings import CANDIDATES_KEY, check_candidates, why_unused
from causalrec.errors import RequestError, did_you_mean

DEFAULT_NAME_GROUPS = (
    ("encoder", "objective"),
    ("encoder", "head", "objective"),
)  # groups whose choices make the default `name`
PlainConfig = dict[str, Any]  # plain values, as YAML and overrides give them
ADDED = "added"  # where `+GROUP=[..]` puts its components, beside those of the group


def package_folder(name: Literal["conf", "experiments"]) -> Path:
    """Return the folder that travels inside the wheel, or beside the package in a checkout."""
    inside = Path(__file__).parents[1] / name
    return inside if inside.is_dir() else Path(__file__).parents[2] / name


def normalise_overrides(overrides: Sequence[str], config_dirs: Sequence[Path] = ()) -> list[str]:
    """Return the overrides in Hydra's grammar.

    Values become `++key=value`, so that Hydra accepts any key and our own check names the unknown ones.
    """
    from hydra.core.override_parser.overrides_parser import OverridesParser
    from hydra.errors import OverrideParseException

    roots = [package_folder("conf"), *{folder.resolve(): folder for folder in config_dirs}.values()]
    _check_roots(roots)
    try:
        parsed = OverridesParser.create().parse_overrides(list(overrides))
    except OverrideParseException as error:
        raise RequestError(f"{error.override}: not an override; write key=value (quote special characters)") from error
    search_path = ",".join(f"file://{folder.resolve()}" for folder in config_dirs)
    result = [f"hydra.searchpath=[{search_path}]"] if config_dirs else []
    for text, override in zip(overrides, parsed, strict=True):
        key = override.key_or_group
        if key.partition(".")[0] == "choices":
            raise RequestError(f"{text}: choices are written by the run; choose a component with GROUP=NAME")
        is_group = any((root / key).is_dir() for root in roots)
        if is_group and not override.is_delete() and override.value() is None and key not in OPTIONAL:
            raise RequestError(f"{text}: expected a component; choose one with {key}=NAME")
        if key in OPTIONAL and override.value() is None and not override.is_delete():
            raise RequestError(f"{text}: only the YAML of a task that learns nothing leaves it out; drop {text}")
        hydras = key.startswith("hydra") and not key.startswith(("hydra.launcher.", "hydra.sweeper."))
        if key in COLLECTIONS and override.is_add() and override.package is None:
            result.append(text.replace(f"+{key}=", f"+{key}@{ADDED}.{key}=", 1))
        else:
            result.append(text if is_group or hydras or override.is_delete() else "++" + text.lstrip("+"))
    return result


def _check_roots(roots: Sequence[Path]) -> None:
    """Raise RequestError where a folder is none, or two of them hold a component of one name: Hydra takes the first."""
    seen: dict[Path, Path] = {}
    members: dict[tuple[str, str], Path] = {}
    for root in roots:
        if not root.is_dir():
            raise RequestError(f"--config-dir {root}: no such folder")
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
    with one_line_errors():
        loaded = yaml.safe_load(path.read_text(encoding="utf-8"))
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


def expand_sweep(overrides: Sequence[str]) -> list[list[str]]:
    """Expand a multirun's sweeps into the overrides of each job, in Hydra's order."""
    from hydra._internal.core_plugins.basic_sweeper import BasicSweeper
    from hydra.core.override_parser.overrides_parser import OverridesParser
    from hydra.errors import HydraException

    parsed = OverridesParser.create().parse_overrides(list(overrides))
    try:
        return [job for batch in BasicSweeper.split_arguments(parsed, None) for job in batch]
    except HydraException as error:
        raise RequestError(str(error)) from error


def compose_config(overrides: Sequence[str], name: Literal["train", "estimate"] = "train") -> PlainConfig:
    """Compose `conf/NAME.yaml` with normalised overrides into plain values; raise RequestError in one line."""
    components, values = _split_plain_values(overrides)
    return _resolve(*_compose(components, name), values)


def compose_and_check(overrides: Sequence[str]) -> PlainConfig:
    """Compose normalised overrides, every key checked: for verbs that build some of the components."""
    plain = compose_config(overrides)
    check_keys_and_scalars(plain)
    return plain


def compose_all(jobs: Sequence[Sequence[str]]) -> list[ExperimentConfig]:
    """Compose and validate jobs; those that choose the same components share one composition: each takes Hydra a third
    of a second.
    """
    compositions: dict[tuple[str, ...], tuple[Any, Any]] = {}
    resolved = []
    for job in jobs:
        components, values = _split_plain_values(job)
        if components not in compositions:
            compositions[components] = _compose(components, "train")
        resolved.append(_resolve(*compositions[components], values))
    for plain in resolved:  # before the first class of any job is imported
        check_keys_and_scalars(plain)
    return [validate_config(plain, original_overrides(job)) for plain, job in zip(resolved, jobs, strict=True)]


def _split_plain_values(overrides: Sequence[str]) -> tuple[tuple[str, ...], list[tuple[str, object]]]:
    """Return what Hydra composes, and the keys and values that are only set in what it composed."""
    values = {text: parsed for text in overrides if (parsed := _plain_value(text)) is not None}
    return tuple(text for text in overrides if text not in values), list(values.values())


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
    from hydra import initialize_config_dir
    from omegaconf import OmegaConf

    with (
        one_line_errors(_roots(overrides)),
        initialize_config_dir(version_base="1.3", config_dir=str(package_folder("conf"))),
    ):
        everything = hydra_compose(name, overrides=list(overrides), return_hydra_config=True)
        return OmegaConf.masked_copy(everything, [str(key) for key in everything if key != "hydra"]), everything


def _roots(overrides: Sequence[str]) -> list[Path]:
    """Return the folders that components are looked for in, as `normalise_overrides` wrote them down."""
    search_path = next((text for text in overrides if text.startswith("hydra.searchpath=")), "")
    return [package_folder("conf"), *map(Path, re.findall(r"file://([^,\]]+)", search_path))]


def _resolve(config: Any, everything: Any, values: Sequence[tuple[str, object]]) -> PlainConfig:
    """Return plain values with `values` set; `${hydra:...}` is read from all of the configuration."""
    from hydra.core.hydra_config import HydraConfig
    from omegaconf import OmegaConf

    config = copy.deepcopy(config)
    with one_line_errors():
        for key, value in values:
            OmegaConf.update(config, key, value, merge=True, force_add=True)
        HydraConfig.instance().set_config(everything)
        plain = OmegaConf.to_container(config, resolve=True)
    assert isinstance(plain, dict)
    return {str(key): value for key, value in plain.items()}


@contextmanager
def one_line_errors(roots: Sequence[Path] = ()) -> Iterator[None]:
    """Raise what Hydra and OmegaConf say as RequestError in one line; `roots`: where components are looked for."""
    from hydra.errors import HydraException, MissingConfigException
    from omegaconf.errors import OmegaConfBaseException

    try:
        yield
    except MissingConfigException as error:
        group, _, name = str(error.missing_cfg_file).rpartition("/")
        options = {path.stem for root in roots for path in (root / group).glob("*.yaml")} | {*(error.options or ())}
        raise RequestError(f"{group}={name}: unknown component; {did_you_mean(name, sorted(options))}") from error
    except (HydraException, OmegaConfBaseException) as error:
        raise RequestError(" ".join(str(error).split())) from error
    except yaml.YAMLError as error:
        raise RequestError(f"a YAML cannot be read: {' '.join(str(error).split())}") from error
    except AssertionError as error:  # how Hydra meets `override` lines above a list
        raise RequestError("a defaults list cannot be read; in YAML, write its `override /GROUP` lines last") from error


def validate_config(plain: Mapping[str, object], overrides: tuple[str, ...] = ()) -> ExperimentConfig:
    """Check a composed configuration from the scalars down to every nested component; raise RequestError in one line.

    `overrides`: what was asked for; what is used of it is kept beside the result.
    """
    composed, run = check_keys_and_scalars(plain)
    members: dict[str, Any] = {
        key: {
            name: validate_component(f"{key}.{name}", node, load_class(path))
            for name, node in (composed.get(key) or {}).items()
        }
        for key, path in COLLECTIONS.items()
    }
    for key, path in GROUPS.items():
        chosen = key not in OPTIONAL or composed.get(key) is not None
        members[key] = validate_component(key, composed[key], load_class(path)) if chosen else None
    members["graph"] = _write_edges_out(members["graph"], members["dataset"])
    config = ExperimentConfig(run=_with_name(run, members["learner"] and members["learner"].target.groups), **members)
    check_candidates(config)
    used = tuple(text for text in overrides if why_unused(config, text) is None)
    return config.replace(overrides=used)


def _write_edges_out(graph: ComponentConfig[Any], dataset: ComponentConfig[Any]) -> ComponentConfig[Any]:
    """Return the graph with an edge for each column that its patterns mean, as a record names them."""
    if not any(mark in edge for edge in graph.arguments.get("edges", ()) for mark in "*?,"):  # type: ignore[attr-defined]
        return graph
    return graph.replace(edges=graph.build().for_columns(dataset.build().card).edges)


def check_keys_and_scalars(plain: Mapping[str, object]) -> tuple[PlainConfig, RunConfig]:
    """Check every key and the scalars' values, without importing a component; return all, and the scalars."""
    composed = _with_added(plain)
    scalars = {key: value for key, value in composed.items() if key not in {**GROUPS, **COLLECTIONS}}
    run = _run_config(scalars)
    for key in (*GROUPS, *COLLECTIONS):
        may_miss = key in OPTIONAL or key in COLLECTIONS
        if not isinstance(composed.get(key), Mapping) and not (may_miss and composed.get(key) is None):
            raise RequestError(f"{key}={composed.get(key)!r}: expected a component; choose one with {key}=NAME")
        if key in COLLECTIONS:
            _check_members(key, composed.get(key) or {})
        check_keys(key, composed.get(key))
    _check_candidate_names(composed, run)
    return composed, run


def _check_members(group: str, members: Mapping[str, object]) -> None:
    """Raise RequestError at settings of a member of a collection that the run does not have."""
    present = [name for name, node in members.items() if not isinstance(node, Mapping) or "_target_" in node]
    for name in members.keys() - present:
        raise RequestError(f"{group}.{name}: not in this run; +{group}=[{name}] adds it; {did_you_mean(name, present)}")


def _check_candidate_names(composed: PlainConfig, run: RunConfig) -> None:
    """Raise RequestError at a candidate whose setting the source of its component does not have."""
    requested = run.selection.candidates
    for path in requested if isinstance(requested, dict) else ():
        group, _, key = path.partition(".")
        node = composed.get(group)
        target = node.get("_target_") if isinstance(node, Mapping) else None
        names = keyword_names(target) if isinstance(target, str) else None
        if names is not None and key not in names:
            nearest = did_you_mean(key, sorted(names))
            raise RequestError(f"{CANDIDATES_KEY}: {path}: there is no such setting; {nearest}")


def validate_group(plain: Mapping[str, object], group: str) -> ComponentConfig[Any]:
    """Check the component of one group of a composed configuration."""
    return validate_component(group, plain.get(group), load_class(GROUPS[group]))


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


def _merge(node: object, changes: object) -> object:
    """Return a component with the settings that overrides gave it (a value that is no mapping is judged later)."""
    both = isinstance(node, Mapping) and isinstance(changes, Mapping)
    return {**node, **changes} if both else changes or node  # type: ignore[dict-item]


def _with_name(run: RunConfig, groups_read: frozenset[str] | None) -> RunConfig:
    """Name a row after its learner, where it would be named after an objective that this does not train."""
    default = run.name in {"-".join(str(run.chosen_name(group)) for group in names) for names in DEFAULT_NAME_GROUPS}
    if groups_read is None or "objective" in groups_read or not default:
        return run
    return run.model_copy(update={"name": run.chosen_name("learner")})


def _run_config(values: PlainConfig) -> RunConfig:
    try:
        return RunConfig.model_validate(values)
    except ValidationError as error:
        first = _most_apt(error)
        path = [str(key) for key in first["loc"] if "[" not in str(key)]  # of a union, the branch's name has brackets
        if first["type"] != "extra_forbidden":
            raise RequestError(wrong_value(".".join(path), first["input"], first["msg"])) from error
        raise RequestError(f"{'.'.join(path)}: unknown key; {did_you_mean(path[-1], _known_keys(path))}") from error


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
