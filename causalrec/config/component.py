"""Components of the configuration: a `_target_` checked, recursively, against its constructor's own signature.

Keyword-only constructor arguments are the YAML keys; positional ones are handed over by the run. A class is imported
only from an allowed package.
"""

from __future__ import annotations

import importlib
import inspect
import os
import sys
import types as pytypes
from collections.abc import Callable, Mapping, Sequence
from dataclasses import MISSING, dataclass, fields, is_dataclass, replace
from functools import cache, cached_property
from importlib.util import find_spec
from typing import Annotated, Any, Generic, TypeGuard, TypeVar, get_args, get_origin, get_type_hints

from pydantic import ConfigDict, TypeAdapter, ValidationError

from causalrec.errors import RequestError, did_you_mean

T_co = TypeVar("T_co", covariant=True)
T = TypeVar("T")


@dataclass(frozen=True)
class ComponentConfig(Generic[T_co]):
    """A checked component: its class, and the arguments that YAML gives it (components among them are checked too).

    A constructor that hands a nested component more than YAML holds (an encoder its inputs) declares it as
    `ComponentConfig[Contract]`: it is checked as any, and the owner builds it.
    """

    target: type[T_co]
    arguments: Mapping[str, object]

    def build(self, *handed_over: object) -> T_co:
        """Construct the component from what the run hands over and the YAML arguments."""
        constructor: Callable[..., T_co] = self.target
        return constructor(*handed_over, **{key: self._build_argument(key) for key in self.arguments})

    def _build_argument(self, key: str) -> object:
        value = self.arguments[key]
        by_owner = isinstance(value, ComponentConfig) and _contracts_of_owner(_hints(_constructor(self.target))[key])
        return value if by_owner else _each(value, _build)

    def replace(self, **changes: object) -> ComponentConfig[T_co]:
        """Return the component with some arguments replaced."""
        return replace(self, arguments={**self.arguments, **changes})

    def without(self, names: frozenset[str]) -> ComponentConfig[T_co]:
        """Return the component without the arguments of these names, so that they take their defaults."""
        return replace(self, arguments={key: value for key, value in self.arguments.items() if key not in names})

    @property
    def settings(self) -> dict[str, object]:
        """Every argument by name, the constructor's default where YAML gives none."""
        return dict(self._settings)

    @cached_property
    def _settings(self) -> dict[str, object]:
        return {**self._defaults(), **self.arguments}

    def setting(self, name: str) -> object:
        """Return one argument, the constructor's default where YAML gives none; KeyError for another name."""
        return self._settings[name]

    @property
    def keyword_names(self) -> tuple[str, ...]:
        """Return the names of the arguments that YAML may give."""
        return tuple(keyword_parameters(self.target))

    def to_dict(self) -> dict[str, object]:
        """Return `_target_` and every argument, constructor defaults included, as plain values."""
        return dict(self._plain)

    @cached_property
    def _plain(self) -> dict[str, object]:
        """What `to_dict` returns, made once: the jobs of a launch share most of their components."""
        name = f"{self.target.__module__}.{self.target.__qualname__}"
        return {"_target_": name} | {key: _each(value, _to_dict) for key, value in self._settings.items()}

    @cached_property
    def text(self) -> str:
        """All that the component is, as a key: equal ones have the same."""
        return repr(self._plain)

    def _defaults(self) -> dict[str, object]:
        target: type[object] = self.target
        defaults = {p.name: p.default for p in keyword_parameters(target).values() if p.default is not p.empty}
        factories = {f.name: f.default_factory for f in fields(target)} if is_dataclass(target) else {}
        return defaults | {name: make() for name, make in factories.items() if name in defaults and make is not MISSING}


def _each(value: object, change: Callable[[ComponentConfig[object]], object]) -> object:
    """Change every component in a value, in lists and mappings of them too."""
    if isinstance(value, ComponentConfig):
        return change(value)
    if isinstance(value, tuple) and value and all(isinstance(member, ComponentConfig) for member in value):
        return tuple(change(member) for member in value)
    if isinstance(value, Mapping) and value and all(isinstance(member, ComponentConfig) for member in value.values()):
        return {key: change(member) for key, member in value.items()}
    return value


def _build(component: ComponentConfig[object]) -> object:
    return component.build()


def _to_dict(component: ComponentConfig[object]) -> object:
    return component.to_dict()


def validate_component(
    path: str,
    node: object,
    contract: type[T] = object,  # type: ignore[assignment]
) -> ComponentConfig[T]:
    """Check a `_target_` node against its constructor and the contract it must fulfil; raise RequestError in one line.

    Args:
        path: where the node stands in the configuration, for messages.
        node: the composed YAML, a mapping.
        contract: the class that the target must be one of.
    """
    if not isinstance(node, Mapping) or not isinstance(node.get("_target_"), str):
        raise RequestError(f"{path}={node!r}: expected a mapping with a _target_")
    target = load_class(node["_target_"], path)
    if not issubclass(target, contract):
        raise RequestError(f"{path}._target_={node['_target_']}: is no {contract.__name__}")
    if inspect.isabstract(target):
        raise RequestError(f"{path}._target_={node['_target_']}: is a contract; name a class that fulfils it")
    keys = keyword_parameters(target)
    given = {str(key): value for key, value in node.items() if key != "_target_"}
    for key in given:
        if key not in keys:
            raise RequestError(f"{path}.{key}: unknown key; {did_you_mean(key, keys)}")
    for key, parameter in keys.items():
        if parameter.default is parameter.empty and key not in given:
            raise RequestError(f"{path}.{key}: is mandatory; set {path}.{key}=VALUE")
    return ComponentConfig(target, {key: validate_value(f"{path}.{key}", v, target, key) for key, v in given.items()})


def validate_value(path: str, value: object, target: type[object], key: str) -> object:
    """Check one argument of a constructor by its annotation; return it as that has it, nested components checked.

    Args:
        path: where the value stands, for messages.
        value: as YAML gives it.
        target: class of the constructor.
        key: name of the argument.
    """
    hint = _hints(_constructor(target))[key]
    if is_node(value):
        return _validate_nested(path, value, (*_classes(hint), *_contracts_of_owner(hint)), hint)
    if value is not None and _contracts_of_owner(hint):
        raise RequestError(f"{path}={value!r}: expected a mapping with a _target_")
    if isinstance(value, list) and value and all(map(is_node, value)):
        allowed = _members_of(hint, Sequence)
        return tuple(_validate_nested(f"{path}.{k}", member, allowed, hint) for k, member in enumerate(value))
    if isinstance(value, Mapping) and value and all(map(is_node, value.values())):
        allowed = _members_of(hint, Mapping)
        return {str(name): _validate_nested(f"{path}.{name}", member, allowed, hint) for name, member in value.items()}
    try:
        return _adapter(_constructor(target), key).validate_python(value)
    except ValidationError as error:
        raise RequestError(wrong_validation(path, value, error)) from error


def is_node(value: object) -> TypeGuard[Mapping[str, object]]:
    """Say whether a value of the YAML is a component."""
    return isinstance(value, Mapping) and "_target_" in value


def _validate_nested(path: str, node: object, allowed: Sequence[type[object]], hint: object) -> ComponentConfig[object]:
    nested = validate_component(path, node, object)
    contracts = [contract for contract in allowed if contract is not object and contract is not Any]
    if not any(issubclass(nested.target, contract) for contract in contracts):  # what may be anything is no component
        name = f"{nested.target.__module__}.{nested.target.__qualname__}"
        raise RequestError(f"{path}._target_={name}: expected {hint}")
    return nested


def _members_of(hint: object, kind: type[object]) -> tuple[type[object], ...]:
    """Return the classes that lists or mappings of a hint may hold: `tuple[X, ...]`, `Mapping[str, X]`."""
    classes: list[type[object]] = []
    for option in _options(hint):
        origin = get_origin(option)
        if inspect.isclass(origin) and issubclass(origin, kind):
            classes += [member for argument in get_args(option) for member in _classes(argument) if member is not str]
    return tuple(classes)


def _classes(hint: object) -> tuple[type[object], ...]:
    return tuple(option for option in _options(hint) if inspect.isclass(option) and get_origin(option) is None)


def _contracts_of_owner(hint: object) -> tuple[type[object], ...]:
    """Return the contracts X of a hint `ComponentConfig[X]`, whose component the owner builds; none of another hint."""
    return tuple(get_args(option)[0] for option in _options(hint) if get_origin(option) is ComponentConfig)


def _options(hint: object) -> tuple[object, ...]:
    """Return the members of a union, of what is annotated too; else the hint alone."""
    if get_origin(hint) is Annotated:
        return _options(get_args(hint)[0])
    if isinstance(hint, pytypes.UnionType) or getattr(get_origin(hint), "__name__", "") == "Union":
        return tuple(option for member in get_args(hint) for option in _options(member))
    return (hint,)


WORDS: Mapping[str, str] = {  # what pydantic says of a value: what it must be, to who does not read schemas
    r"match pattern '^[\x00-\x7f]$'": "be one ASCII character",
    r"match pattern '^[\x00-\x7f]{1,3}$'": "be one to three ASCII characters",
    "be a valid dictionary": "be a mapping, {KEY: VALUE}; leave it out where there is none",
}


def wrong_validation(path: str, value: object, error: ValidationError) -> str:
    """Write the first thing that is wrong with a value at a path."""
    first = error.errors()[0]
    wrong = first["input"] if first["loc"] and first["type"] != "missing" else value
    where = (
        first["loc"][:-2] if first["loc"][-1:] == ("[key]",) else first["loc"]
    )  # a key of a mapping, shown as `wrong`
    return wrong_value(".".join([path, *map(str, where)]), wrong, first["msg"])


def wrong_value(path: str, value: object, message: str) -> str:
    """Write what is wrong with a value, and where."""
    text = message.removeprefix("Value error, ")
    for schema, words in WORDS.items():
        text = text.replace(schema, words)
    return f"{path}={value!r}: {text[0].lower()}{text[1:]}"


def allowed_packages() -> tuple[str, ...]:
    """Return the packages a `_target_` may come from: ours, and those named in `CAUSALREC_PACKAGES` (by comma)."""
    return tuple(dict.fromkeys(("causalrec", *outside_packages())))


def outside_packages() -> tuple[str, ...]:
    """Return the packages named in `CAUSALREC_PACKAGES` (by comma), which are trusted as ours is."""
    return _packages_in(os.environ.get("CAUSALREC_PACKAGES", ""))


@cache
def _packages_in(text: str) -> tuple[str, ...]:
    names = tuple(name.strip() for name in text.split(",") if name.strip())
    for name in names:
        if not name.isidentifier() or name.startswith("_"):
            raise RequestError(f"CAUSALREC_PACKAGES: {name!r} is no name of a package; give names by comma")
        if not _is_installed(name):
            raise RequestError(f"CAUSALREC_PACKAGES: no package {name} is installed; install it, or take it out")
    return names


def _is_installed(package: str) -> bool:
    try:
        return find_spec(package) is not None
    except (ImportError, ValueError):  # a module without a spec
        return package in sys.modules


@cache
def load_class(name: str, path: str = "contract") -> type[Any]:
    """Import a class by full path, from an allowed package only (judged before the import, and after by its module)."""
    module, _, attribute = name.rpartition(".")
    require_allowed(name, module, path)
    try:
        loaded = getattr(importlib.import_module(module), attribute)
    except ModuleNotFoundError as error:
        if error.name is not None and not f"{module}.".startswith(f"{error.name}."):  # one that the module imports
            raise RequestError(f"{path}._target_={name}: needs {error.name}, which is not installed") from error
        raise RequestError(f"{path}._target_={name}: there is no such class") from error
    except AttributeError as error:
        raise RequestError(f"{path}._target_={name}: there is no such class") from error
    if not inspect.isclass(loaded):
        raise RequestError(f"{path}._target_={name}: is not a class")
    require_allowed(name, loaded.__module__, path)
    return loaded


def require_allowed(name: str, module: str, path: str) -> None:
    """Raise RequestError where a class's module is of no allowed package, or no name of a class could be behind it."""
    if module.split(".")[0] not in allowed_packages():
        raise RequestError(
            f"{path}._target_={name}: only classes of {', '.join(allowed_packages())} may be built; "
            f"add your package to CAUSALREC_PACKAGES"
        )
    if any(not word.isidentifier() or word.startswith("_") for word in name.split(".")):
        raise RequestError(f"{path}._target_={name!r}: is no public name; write package.module.Class")


def keyword_parameters(target: type[object]) -> dict[str, inspect.Parameter]:
    """Return the keyword-only parameters of a constructor, by name."""
    return _keyword_parameters(_constructor(target))


def _constructor(target: type[object]) -> Callable[..., object]:
    return target  # mypy holds that a class of unknown kind cannot be hashed


@cache
def _keyword_parameters(target: Callable[..., object]) -> dict[str, inspect.Parameter]:
    try:
        parameters = inspect.signature(target).parameters.values()
    except ValueError:  # an exception's, say, which no constructor of ours declares
        return {}
    return {p.name: p for p in parameters if p.kind is p.KEYWORD_ONLY}


@cache
def _adapter(target: Callable[..., object], key: str) -> TypeAdapter[Any]:
    return TypeAdapter(_hints(target)[key], config=ConfigDict(arbitrary_types_allowed=True))


@cache
def _hints(target: Callable[..., object]) -> dict[str, Any]:
    constructor: Any = target if is_dataclass(target) else target.__init__
    return get_type_hints(constructor, include_extras=True)  # inherited fields name what their file imports
