"""What keeps the structure: no branch on a task outside its room, few untyped names, misspellings found by mypy."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import fields
from functools import cache
from pathlib import Path
from typing import get_args, get_type_hints

import pytest

import causalrec
from causalrec.config import schema
from causalrec.config.component import load_class
from causalrec.config.compose import package_folder
from causalrec.config.schema import COLLECTIONS, GROUPS, ExperimentConfig

PACKAGE = Path(causalrec.__file__).parent
MOST_ANY = 200  # times the name Any stands in an annotation
TASK_WORDS = {"exposed_mean", "effect", *(path.stem for path in (package_folder("conf") / "task").glob("*.yaml"))}
WATCHED = {"estimand", "task", "trains_network"}


@cache
def sources() -> list[tuple[Path, ast.Module]]:
    return [
        (path.relative_to(PACKAGE), ast.parse(path.read_text(encoding="utf-8")))
        for path in sorted(PACKAGE.rglob("*.py"))
    ]


def branches_on_tasks(tree: ast.Module) -> Iterator[str]:
    """Comparisons of an estimand or a task's name, and `isinstance` of a task or learner."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Compare):
            sides = [node.left, *node.comparators]
            names = {side.attr for side in sides if isinstance(side, ast.Attribute)}
            names |= {side.id for side in sides if isinstance(side, ast.Name)}
            if names & WATCHED and not any(isinstance(side, ast.Constant) and side.value is None for side in sides):
                yield f"{node.lineno}: {ast.unparse(node)}"
        if isinstance(node, ast.Call) and ast.unparse(node.func) in ("isinstance", "issubclass"):
            classes = ast.unparse(node.args[1])
            if re.search(r"(Task|Learner|ExposedMean|Effect)\b", classes):
                yield f"{node.lineno}: {ast.unparse(node)}"
        if isinstance(node, ast.Match) and ast.unparse(node.subject).rpartition(".")[2] in WATCHED:
            yield f"{node.lineno}: match {ast.unparse(node.subject)}"


def test_no_file_outside_tasks_branches_on_a_task() -> None:
    checked = [(path, tree) for path, tree in sources() if path.parts[0] != "tasks"]
    assert len(checked) > 300
    assert [f"{path}:{branch}" for path, tree in checked for branch in branches_on_tasks(tree)] == []


@pytest.mark.parametrize(
    "line",
    [
        'if graph.estimand == "effect": pass',
        'x = 1 if record.task.estimand != "exposed_mean" else 2',
        "isinstance(task, AbstractTask)",
        "isinstance(config.components.learner, NetworkLearner)",
        'y = study.task == "train"',
    ],
)
def test_a_planted_branch_is_found(line: str) -> None:
    assert len(list(branches_on_tasks(ast.parse(line)))) == 1


def annotations(tree: ast.Module) -> Iterator[ast.expr]:
    for node in ast.walk(tree):
        if isinstance(node, ast.arg | ast.AnnAssign) and node.annotation is not None:
            yield node.annotation
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and node.returns is not None:
            yield node.returns


def test_annotations_name_any_at_most_so_often() -> None:
    counts = {
        path: sum(
            isinstance(node, ast.Name) and node.id == "Any"
            for annotation in annotations(tree)
            for node in ast.walk(annotation)
        )
        for path, tree in sources()
    }
    most = sorted(counts.items(), key=lambda item: -item[1])[:5]
    assert sum(counts.values()) <= MOST_ANY, f"{sum(counts.values())}; most in {most}"


def test_every_group_has_a_typed_field_of_its_contract() -> None:
    """Contracts stand twice, as a path to load and as a type for mypy: they are the same."""
    contracts = {name: load_class(path) for name, path in {**GROUPS, **COLLECTIONS}.items()}
    local = {contract.__name__: contract for contract in contracts.values()}
    hints = get_type_hints(ExperimentConfig, globalns=vars(schema) | local, localns=local)
    for name, contract in contracts.items():
        hint = hints[name]
        options = [
            option for option in (get_args(hint) if name in schema.OPTIONAL else (hint,)) if option is not type(None)
        ]
        (component,) = [get_args(option)[1] if name in COLLECTIONS else option for option in options]
        assert get_args(component) == (contract,), name
    assert {option.name for option in fields(ExperimentConfig)} == {*contracts, "run", "overrides", "moved_to"}


MISSPELT = """
from causalrec.config.schema import ExperimentConfig
from causalrec.records.run_record import RunRecord


def first(config: ExperimentConfig) -> object:
    return config.encodr


def second(config: ExperimentConfig) -> object:
    return config.encoder.target.reads_tiem


def third(record: RunRecord) -> object:
    return record.selection.critrion
"""


@pytest.mark.slow
def test_misspelt_groups_attributes_and_fields_are_errors_of_mypy(tmp_path: Path) -> None:
    path = tmp_path / "misspelt.py"
    path.write_text(MISSPELT, encoding="utf-8")
    root = PACKAGE.parent
    command = [sys.executable, "-m", "mypy", "--strict", "--config-file", str(root / "pyproject.toml")]
    cache = ["--cache-dir", str(root / ".mypy_cache")]  # that of `make check`
    done = subprocess.run([*command, *cache, str(path)], cwd=root, capture_output=True, text=True, timeout=300)
    wrong = [line for line in done.stdout.splitlines() if "misspelt.py" in line and "error" in line]
    assert len(wrong) == 3 and all("has no attribute" in line for line in wrong), done.stdout
    assert [name for name in ("encodr", "reads_tiem", "critrion") if name not in done.stdout] == []


def test_the_configuration_is_read_by_attributes_and_records_nearly_so() -> None:
    """`grep` finds no look-up by a group's name, and at most ten string subscripts of a record."""
    texts = {path: (PACKAGE / path).read_text(encoding="utf-8") for path, _ in sources()}
    assert [path for path, text in texts.items() if "leaves[" in text] == []
    subscripts = [match for text in texts.values() for match in re.findall(r"\brecord\[[\"']\w+[\"']\]", text)]
    assert len(subscripts) <= 10
