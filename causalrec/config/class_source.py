"""Classes read from their source: what a constructor takes and what a class says of itself, without importing it."""

from __future__ import annotations

import ast
import builtins
import importlib
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from causalrec.config.component import allowed_packages

WITHOUT_ARGUMENTS = frozenset({"ABC", "Generic", "Protocol", "object"})  # bases that add none to a constructor
LIGHT_MODULE = "causalrec.types"
LIGHT_PACKAGES = frozenset({"collections", "datetime", "enum", "pathlib", "pydantic", "types", "typing"})


class UnreadableSourceError(Exception):
    """The source does not tell (generated code, a class of another package): ask the class."""


@dataclass(frozen=True)
class Parameter:
    """A keyword that YAML may give to a class.

    Attributes:
        module: where it is declared.
        annotation: as it is written there, None without one.
        mandatory: it has no default.
    """

    module: str
    annotation: ast.expr | None
    mandatory: bool

    def type(self) -> Any:
        """Return the annotation's value; raise UnreadableSourceError where that takes importing a heavy module."""
        if self.annotation is None:
            raise UnreadableSourceError
        return _evaluate(self.annotation, self.module)


def keyword_names(target: str) -> frozenset[str] | None:
    """Return the names that YAML may give to a class, None where the source does not tell.

    Args:
        target: full path of a class of an allowed package.

    >>> sorted(keyword_names("causalrec.config.schema.Components"))[:2]
    ['dataset', 'graph']
    >>> keyword_names("collections.OrderedDict") is None
    True
    """
    try:
        return frozenset(parameters(target))
    except UnreadableSourceError:
        return None


def parameters(target: str) -> dict[str, Parameter]:
    """Return the keywords that YAML may give to a class, by name.

    Raises UnreadableSourceError where a base of another package, `**kwargs` or generated code stands between.
    """
    module, _, name = target.rpartition(".")
    return _parameters(module, name, allowed_packages())


def class_names(module: str) -> list[str]:
    """Return the names of the classes that a module defines."""
    return [name for name, statement in _bindings(module).items() if isinstance(statement, ast.ClassDef)]


def binding(module: str, name: str) -> ast.stmt | None:
    """Return what binds a name at the top of a module."""
    return _bindings(module).get(name)


def source_path(module: str) -> Path | None:
    """Return the file of a module, found without importing its parents."""
    root, *inner = module.split(".")
    try:
        spec = find_spec(root)
    except (ImportError, ValueError):
        return None
    if spec is None:
        return None
    if not inner and spec.origin:
        return Path(spec.origin)
    for location in spec.submodule_search_locations or ():
        stem = Path(location).joinpath(*inner)
        for path in (stem.with_name(f"{stem.name}.py"), stem / "__init__.py"):
            if path.is_file():
                return path
    return None


def derives_from(target: str, contract: str) -> bool:
    """Say whether a class is another one or derives from it; raise UnreadableSourceError where that is unclear."""
    if target == contract or contract == "builtins.object":
        return True
    module, _, name = target.rpartition(".")
    if module.split(".")[0] not in allowed_packages():
        return False  # other packages know nothing of our contracts
    node = _bindings(module).get(name)
    if isinstance(node, ast.ImportFrom):
        return derives_from(import_path(node, name), contract)
    if not isinstance(node, ast.ClassDef):
        raise UnreadableSourceError
    return any(derives_from(base, contract) for base in _bases(node, module))


def class_constant(target: str, name: str) -> Any:
    """Return what a class or a base of it binds to a name (`estimand`); raise UnreadableSourceError where unclear."""
    module, _, class_name = target.rpartition(".")
    node = _bindings(module).get(class_name) if module.split(".")[0] in allowed_packages() else None
    if not isinstance(node, ast.ClassDef):
        raise UnreadableSourceError
    for statement in node.body:
        targets = statement.targets if isinstance(statement, ast.Assign) else [getattr(statement, "target", None)]
        value = getattr(statement, "value", None)
        if value is not None and any(isinstance(bound, ast.Name) and bound.id == name for bound in targets):
            return _evaluate(value, module)
    for base in _bases(node, module):
        try:
            return class_constant(base, name)
        except UnreadableSourceError:
            continue
    raise UnreadableSourceError


@cache
def _bindings(module: str) -> dict[str, ast.stmt]:
    """Return what binds each name of a module at its top: a class, an import, an assignment."""
    path, bound = source_path(module), dict[str, ast.stmt]()
    try:
        tree = ast.parse(path.read_text(encoding="utf-8")) if path else ast.Module([], [])
    except (OSError, SyntaxError, ValueError):
        return {}
    for statement in _statements(tree.body):
        if isinstance(statement, ast.Import | ast.ImportFrom):
            bound |= {alias.asname or alias.name: statement for alias in statement.names}
        elif isinstance(statement, ast.ClassDef | ast.FunctionDef):
            bound[statement.name] = statement
        elif isinstance(statement, ast.Assign | ast.AnnAssign):
            targets = statement.targets if isinstance(statement, ast.Assign) else [statement.target]
            bound |= {target.id: statement for target in targets if isinstance(target, ast.Name)}
    return bound


def _statements(body: list[ast.stmt]) -> Iterator[ast.stmt]:
    """Yield statements, those below `if TYPE_CHECKING:` too."""
    for statement in body:
        yield statement
        if isinstance(statement, ast.If):
            yield from _statements(statement.body)


def import_path(statement: ast.ImportFrom, name: str) -> str:
    """Return the full path of what an import binds to a name."""
    if statement.level or not statement.module:
        raise UnreadableSourceError
    original = next(alias.name for alias in statement.names if (alias.asname or alias.name) == name)
    return f"{statement.module}.{original}"


def _bases(node: ast.ClassDef, module: str) -> list[str]:
    """Return the full paths of the bases of a class; those that add nothing are left out."""
    paths = []
    for base in node.bases:
        expression = base.value if isinstance(base, ast.Subscript) else base
        root = expression
        while isinstance(root, ast.Attribute):
            root = root.value
        if not isinstance(root, ast.Name):
            raise UnreadableSourceError
        statement = _bindings(module).get(root.id)
        if root.id in WITHOUT_ARGUMENTS:
            continue
        if isinstance(statement, ast.ImportFrom):
            paths.append(import_path(statement, root.id) + ast.unparse(expression).removeprefix(root.id))
        elif isinstance(statement, ast.ClassDef):
            paths.append(f"{module}.{root.id}")
        elif isinstance(statement, ast.Import):
            paths.append(ast.unparse(expression))
        else:
            raise UnreadableSourceError
    return paths


@cache
def _parameters(module: str, name: str, allowed: tuple[str, ...]) -> dict[str, Parameter]:
    node = _bindings(module).get(name) if module.split(".")[0] in allowed else None
    if not isinstance(node, ast.ClassDef):
        raise UnreadableSourceError
    constructor = next((n for n in node.body if isinstance(n, ast.FunctionDef) and n.name == "__init__"), None)
    if constructor is None:
        inherited = [_parameters(*_split(base), allowed) for base in _bases(node, module)]
        return {key: value for members in reversed(inherited) for key, value in members.items()} | _fields(node, module)
    arguments = constructor.args
    if arguments.kwarg:
        raise UnreadableSourceError
    pairs = zip(arguments.kwonlyargs, arguments.kw_defaults, strict=True)
    return {given.arg: Parameter(module, given.annotation, default is None) for given, default in pairs}


def _split(path: str) -> tuple[str, str]:
    module, _, name = path.rpartition(".")
    return module, name


def _fields(node: ast.ClassDef, module: str) -> dict[str, Parameter]:
    """Return the keyword-only fields that a dataclass declares; none of a class that is no dataclass."""
    decorator = next((d for d in node.decorator_list if "dataclass" in ast.unparse(d)), None)
    if decorator is None:
        return {}
    keyword_only = _has_flag(decorator, "kw_only", True)
    declared: dict[str, Parameter] = {}
    for statement in node.body:
        if not isinstance(statement, ast.AnnAssign) or not isinstance(statement.target, ast.Name):
            continue
        kind = ast.unparse(statement.annotation)
        if kind.endswith("KW_ONLY"):
            keyword_only = True
            continue
        is_argument = "ClassVar" not in kind and not _has_flag(statement.value, "init", False)
        if is_argument and (keyword_only or _has_flag(statement.value, "kw_only", True)):
            declared[statement.target.id] = Parameter(module, statement.annotation, not _has_default(statement.value))
    return declared


def _has_default(value: ast.expr | None) -> bool:
    if isinstance(value, ast.Call) and ast.unparse(value.func).rpartition(".")[2] == "field":
        return any(keyword.arg in ("default", "default_factory") for keyword in value.keywords)
    return value is not None


def _has_flag(call: ast.expr | None, flag: str, value: bool) -> bool:
    """Say whether a call is given a flag of this value (`field(init=False)`)."""
    keywords = call.keywords if isinstance(call, ast.Call) else []
    return any(k.arg == flag and isinstance(k.value, ast.Constant) and k.value.value is value for k in keywords)


def _evaluate(node: ast.expr, module: str) -> Any:
    """Return the value of an annotation, its names taken from light modules and from aliases in the source."""
    try:
        match node:
            case ast.Constant(value):
                return value
            case ast.Name(name):
                return _lookup(name, module)
            case ast.Set(elements):
                return {_evaluate(element, module) for element in elements}
            case ast.Tuple(elements) | ast.List(elements):
                return tuple(_evaluate(element, module) for element in elements)
            case ast.Subscript(value, index):
                return _evaluate(value, module)[_evaluate(index, module)]
            case ast.BinOp(left, ast.BitOr(), right):
                return _evaluate(left, module) | _evaluate(right, module)
            case ast.UnaryOp(ast.USub(), operand):
                return -_evaluate(operand, module)
            case ast.Call(function, arguments, keywords):
                named = {keyword.arg or "": _evaluate(keyword.value, module) for keyword in keywords}
                return _evaluate(function, module)(*(_evaluate(given, module) for given in arguments), **named)
    except (TypeError, ValueError, AttributeError) as error:  # what its module would say, it says when imported
        raise UnreadableSourceError from error
    raise UnreadableSourceError


@cache
def _lookup(name: str, module: str) -> object:
    statement = _bindings(module).get(name)
    if statement is None and hasattr(builtins, name):
        builtin: object = getattr(builtins, name)
        return builtin
    if isinstance(statement, ast.ImportFrom):
        source, original = _split(import_path(statement, name))
        if source == LIGHT_MODULE or source.split(".")[0] in LIGHT_PACKAGES:
            loaded: object = getattr(importlib.import_module(source), original)
            return loaded
        if source.split(".")[0] in allowed_packages():
            return _lookup(original, source)
    value = statement.value if isinstance(statement, ast.Assign | ast.AnnAssign) else None
    if value is None:
        raise UnreadableSourceError
    return _evaluate(value, module)
