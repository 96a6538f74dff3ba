"""Each policy and each kind of scores is one class behind one YAML, and composes below a task."""

from __future__ import annotations

import dataclasses
import importlib
import inspect
from pathlib import Path
from typing import Any

import pytest
import yaml

from causalrec.config.component import load_class, validate_component
from causalrec.config.compose import compose_config, normalise_overrides
from causalrec.config.folders import package_folder
from causalrec.policies.base import AbstractPolicy
from causalrec.policies.scores.base import AbstractScores

TASK = package_folder("conf") / "task"
POLICIES, SCORES = (sorted((TASK / group).glob("*.yaml")) for group in ("policy", "scores"))
HAS_SCORES = ("softmax", "top_k", "epsilon_greedy", "thompson")
MANDATORY = {"of_dataset": {"policy": "bts"}, "run": {"folder": "runs/x"}}


def nodes(path: Path) -> dict[str, Any]:
    loaded = yaml.safe_load(path.read_text(encoding="utf-8"))
    return {name: node for name, node in loaded.items() if name != "defaults"}


@pytest.mark.parametrize("path", POLICIES, ids=lambda path: path.stem)
def test_a_policy_composes_and_is_one_final_class_of_its_file(path: Path) -> None:
    assert path.read_text(encoding="utf-8").startswith("# @package task.policies\n")
    assert [*nodes(path)] == [path.stem]
    composed = compose_config(normalise_overrides([f"+task/policy=[{path.stem}]"]))["task"]["policies"]
    node = {**composed[path.stem], **MANDATORY.get(path.stem, {})}
    component = validate_component(f"task.policies.{path.stem}", node, AbstractPolicy)  # type: ignore[type-abstract]
    assert isinstance(component.build(), AbstractPolicy)
    target = component.target
    assert dataclasses.is_dataclass(target) and target.__dataclass_params__.frozen  # type: ignore[attr-defined]
    members = vars(importlib.import_module(target.__module__)).values()
    mine = [m for m in members if inspect.isclass(m) and issubclass(m, AbstractPolicy) and not inspect.isabstract(m)]
    assert mine == [target] and not target.__subclasses__()
    assert ("scores" in component.keyword_names) == (path.stem in HAS_SCORES)


@pytest.mark.parametrize("path", SCORES, ids=lambda path: path.stem)
def test_scores_are_chosen_by_name(path: Path) -> None:
    needed = MANDATORY.get(path.stem, {})
    node = {**yaml.safe_load(path.read_text(encoding="utf-8")), **needed}
    assert isinstance(validate_component("scores", node, AbstractScores).build(), AbstractScores)  # type: ignore[type-abstract]
    key = "task.policies.softmax.scores"
    chosen = [f"task/scores@{key}={path.stem}", *(f"{key}.{name}={value}" for name, value in needed.items())]
    composed = compose_config(normalise_overrides(["+task/policy=[softmax]", *chosen]))
    assert composed["task"]["policies"]["softmax"]["scores"] == node


@pytest.mark.parametrize("name", ["estimated_frequencies", "estimated_logistic"])
def test_the_logging_policy_is_chosen_by_name(name: str) -> None:
    key = "task.logging_policy.prior"
    composed = compose_config(normalise_overrides(["task=policy_value", f"+task/logging_policy={name}", f"{key}=3"]))
    node = composed["task"]["logging_policy"]
    policy = validate_component("task.logging_policy", node, AbstractPolicy).build()  # type: ignore[type-abstract]
    assert type(policy).__module__.endswith(name) and policy.prior == 3  # type: ignore[attr-defined]


def test_every_policy_and_all_scores_have_a_yaml() -> None:
    written = {load_class(node["_target_"]) for path in POLICIES for node in nodes(path).values()}
    written |= {load_class(yaml.safe_load(path.read_text(encoding="utf-8"))["_target_"]) for path in SCORES}
    package = Path(inspect.getfile(AbstractPolicy)).parent
    files = [path for path in package.rglob("*.py") if path.stem not in ("__init__", "base")]
    modules = [".".join(("causalrec", *path.relative_to(package.parent).with_suffix("").parts)) for path in files]
    classes = {
        member
        for name in modules
        for member in vars(importlib.import_module(name)).values()
        if inspect.isclass(member) and issubclass(member, AbstractPolicy | AbstractScores)
        if member.__module__ == name
    }
    assert classes <= written and len(written - classes) == 1, "a run as scores lies in the room of runs"
