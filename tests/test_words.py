"""Plain words: no vague name, no participle as a function's name, no class name with two meanings (design notes)."""

from __future__ import annotations

import ast
import re
from collections import defaultdict
from collections.abc import Iterator, Set
from functools import cache
from pathlib import Path

import pytest

import causalrec

PACKAGE = Path(causalrec.__file__).parent
ROOT = Path(__file__).parents[1]
FOLDERS = ("tests", "benchmarks", "examples")
VAGUE = {"found", "one", "part", "place", "told", "kept", "whole", "known", "drawn", "own", "made", "beside", "asked"}
LIBRARY = {"ones", "parts"}  # attributes of torch, NumPy and pathlib
PARTICIPLE = re.compile(  # alone, or before a preposition; before a noun it describes what is returned
    r"_*(?!(open|seed|embed)(_|$))[a-z]*(ed|drawn|given|taken|written|kept|made|sought|held|found|shown|chosen)"
    r"(_(out|up|for|by|in|of|to|at|on|off|from|as|together|alone))?"
)


def is_vague(name: str) -> bool:
    plain = name.strip("_")
    return plain in VAGUE or (plain.endswith("s") and plain[:-1] in VAGUE)


def vague_names(tree: ast.Module) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Name) and is_vague(node.id):
            yield f"{node.lineno}: {node.id}"
        elif isinstance(node, ast.arg) and is_vague(node.arg):
            yield f"{node.lineno}: {node.arg}"
        elif isinstance(node, ast.FunctionDef | ast.ClassDef) and is_vague(node.name):
            yield f"{node.lineno}: {node.name}"
        elif isinstance(node, ast.Attribute) and is_vague(node.attr) and node.attr not in LIBRARY:
            yield f"{node.lineno}: {node.attr}"


def participles(tree: ast.Module) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef) and PARTICIPLE.fullmatch(node.name) and not _is_property(node):
            yield f"{node.lineno}: {node.name}"


def _is_property(function: ast.FunctionDef) -> bool:
    return any("property" in ast.unparse(decorator) for decorator in function.decorator_list)


@cache
def trees() -> list[tuple[Path, ast.Module]]:
    paths = sorted(PACKAGE.rglob("*.py"))
    return [(path.relative_to(PACKAGE), ast.parse(path.read_text(encoding="utf-8"))) for path in paths]


@cache
def trees_below(folder: str) -> list[tuple[Path, ast.Module]]:
    paths = sorted((ROOT / folder).rglob("*.py"))
    return [(path.relative_to(ROOT), ast.parse(path.read_text(encoding="utf-8"))) for path in paths]


def test_no_name_of_the_package_is_vague() -> None:
    assert [f"{path}:{name}" for path, tree in trees() for name in vague_names(tree)] == []


@pytest.mark.parametrize("folder", FOLDERS)
def test_no_name_around_the_package_is_vague(folder: str) -> None:
    assert [f"{path}:{name}" for path, tree in trees_below(folder) for name in vague_names(tree)] == []
    assert trees_below(folder), "a folder that moved is not one without vague names"


@pytest.mark.parametrize("folder", FOLDERS)
def test_no_helper_around_the_package_is_named_by_a_participle(folder: str) -> None:
    assert [f"{path}:{name}" for path, tree in trees_below(folder) for name in participles(tree)] == []


def test_no_public_function_of_the_package_is_named_by_a_participle() -> None:
    assert [f"{path}:{name}" for path, tree in trees() for name in participles(tree)] == []


def test_no_two_public_classes_share_a_name() -> None:
    paths_by_class = defaultdict(list)
    for path, tree in trees():
        for node in ast.walk(tree):
            if isinstance(node, ast.ClassDef) and not node.name.startswith("_"):
                paths_by_class[node.name].append(str(path))
    assert {name: paths for name, paths in paths_by_class.items() if len(paths) > 1} == {}


@pytest.mark.parametrize(
    ("check", "source"),
    [
        (vague_names, "found = 1"),
        (vague_names, "def f(parts): ..."),
        (vague_names, "x = [one for one in y]"),
        (vague_names, "self._whole = 2"),
        (participles, "def chosen(): ..."),
        (participles, "def sorted_by(): ..."),
    ],
)
def test_a_planted_name_is_caught(check: object, source: str) -> None:
    assert callable(check) and len(list(check(ast.parse(source)))) >= 1


def fields_of(node: ast.ClassDef | ast.FunctionDef) -> list[str]:
    """Constructor parameters of a class, else its annotated fields; parameters of a function."""
    if isinstance(node, ast.ClassDef):
        inits = [inner for inner in node.body if isinstance(inner, ast.FunctionDef) and inner.name == "__init__"]
        if inits:
            return fields_of(inits[0])
        annotated = [inner for inner in node.body if isinstance(inner, ast.AnnAssign)]
        names = [ast.unparse(inner.target) for inner in annotated if "ClassVar" not in ast.unparse(inner.annotation)]
    else:
        names = [arg.arg for arg in (*node.args.posonlyargs, *node.args.args, *node.args.kwonlyargs)]
    return [name for name in names if name not in ("self", "cls") and not name.startswith("_")]


@cache
def classes() -> dict[str, ast.ClassDef]:
    return {node.name: node for _, tree in trees() for node in ast.walk(tree) if isinstance(node, ast.ClassDef)}


def contract_methods(class_: ast.ClassDef) -> set[str]:
    """The methods of a class's bases, at any height: an override is described there."""
    bases = [base.value if isinstance(base, ast.Subscript) else base for base in class_.bases]
    parents = [classes()[base.id] for base in bases if isinstance(base, ast.Name) and base.id in classes()]
    inherited = {node.name for parent in parents for node in parent.body if isinstance(node, ast.FunctionDef)}
    return inherited.union(*map(contract_methods, parents)) - {"__init__"}


def definitions_without_fields(body: list[ast.stmt], described: Set[str] = frozenset()) -> Iterator[str]:
    """Public classes and functions of four or more fields whose docstring does not list them, a line each.

    `described`: methods that override others, whose fields are listed there.
    """
    for node in body:
        if not isinstance(node, ast.ClassDef | ast.FunctionDef) or node.name.startswith("_") or node.name in described:
            continue
        names, lines = fields_of(node), [line.strip() for line in (ast.get_docstring(node) or "").splitlines()]
        listed = all(any(line.startswith((f"{name}:", f"{name} (")) for line in lines) for name in names)
        if len(names) >= 4 and not listed:
            yield f"{node.lineno}: {node.name}"
        if isinstance(node, ast.ClassDef):
            yield from definitions_without_fields(node.body, contract_methods(node))


def test_four_fields_or_more_are_listed_in_the_docstring() -> None:
    assert [f"{path}:{name}" for path, tree in trees() for name in definitions_without_fields(tree.body)] == []


def test_a_docstring_that_lists_no_fields_is_caught() -> None:
    source = 'def f(a, b, c, d):\n    """Do.\n\n    Args:\n        a: x.\n        b: x.\n        c: x.\n    """'
    assert list(definitions_without_fields(ast.parse(source).body)) == ["1: f"]
    assert list(definitions_without_fields(ast.parse(source.replace("c: x.", "c: x.\n        d: x.")).body)) == []
