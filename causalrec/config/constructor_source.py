"""Keyword names of constructors, read from their source: a misspelt key is answered before torch is imported."""

from __future__ import annotations

import ast
from collections.abc import Mapping
from functools import cache
from importlib.util import find_spec
from pathlib import Path

from causalrec.config.component import allowed_packages
from causalrec.errors import RequestError, did_you_mean

WITHOUT_ARGUMENTS = frozenset({"ABC", "Generic", "Protocol", "object"})  # bases that add none to a constructor


def check_keys(path: str, node: object) -> None:
    """Raise RequestError at a key that the constructor of a composed component, or of one inside it, does not take.

    `path`: where the component stands, for the message.
    """
    if isinstance(node, list):
        node = {str(index): member for index, member in enumerate(node)}
    if not isinstance(node, Mapping):
        return
    target = node.get("_target_")
    names = keyword_names(target) if isinstance(target, str) else None
    for key, value in node.items():
        if key != "_target_" and names is not None and key not in names:
            raise RequestError(f"{path}.{key}: unknown key; {did_you_mean(str(key), sorted(names))}")
        check_keys(f"{path}.{key}", value)


def keyword_names(target: str) -> frozenset[str] | None:
    """Return the names that YAML may give to a class, as its source declares them, without importing it.

    None where the source does not tell (a base of another package, `**kwargs`, generated code): ask the class then.

    Args:
        target: full path of a class of an allowed package.

    >>> sorted(keyword_names("causalrec.config.schema.Components"))[:2]
    ['dataset', 'graph']
    >>> keyword_names("collections.OrderedDict") is None
    True
    """
    module, _, name = target.rpartition(".")
    return _names(module, name, allowed_packages())


@cache
def _names(module: str, name: str, allowed: tuple[str, ...]) -> frozenset[str] | None:
    tree = _parse(module) if module.split(".")[0] in allowed else None
    node = next((n for n in tree.body if isinstance(n, ast.ClassDef) and n.name == name), None) if tree else None
    if tree is None or node is None:
        return None
    constructor = next((n for n in node.body if isinstance(n, ast.FunctionDef) and n.name == "__init__"), None)
    if constructor is not None:
        arguments = constructor.args
        return None if arguments.kwarg else frozenset(argument.arg for argument in arguments.kwonlyargs)
    inherited = [_names_of_base(base, tree, module, allowed) for base in node.bases]
    readable = [names for names in inherited if names is not None]
    if len(readable) < len(inherited):
        return None
    return frozenset().union(*readable) | _field_names(node)


@cache
def _parse(module: str) -> ast.Module | None:
    """Return the syntax tree of a module, found without importing more than its parents."""
    try:
        spec = find_spec(module)
        return ast.parse(Path(spec.origin).read_text(encoding="utf-8")) if spec and spec.origin else None
    except (ImportError, OSError, SyntaxError, ValueError):
        return None


def _names_of_base(base: ast.expr, tree: ast.Module, module: str, allowed: tuple[str, ...]) -> frozenset[str] | None:
    node = base.value if isinstance(base, ast.Subscript) else base
    if not isinstance(node, ast.Name):
        return None
    if node.id in WITHOUT_ARGUMENTS:
        return frozenset()
    for statement in tree.body:
        if isinstance(statement, ast.ImportFrom) and statement.module and not statement.level:
            for alias in statement.names:
                if (alias.asname or alias.name) == node.id:
                    return _names(statement.module, alias.name, allowed)
    return _names(module, node.id, allowed)


def _field_names(node: ast.ClassDef) -> frozenset[str]:
    """Return the keyword-only fields that a dataclass declares; none of a class that is no dataclass."""
    decorator = next((d for d in node.decorator_list if "dataclass" in ast.unparse(d)), None)
    if decorator is None:
        return frozenset()
    keyword_only = _has_flag(decorator, "kw_only", True)
    names = set()
    for statement in node.body:
        if not isinstance(statement, ast.AnnAssign) or not isinstance(statement.target, ast.Name):
            continue
        kind = ast.unparse(statement.annotation)
        if kind.endswith("KW_ONLY"):
            keyword_only = True
            continue
        is_argument = "ClassVar" not in kind and not _has_flag(statement.value, "init", False)
        if is_argument and (keyword_only or _has_flag(statement.value, "kw_only", True)):
            names.add(statement.target.id)
    return frozenset(names)


def _has_flag(call: ast.expr | None, flag: str, value: bool) -> bool:
    """Say whether a call is given a flag of this value (`field(init=False)`)."""
    keywords = call.keywords if isinstance(call, ast.Call) else []
    return any(k.arg == flag and isinstance(k.value, ast.Constant) and k.value.value is value for k in keywords)
