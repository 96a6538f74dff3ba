"""Leaves of the configuration: a `_target_` checked, recursively, against its constructor's own signature.

Keyword-only constructor arguments are the YAML keys; positional ones are handed over by the run. A class is imported
only from an allowed package.
"""

from __future__ import annotations

import importlib
import inspect
import os
import types as pytypes
from collections.abc import Mapping
from dataclasses import MISSING, dataclass, fields, is_dataclass, replace
from functools import cache
from typing import Any, get_args, get_origin, get_type_hints

from pydantic import ConfigDict, TypeAdapter, ValidationError

from causalrec.errors import RequestError, nearest


@dataclass(frozen=True)
class Leaf:
    """A checked component: its class and the arguments YAML gives it."""

    target: type[Any]
    arguments: Mapping[str, Any]

    def build(self, *parts: Any) -> Any:
        """Construct the component from the run's parts and the YAML arguments."""
        built = {k: v.build() if isinstance(v, Leaf) else v for k, v in self.arguments.items()}
        return self.target(*parts, **built)

    def having(self, **changes: Any) -> Leaf:
        """Return the leaf with some arguments replaced."""
        return replace(self, arguments={**self.arguments, **changes})

    def resolved(self) -> dict[str, Any]:
        """Return `_target_` and every argument, constructor defaults included, as plain values."""
        defaults = {p.name: p.default for p in _keys(_any(self.target)).values() if p.default is not p.empty}
        made = {f.name: f.default_factory for f in fields(self.target)} if is_dataclass(self.target) else {}
        defaults |= {name: make() for name, make in made.items() if name in defaults and make is not MISSING}
        return {"_target_": f"{self.target.__module__}.{self.target.__qualname__}"} | {
            name: value.resolved() if isinstance(value, Leaf) else value
            for name, value in {**defaults, **self.arguments}.items()
        }


def leaf(path: str, node: Any, contract: type[Any] | None = None) -> Leaf:
    """Check one `_target_` leaf against its constructor and the contract it must fulfil."""
    if not isinstance(node, Mapping) or not isinstance(node.get("_target_"), str):
        raise RequestError(f"{path}={node!r}: expected a mapping with a _target_")
    target = load_class(node["_target_"], path)
    if contract is not None and not issubclass(target, contract):
        raise RequestError(f"{path}._target_={node['_target_']}: is not a {contract.__name__}")
    keys = _keys(_any(target))
    given = {str(key): value for key, value in node.items() if key != "_target_"}
    for key in given:
        if key not in keys:
            raise RequestError(f"{path}.{key}: unknown key; {nearest(key, keys)}")
    for key, parameter in keys.items():
        if parameter.default is parameter.empty and key not in given:
            raise RequestError(f"{path}.{key}: is mandatory; set {path}.{key}=VALUE")
    return Leaf(target, {key: _value(f"{path}.{key}", value, target, key) for key, value in given.items()})


def _value(path: str, value: Any, target: type[Any], key: str) -> Any:
    if isinstance(value, Mapping) and "_target_" in value:
        hint = _hints(_any(target))[key]
        allowed = [part for part in _members(hint) if inspect.isclass(part)]
        nested = leaf(path, value)
        if not any(issubclass(nested.target, part) for part in allowed):
            raise RequestError(f"{path}._target_={value['_target_']}: expected {hint}")
        return nested
    try:
        return _adapter(_any(target), key).validate_python(value)
    except ValidationError as error:
        first = error.errors()[0]
        raise RequestError(wrong_value(".".join([path, *map(str, first["loc"])]), value, first["msg"])) from error


def _members(hint: Any) -> tuple[Any, ...]:
    return get_args(hint) if get_origin(hint) is not None or isinstance(hint, pytypes.UnionType) else (hint,)


def wrong_value(path: str, value: Any, message: str) -> str:
    """Write what is wrong with a value, and where."""
    return f"{path}={value!r}: {message[0].lower()}{message[1:]}"


def allowed_packages() -> tuple[str, ...]:
    """Return the packages a `_target_` may come from: ours, and those named in `CAUSALREC_PACKAGES` (by comma)."""
    extra = os.environ.get("CAUSALREC_PACKAGES", "")
    return ("causalrec", *(name.strip() for name in extra.split(",") if name.strip()))


@cache
def load_class(name: str, path: str = "contract") -> type[Any]:
    """Import a class by full path, from an allowed package only (judged before the import, and after by its module)."""
    module, _, attribute = name.rpartition(".")
    _require_allowed(name, module, path)
    try:
        found = getattr(importlib.import_module(module), attribute)
    except (ModuleNotFoundError, AttributeError) as error:
        raise RequestError(f"{path}._target_={name}: there is no such class") from error
    if not inspect.isclass(found):
        raise RequestError(f"{path}._target_={name}: is not a class")
    _require_allowed(name, found.__module__, path)
    return found


def _require_allowed(name: str, module: str, path: str) -> None:
    if module.split(".")[0] not in allowed_packages():
        raise RequestError(
            f"{path}._target_={name}: only classes of {', '.join(allowed_packages())} may be built; "
            f"add your package to CAUSALREC_PACKAGES"
        )


def _any(target: type[Any]) -> Any:
    return target  # mypy holds that a class of unknown kind cannot be hashed


@cache
def _keys(target: type[Any]) -> dict[str, inspect.Parameter]:
    parameters = inspect.signature(target).parameters.values()
    return {p.name: p for p in parameters if p.kind is p.KEYWORD_ONLY}


@cache
def _adapter(target: type[Any], key: str) -> TypeAdapter[Any]:
    return TypeAdapter(_hints(_any(target))[key], config=ConfigDict(arbitrary_types_allowed=True))


@cache
def _hints(target: type[Any]) -> dict[str, Any]:
    constructor: Any = target
    return get_type_hints(constructor.__init__, include_extras=True)
