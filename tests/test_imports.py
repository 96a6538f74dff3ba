"""Imports go down, each third party has one room, and the light rooms answer without torch."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Mapping
from functools import cache
from pathlib import Path

import pytest

import causalrec

PACKAGE = Path(causalrec.__file__).parent
LAYERS = (
    {"errors", "types", "ids", "limits", "memory", "plain_text", "redaction", "secret_values"},
    {"plain_streams", "working_folder", "deferred_imports"},
    {"config", "solvers"},
    {"progress"},
    {"data"},
    {"graph"},
    {"features"},
    {"propensity"},
    {"encoders", "heads", "estimators"},
    {"catalogue"},
    {"metrics", "rerankers"},
    {"role_network"},
    {"models"},
    {"records"},
    {"training"},
    {"tracking"},
    {"evaluation"},
    {"prepared"},
    {"policies"},
    {"learners"},
    {"tasks"},
    {"reporting"},
    {"running"},
    {"export"},
    {"sweeps"},
    {"api", "commands"},
    {"cli", "__main__"},
)
RANK = {room: rank for rank, rooms in enumerate(LAYERS) for room in rooms}
CONFIG_READERS = (  # of the configuration of a run; a single component's may be read anywhere
    "causalrec.config",
    "causalrec.learners",
    "causalrec.tasks",
    "causalrec.running",
    "causalrec.sweeps",
    "causalrec.api",
    "causalrec.commands",
    "causalrec.cli",
    "causalrec.__main__",
    "causalrec.reporting.study",
)
ANY_ROOM = "causalrec.config.component"
CONTRACTS = "causalrec.config.schema"  # names the contract of every room, for types alone
ROOMS: Mapping[str, tuple[str, ...]] = {  # third party: the modules (or packages) that may import it
    "dowhy": (
        "causalrec.graph.backdoor",
        "causalrec.graph.falsify",
        "causalrec.evaluation.refuter",
        "causalrec.learners.dowhy",
    ),
    "causallearn": ("causalrec.graph.kernel_independence",),
    "econml": ("causalrec.learners.econml",),
    "transformers": ("causalrec.encoders",),
    "peft": ("causalrec.encoders",),
    "pytorch_lightning": ("causalrec.training", "causalrec.tracking", "causalrec.running"),
    "lightning": ("causalrec.training",),
    "wandb": ("causalrec.tracking",),
    "sklearn": (
        "causalrec.solvers.calibration",
        "causalrec.evaluation",
        "causalrec.estimators.effect",
        "causalrec.encoders.representation",
        "causalrec.data.datasets.classification_bandit",
    ),
    "numba": (
        "causalrec.metrics.compiled_uplift",
        "causalrec.training.row_kernels",
        "causalrec.estimators.policy_value.interval.poisson",
    ),
    "hydra": ("causalrec.config", "causalrec.sweeps"),
    "optuna": ("causalrec.sweeps",),
    "ray": ("causalrec.sweeps",),
    "onnx": ("causalrec.export",),
    "onnxscript": ("causalrec.export",),
    "onnxruntime": ("causalrec.export",),
}
LIGHT = {"errors", "types", "redaction", "secret_values", "config", "api", "commands", "cli", "__main__"}
LIGHT |= {"data", "graph", "features", "propensity", "records", "reporting"}
HEAVY = {"torch", "torchmetrics", "pytorch_lightning", "lightning", "transformers", "peft"}


@cache
def modules() -> dict[str, str]:
    """Source by module name, of every file of the package."""
    source_of = {}
    for path in sorted(PACKAGE.rglob("*.py")):
        names = path.relative_to(PACKAGE.parent).with_suffix("").parts
        source_of[".".join(names[:-1] if names[-1] == "__init__" else names)] = path.read_text(encoding="utf-8")
    return source_of


@cache
def imports_of(source: str, *, type_only: bool) -> tuple[tuple[str, int], ...]:
    """Every imported name and its line, those inside functions too; `type_only` adds what TYPE_CHECKING guards."""
    guarded: set[ast.AST] = set()
    imports: list[tuple[str, int]] = []
    tree = ast.parse(source)
    for node in ast.walk(tree):
        if isinstance(node, ast.If) and ast.unparse(node.test) in ("TYPE_CHECKING", "typing.TYPE_CHECKING"):
            guarded |= {inner for statement in node.body for inner in ast.walk(statement)}
    for node in ast.walk(tree):
        if node in guarded and not type_only:
            continue
        if isinstance(node, ast.Import):
            imports += ((alias.name, node.lineno) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = "." * node.level + (node.module or "")
            imports += ((f"{base}.{alias.name}", node.lineno) for alias in node.names)
    return tuple(imports)


def inside(module: str, rooms: tuple[str, ...]) -> bool:
    return any(module == room or module.startswith(f"{room}.") for room in rooms)


def room_of(module: str) -> str:
    return [*module.split("."), ""][1]


def upward(module: str, source: str) -> list[str]:
    """Imports of a higher layer, of a room without a layer, or relative ones."""
    wrong = []
    if module == "causalrec":  # the way in by Python
        return wrong
    for name, line in imports_of(source, type_only=module != CONTRACTS):
        if name.startswith("."):
            wrong.append(f"{module}:{line} relative import {name}")
        if not name.startswith("causalrec."):
            continue
        room = room_of(name)
        if room not in RANK:
            wrong.append(f"{module}:{line} imports {name}, a room without a layer")
        elif room == "config":
            if not inside(module, CONFIG_READERS) and not inside(name, (ANY_ROOM,)):
                wrong.append(f"{module}:{line} imports config")
        elif RANK[room] > RANK.get(room_of(module), -1):
            wrong.append(f"{module}:{line} imports {name} from above")
    return wrong


def strangers(module: str, source: str) -> list[str]:
    """Imports of a third party outside its room."""
    return [
        f"{module}:{line} imports {name}"
        for name, line in imports_of(source, type_only=True)
        if (party := name.split(".")[0]) in ROOMS and not inside(module, ROOMS[party])
    ]


def heavy(module: str, source: str) -> list[str]:
    """Imports of torch and its kin in a light room."""
    return [
        f"{module}:{line} imports {name}"
        for name, line in imports_of(source, type_only=False)
        if name.split(".")[0] in HEAVY and room_of(module) in LIGHT
    ]


def test_every_module_has_a_layer() -> None:
    assert [name for name in modules() if name != "causalrec" and room_of(name) not in RANK] == []


def test_imports_go_down() -> None:
    assert [wrong for name, source in modules().items() for wrong in upward(name, source)] == []


def test_each_third_party_stays_in_its_room() -> None:
    assert [wrong for name, source in modules().items() for wrong in strangers(name, source)] == []


def test_light_rooms_import_no_torch() -> None:
    assert [wrong for name, source in modules().items() for wrong in heavy(name, source)] == []


def test_package_files_hold_at_most_a_docstring() -> None:
    for path in PACKAGE.glob("*/**/__init__.py"):  # that of the package itself is the way in by Python
        body = ast.parse(path.read_text(encoding="utf-8")).body
        assert len(body) == (ast.get_docstring(ast.Module(body, [])) is not None), path


def test_light_rooms_load_without_torch() -> None:
    """What the source check cannot see: torch that comes in through another import."""
    names = [name for name in modules() if room_of(name) in LIGHT and room_of(name) != "__main__"]
    code = f"import importlib, sys\nfor name in {names!r}:\n    importlib.import_module(name)\n"
    code += "    assert 'torch' not in sys.modules, name\n    assert 'dowhy' not in sys.modules, name\n"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    assert len(names) > 15


@pytest.mark.parametrize(
    ("check", "module", "line"),
    [
        (upward, "causalrec.data.log", "from causalrec.graph.identify import identify"),
        (upward, "causalrec.data.log", "def f():\n    import causalrec.graph.identify"),
        (upward, "causalrec.heads.dot", "from causalrec import models"),
        (upward, "causalrec.training.module", "from causalrec.config.compose import compose_config"),
        (upward, "causalrec.errors", "from causalrec.data import log"),
        (upward, "causalrec.data.log", "from causalrec.attic import x"),
        (upward, "causalrec.data.log", "from . import splits"),
        (strangers, "causalrec.graph.overlap", "import dowhy.graph"),
        (strangers, "causalrec.models", "from transformers import AutoModel"),
        (strangers, "causalrec.running.run", "import wandb"),
        (strangers, "causalrec.metrics.auc", "from sklearn.metrics import roc_auc_score"),
        (strangers, "causalrec.running.run", "import hydra"),
        (heavy, "causalrec.data.sampler.rows", "def f():\n    from torch import Tensor"),
        (heavy, "causalrec.records.run_record", "import torch.nn"),
    ],
)
def test_a_planted_violation_is_found(check: object, module: str, line: str) -> None:
    assert callable(check) and len(check(module, line)) == 1


@pytest.mark.parametrize(
    ("check", "module", "line"),
    [
        (upward, "causalrec.evaluation.evaluator", "from causalrec.propensity.base import AbstractPropensity"),
        (upward, "causalrec.heads.dot", "from causalrec.encoders import mf"),
        (upward, "causalrec.reporting.study", "from causalrec.config import compose"),
        (strangers, "causalrec.graph.backdoor", "def f():\n    import dowhy"),
        (strangers, "causalrec.learners.econml", "import econml.dml"),
        (heavy, "causalrec.types", "if TYPE_CHECKING:\n    from torch import Tensor"),
        (heavy, "causalrec.models", "import torch"),
    ],
)
def test_an_allowed_import_is_let_through(check: object, module: str, line: str) -> None:
    assert callable(check) and check(module, line) == []
