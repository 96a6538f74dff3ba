"""Components checked against the source of their classes: a slip is answered before torch is imported."""

from __future__ import annotations

import ast
from collections.abc import Mapping
from functools import lru_cache
from typing import Any

from pydantic import ConfigDict, TypeAdapter, ValidationError
from pydantic.errors import PydanticSchemaGenerationError, PydanticUserError

from causalrec.config.class_source import (
    Parameter,
    UnreadableSourceError,
    binding,
    class_names,
    derives_from,
    import_path,
    parameters,
    source_path,
)
from causalrec.config.component import allowed_packages, is_node, require_allowed, wrong_validation
from causalrec.config.content import Content
from causalrec.errors import RequestError, did_you_mean
from causalrec.limits import MAX_JOBS

ANY_CLASS = "builtins.object"


def check_source(path: str, node: object, contract: str = ANY_CLASS) -> None:
    """Raise RequestError where a component, or one inside it, is not as the source of its class has it.

    The class exists and fulfils its contract, every key is known, none is missing, and values have the type that is
    written there. What the source does not tell is left to the class itself.

    Args:
        path: where the component stands, for the message.
        node: the composed YAML.
        contract: full path of the class that the target must be one of.
    """
    _check_content(path, Content.of(node), contract, allowed_packages())


@lru_cache(maxsize=MAX_JOBS)
def _check_content(path: str, content: Content[object], contract: str, packages: tuple[str, ...]) -> None:
    """Check a component, once for all jobs that have the same."""
    node = content.value
    target = node.get("_target_") if isinstance(node, Mapping) else None
    if not isinstance(node, Mapping):
        raise RequestError(f"{path}={node!r}: expected a component, a mapping with a _target_")
    if not isinstance(target, str):
        given = f"_target_={target!r}" if target is not None else "no _target_"
        raise RequestError(f"{path}: has {given}; write _target_: package.module.Class, the class of the component")
    check_class(path, target, contract)
    check_keys(path, node)


def check_class(path: str, target: str, contract: str = ANY_CLASS) -> None:
    """Raise RequestError where a class does not exist, may not be built, or does not fulfil a contract."""
    module, _, name = target.rpartition(".")
    require_allowed(target, module, path)
    if source_path(module) is None:
        nearest = _nearest_module(module)
        raise RequestError(f"{path}._target_={target}: there is no such class, nor a module {module}; {nearest}")
    bound = binding(module, name)
    if bound is None:
        nearest = did_you_mean(name, (other for other in class_names(module) if not other.startswith("Abstract")))
        raise RequestError(f"{path}._target_={target}: there is no such class; {nearest}")
    if isinstance(bound, ast.FunctionDef | ast.AsyncFunctionDef | ast.Import):
        raise RequestError(f"{path}._target_={target}: is not a class; write package.module.Class")
    try:
        if isinstance(bound, ast.ImportFrom):  # of another package, that a module of ours uses
            require_allowed(target, import_path(bound, name), path)
        fulfils = derives_from(target, contract)
    except UnreadableSourceError:
        return
    if not fulfils:
        raise RequestError(f"{path}._target_={target}: is no {contract.rpartition('.')[2]}")


def _nearest_module(module: str) -> str:
    parent, _, name = module.rpartition(".")
    package = source_path(parent) if parent else None
    if package is None:
        return "check its spelling, or install its package"
    others = (path for path in package.parent.iterdir() if path.suffix == ".py" or (path / "__init__.py").is_file())
    return did_you_mean(name, (path.stem for path in others if not path.name.startswith("_")))


def check_keys(path: str, node: object) -> None:
    """Raise RequestError at a key or a value that the constructor of a composed component does not take.

    `path`: where the component stands, for the message.
    """
    if isinstance(node, list):
        node = {str(index): member for index, member in enumerate(node)}
    if not isinstance(node, Mapping):
        return
    target = node.get("_target_")
    declared = _parameters_of(target) if isinstance(target, str) else None
    for key, value in node.items():
        if key != "_target_" and declared is not None and key not in declared:
            nearest = did_you_mean(str(key), declared) if declared else "it takes none"
            raise RequestError(f"{path}.{key}: unknown key; {nearest}")
        if is_node(value):
            check_class(f"{path}.{key}", str(value["_target_"]))
        check_keys(f"{path}.{key}", value)
    for key, parameter in (declared or {}).items():
        if key in node:
            _check_value(f"{path}.{key}", node[key], parameter)
        elif parameter.mandatory:
            raise RequestError(f"{path}.{key}: is mandatory; set {path}.{key}=VALUE")


def _parameters_of(target: str) -> dict[str, Parameter] | None:
    try:
        return parameters(target)
    except UnreadableSourceError:
        return None


def _check_value(path: str, value: object, parameter: Parameter) -> None:
    members = value.values() if isinstance(value, Mapping) else value if isinstance(value, list) else ()
    if is_node(value) or any(map(is_node, members)):
        return  # checked against a class of its own
    try:
        adapter: TypeAdapter[Any] = TypeAdapter(parameter.type(), config=ConfigDict(arbitrary_types_allowed=True))
    except (UnreadableSourceError, PydanticSchemaGenerationError, PydanticUserError):
        return
    try:
        adapter.validate_python(value)
    except ValidationError as error:
        raise RequestError(wrong_validation(path, value, error)) from error
