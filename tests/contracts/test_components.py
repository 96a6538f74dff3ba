"""One component = one class behind one YAML: it fulfils its contract, alone in its file, with typed keys."""

from __future__ import annotations

import dataclasses
import importlib
import inspect
from dataclasses import is_dataclass
from pathlib import Path
from typing import Any, get_type_hints

import pytest
import yaml
from pydantic import ConfigDict, TypeAdapter

from causalrec.config import schema
from causalrec.config.class_source import keyword_names
from causalrec.config.compose import package_folder
from causalrec.config.schema import COLLECTIONS

CONF = package_folder("conf")
GROUPS = {**schema.GROUPS, **COLLECTIONS, "estimation": "causalrec.evaluation.estimation.base.AbstractEstimation"}
THIN = {"logger", "optimizer", "scheduler"}  # rooms of thin constructors in front of a third party: several to a file


def _components() -> list[tuple[str, str, dict[str, Any]]]:
    """Every (group, label, node with a `_target_`) below conf/."""
    components = []
    for path in sorted(CONF.glob("*/*.yaml")):
        loaded = yaml.safe_load(path.read_text(encoding="utf-8"))
        loaded = loaded["task"] if path.parent.name == "task" else loaded  # beside the defaults that suit it
        nodes = loaded if path.parent.name in COLLECTIONS else {path.stem: loaded}
        components += [(path.parent.name, str(name), node) for name, node in nodes.items()]
    return components


COMPONENTS = _components()
each_component = pytest.mark.parametrize(
    ("group", "node"), [(g, n) for g, _, n in COMPONENTS], ids=[f"{g}/{label}" for g, label, _ in COMPONENTS]
)


def _class_at(path: str) -> type[Any]:
    module, _, attribute = path.rpartition(".")
    target = getattr(importlib.import_module(module), attribute)
    assert inspect.isclass(target)
    return target


def _concrete(module: str, contract: type[Any]) -> list[type[Any]]:
    members = vars(importlib.import_module(module)).values()
    classes = [m for m in members if inspect.isclass(m) and m.__module__ == module and issubclass(m, contract)]
    return [c for c in classes if not inspect.isabstract(c) and not c.__name__.startswith(("_", "Abstract"))]


def _keys(target: type[Any]) -> dict[str, inspect.Parameter]:
    parameters = inspect.signature(target).parameters.values()
    return {p.name: p for p in parameters if p.kind is p.KEYWORD_ONLY}


def test_every_group_has_components_and_every_folder_is_a_group() -> None:
    others = ("hydra",)  # no rooms of a run
    folders = {path.name for path in CONF.iterdir() if path.is_dir() and path.name not in others}
    assert folders == set(GROUPS) == {group for group, _, _ in COMPONENTS}


@each_component
def test_the_target_is_a_final_class_that_fulfils_the_contract(group: str, node: dict[str, Any]) -> None:
    target, contract = _class_at(node["_target_"]), _class_at(GROUPS[group])
    assert issubclass(target, contract)
    assert not inspect.isabstract(target)
    assert target.__module__ == node["_target_"].rpartition(".")[0], "named where it is defined"
    ours = [child for child in target.__subclasses__() if child.__module__.startswith("causalrec.")]
    assert not ours, "concrete classes are never subclassed"
    assert inspect.getdoc(target)


@each_component
def test_its_file_holds_no_other_component(group: str, node: dict[str, Any]) -> None:
    target = _class_at(node["_target_"])
    classes = _concrete(target.__module__, _class_at(GROUPS[group]))
    if group in THIN:
        configured = {_class_at(n["_target_"]) for g, _, n in COMPONENTS if g == group}
        mine = {component for component in configured if component.__module__ == target.__module__}
        assert set(classes) == mine, "every class of the file has a YAML"
    else:
        assert classes == [target]


@each_component
def test_its_yaml_keys_are_keyword_only_and_typed(group: str, node: dict[str, Any]) -> None:
    target = _class_at(node["_target_"])
    constructor: Any = target if is_dataclass(target) else target.__init__
    keys, hints = _keys(target), get_type_hints(constructor, include_extras=True)
    assert set(node) - {"_target_"} <= set(keys)
    for name in keys:
        assert hints.get(name, Any) is not Any, f"{target.__name__}.{name} has no type to check YAML against"
        TypeAdapter(hints[name], config=ConfigDict(arbitrary_types_allowed=True))


@each_component
def test_its_keys_can_be_read_without_importing_it(group: str, node: dict[str, Any]) -> None:
    assert keyword_names(node["_target_"]) == set(_keys(_class_at(node["_target_"])))


def test_yaml_says_only_what_differs_from_the_constructor() -> None:
    """Also the check that a default lives in one place: a YAML that repeats it would hide a later change."""
    repeated = []
    for group, label, node in COMPONENTS:
        keys = _keys(_class_at(node["_target_"]))
        repeated += [
            f"{group}/{label}: {key}"
            for key, value in node.items()
            if key in keys and keys[key].default == value and (group, key) not in EXPLICIT
        ]
    assert repeated == []


EXPLICIT = {("dataset", "mechanism"), ("metric", "k"), ("metric", "empty")}  # part of the name the YAML gives it


@pytest.mark.parametrize(
    "node", [n for g, _, n in COMPONENTS if g in ("slice", "refuter")], ids=lambda n: n["_target_"]
)
def test_slices_and_refuters_are_frozen_values(node: dict[str, Any]) -> None:
    """They are shared by the jobs of a study, and sent to other processes."""
    target = _class_at(node["_target_"])
    assert dataclasses.is_dataclass(target) and target.__dataclass_params__.frozen  # type: ignore[attr-defined]


def test_each_refuter_has_a_name_of_its_own_and_says_its_limitation() -> None:
    refuters = [_class_at(node["_target_"]) for group, _, node in COMPONENTS if group == "refuter"]
    assert len({refuter.name for refuter in refuters}) == len(refuters) > 10
    assert all(refuter.limitation and isinstance(refuter.value_is_effect, bool) for refuter in refuters)


def test_each_baseline_says_what_it_predicts() -> None:
    baselines = [_class_at(node["_target_"]) for group, _, node in COMPONENTS if group == "baseline"]
    assert {baseline.estimand for baseline in baselines} == {"exposed_mean", "effect"}


def test_the_components_on_disk_are_all_here() -> None:
    assert len([path for path in CONF.glob("*/*.yaml") if path.parent.name != "hydra"]) <= len(COMPONENTS)
    assert Path(CONF / "train.yaml").is_file()
