"""A policy over what a finished run ranks by, chosen by its name and its settings."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from causalrec.config.component import ComponentConfig, is_node, keyword_parameters, load_class, validate_component
from causalrec.config.folders import component_names, package_folder
from causalrec.config.yaml_reading import read_yaml
from causalrec.errors import RequestError, did_you_mean
from causalrec.policies.base import AbstractPolicy
from causalrec.policies.scores.base import AbstractScores
from causalrec.running.component_settings import parse_setting

GROUP = "task/policy"
Node = dict[str, object]


def policy_component(
    name: str, settings: Sequence[str], folder: Path, treatment: int = 1
) -> ComponentConfig[AbstractPolicy]:
    """Return a policy of conf/task/policy whose scores are those of a run; RequestError, in one line, where it is none.

    Args:
        name: of its file.
        settings: `key=value` each, the value in YAML.
        folder: of the run.
        treatment: the arm whose effect is meant, from 1.
    """
    if name not in (names := component_names(GROUP)):
        raise RequestError(f"--policy {name}: no such policy; {did_you_mean(name, names)}")
    content = read_yaml(package_folder("conf") / GROUP / f"{name}.yaml")
    assert isinstance(content, dict)  # a file of ours
    scores: Node = {"_target_": "causalrec.running.run_scores.RunScores", "folder": str(folder), "treatment": treatment}
    node = {**_with_scores(content[name], scores), **dict(_parse(name, text) for text in settings)}
    return validate_component(name, node, AbstractPolicy)  # type: ignore[type-abstract]


def over_scores(component: ComponentConfig[AbstractPolicy], scores: AbstractScores) -> AbstractPolicy:
    """Build a policy over scores that are there, in place of those it names, in the policies it is made of too."""
    return _replace_scores(component, scores).build()


def describe(name: str, component: ComponentConfig[AbstractPolicy]) -> str:
    """Return a policy in words, without its scores: `softmax(temperature=0.5)`."""
    settings = {key: value for key, value in component.settings.items() if not _holds_component(value)}
    words = [f"{key}={_plain_text(value)}" for key, value in settings.items() if value is not None]
    for value in component.settings.values():
        if isinstance(value, Mapping) and _holds_component(value):
            words += [describe(str(member), policy) for member, policy in value.items()]
    return f"{name}({', '.join(words)})"


def _plain_text(value: object) -> str:
    if isinstance(value, Mapping):
        return "{" + ", ".join(f"{key}: {inner}" for key, inner in value.items()) + "}"
    return str(value)


def _holds_component(value: object) -> bool:
    members = value.values() if isinstance(value, Mapping) else [value]
    return any(isinstance(member, ComponentConfig) for member in members)


def _parse(name: str, text: str) -> tuple[str, object]:
    if text.partition("=")[0] == "scores":
        raise RequestError(f"--set {text}: the scores are those of the run; leave it out")
    return parse_setting(name, text)


def _with_scores(node: Mapping[str, object], scores: Node) -> Node:
    """Return the node of a policy with scores where it needs some, in the policies it is made of too."""
    filled = {key: _with_scores_each(value, scores) for key, value in node.items()}
    if "scores" in keyword_parameters(load_class(str(node["_target_"]))):
        filled["scores"] = scores
    return filled


def _with_scores_each(value: object, scores: Node) -> object:
    if isinstance(value, Mapping) and value and all(map(is_node, value.values())):
        return {name: _with_scores(member, scores) for name, member in value.items()}
    return value


def _replace_scores(
    component: ComponentConfig[AbstractPolicy], scores: AbstractScores
) -> ComponentConfig[AbstractPolicy]:
    changes: Node = {}
    for key, value in component.arguments.items():
        if isinstance(value, ComponentConfig) and issubclass(value.target, AbstractScores):
            changes[key] = scores
        elif isinstance(value, Mapping) and _holds_component(value):
            changes[key] = {name: _replace_scores(member, scores).build() for name, member in value.items()}
    return component.replace(**changes)
