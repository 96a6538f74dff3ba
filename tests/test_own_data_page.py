"""The page on own data: its YAML is valid and its commands run as they are written."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import numpy as np
import pytest
import yaml

from causalrec.cli import main
from causalrec.config.component import validate_component
from causalrec.data.datasets.csv import CsvTables
from causalrec.graph.causal_graph import CausalGraph

ROOT = Path(__file__).parents[1]
PAGE = (ROOT / "docs" / "own_data.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"```(\w*)\n(.*?)```", PAGE, re.DOTALL)
COMMANDS = [line.partition(" #")[0] for kind, block in BLOCKS if not kind for line in block.splitlines()]
COMMANDS += re.findall(r"`(causalrec data new [^`]* .*?)`", PAGE)


def test_every_yaml_of_the_page_is_valid() -> None:
    nodes = [yaml.safe_load(block) for kind, block in BLOCKS if kind == "yaml"]
    built: list[object] = [validate_component("page", node).build() for node in nodes]
    assert [type(component) for component in built] == [CsvTables, CausalGraph] * 3
    for tables, graph in zip(built[::2], built[1::2], strict=True):
        assert isinstance(tables, CsvTables) and isinstance(graph, CausalGraph)
        graph.for_columns(tables.card).check_nodes(tables.card)
    assert [key for key in CsvTables.__dataclass_fields__ if not re.search(rf"\b{key}\b", PAGE)] == []


@pytest.fixture
def work(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("CAUSALREC_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("CAUSALREC_DATA", str(tmp_path / "data"))
    (tmp_path / "examples").symlink_to(ROOT / "examples")
    rng = np.random.default_rng(0)
    pairs = rng.permutation(60 * 40)[:1500]
    rated = [f"{p // 40},{p % 40},{1 + p % 5},{10**9 + k * 3600}" for k, p in enumerate(pairs)]
    (tmp_path / "ratings.csv").write_text("\n".join(["user,item,rating,time", *rated]))
    (tmp_path / "log.csv").write_text(
        "\n".join(["account,sku,bought", *(f"{p // 40},{p % 40},{p % 2}" for p in pairs)])
    )
    for side, count in (("account", 60), ("sku", 40)):
        rows = [f"{k},{rng.integers(9)},{'abc'[k % 3]}" for k in range(count)]
        name = {"account": "users.csv", "sku": "items.csv"}[side]
        (tmp_path / name).write_text("\n".join([f"{side},{side}_size,{side}_kind", *rows]))
    age, group = rng.normal(40, 9, size=300), rng.integers(2, size=300)
    earned = [f"{a:.1f},{('control', 'trained')[g]},{100 + a + 5 * g:.1f}" for a, g in zip(age, group, strict=True)]
    (tmp_path / "people.csv").write_text("\n".join(["age,group,earnings", *earned]))
    return tmp_path


def run(command: str) -> int:
    extra = [f"paths.runs={Path.cwd() / 'runs'}"] if " train " in command else []
    return main([*shlex.split(command)[1:], *extra])


def test_every_command_of_the_page_but_training_runs_as_written(work: Path, capsys: pytest.CaptureFixture[str]) -> None:
    quick = [command for command in COMMANDS if " train " not in command]
    assert len(quick) == 8
    assert [command for command in quick if run(command) != 0] == [], capsys.readouterr().err


@pytest.mark.long
def test_every_training_of_the_page_runs_as_written(work: Path) -> None:
    for command in COMMANDS:
        if " train " in command or "data new" in command:
            assert run(command) == 0, command
    assert len(list(work.rglob("record.json"))) == 4
