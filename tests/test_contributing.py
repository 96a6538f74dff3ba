"""The skeletons of CONTRIBUTING.md, as a package outside the tree, keep the contracts, pass their tests, and train."""

from __future__ import annotations

import ast
import doctest
import importlib
import json
import re
import runpy
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import yaml

from causalrec import cli
from causalrec.config.component import keyword_parameters, load_class, validate_component
from causalrec.config.compose import package_folder
from causalrec.config.schema import COLLECTIONS, GROUPS
from tests.conftest import FakeCoat
from tests.contracts import test_components, test_row_components
from tests.estimators import test_objectives
from tests.metrics import test_metric_contract
from tests.statistical import test_objective_unbiasedness
from tests.test_words import participles, vague_names

ROOT = Path(__file__).parent.parent
TEXT = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
BLOCK = re.compile(r"^`([\w./]+)`\n```(?:python|yaml)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
SKELETONS = dict(BLOCK.findall(TEXT))
MODULES = [name.removesuffix(".py").replace("/", ".") for name in SKELETONS if re.fullmatch(r"mylab/\w+\.py", name)]
CHOICES = ["dataset=coat", "split=in_order", "split.unseen=drop", "objective=trimmed_ips", "penalty=[mean_level]"]
CHOICES += [
    "metric=[auc,within]",
    "trainer=smoke",
    "selection.folds=1",
    "trainer.progress=false",
    "selection.candidates=none",
]


def components() -> Iterator[tuple[str, str, dict[str, Any]]]:
    """Every (group, name, node with a `_target_`) among the skeletons."""
    for path, text in SKELETONS.items():
        if path.endswith(".yaml"):
            group, name = Path(path).parent.name, Path(path).stem
            loaded = yaml.safe_load(text)
            nodes = loaded if group in COLLECTIONS else {name: loaded["task"] if group == "task" else loaded}
            yield from ((group, key, node) for key, node in nodes.items())


@pytest.fixture(scope="module")
def package(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The folder above the package, which is on the path and declared to causalrec."""
    folder = tmp_path_factory.mktemp("contributing")
    for name, text in {**SKELETONS, "mylab/__init__.py": ""}.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text, encoding="utf-8")
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(folder)
        patch.setenv("CAUSALREC_PACKAGES", "mylab")
        yield folder
    for name in [name for name in sys.modules if name.partition(".")[0] == "mylab"]:
        del sys.modules[name]
    load_class.cache_clear()


def build(group: str) -> list[Any]:
    """The skeletons of a group that the run builds without being handed anything."""
    contract = load_class({**GROUPS, **COLLECTIONS}[group])
    return [validate_component(group, node, contract).build() for room, _, node in components() if room == group]


def test_there_is_a_skeleton_of_each_and_none_hides_a_component_of_ours() -> None:
    assert {group for group, _, _ in components()} == {"split", "objective", "penalty", "metric", "task"}
    assert len(MODULES) == 5 and TEXT.count("```python\n") + TEXT.count("```yaml\n") == len(SKELETONS)
    ours = {path.relative_to(package_folder("conf")).as_posix() for path in package_folder("conf").rglob("*.yaml")}
    assert not {name.removeprefix("mylab/conf/") for name in SKELETONS} & ours


def test_each_component_keeps_the_contract_of_all(package: Path) -> None:
    for group, _, node in components():
        test_components.test_the_target_is_a_final_class_that_fulfils_the_contract(group, node)
        test_components.test_its_file_holds_no_other_component(group, node)
        test_components.test_its_yaml_keys_are_keyword_only_and_typed(group, node)
        test_components.test_its_keys_can_be_read_without_importing_it(group, node)
        keys = keyword_parameters(load_class(node["_target_"]))
        assert not [key for key, value in node.items() if key in keys and keys[key].default == value]


def test_each_component_keeps_the_contract_of_its_kind(package: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for split in build("split"):
        for randomised in (False, True):
            test_row_components.test_a_split_gives_disjoint_logged_rows_and_draws_them_by_its_settings_alone(
                split, randomised
            )
    for objective in build("objective"):
        name = type(objective).__name__
        monkeypatch.setitem(test_objectives.OBJECTIVES, name, objective)
        for link in test_objectives.LINKS:
            test_objectives.test_each_term_reaches_the_role_it_trains_and_no_other(name, link)
            test_objectives.test_each_value_depends_on_its_own_row_alone(name, link)
            test_objectives.test_an_unobserved_row_with_a_nan_propensity_is_finite_with_finite_gradients(name, link)
        test_objectives.test_terms_map_under_vmap(name, "logit")
        world = test_objective_unbiasedness.WORLD
        estimate = test_objective_unbiasedness.estimates
        for propensity, unbiased in ((world.propensity, True), (world.flat, False)):
            away = test_objective_unbiasedness.distance(estimate(objective, propensity, world.rate), world.ideal)
            assert away < 4 if unbiased else away > 6
    for group, name, node in components():
        if group == "metric":
            component = validate_component(name, node, load_class(COLLECTIONS[group]))
            monkeypatch.setitem(test_metric_contract.METRICS, name, component)
            test_metric_contract.test_replicates_are_the_metric_of_the_resampled_data_set(name, "binary")
            test_metric_contract.test_neither_the_order_of_rows_nor_the_names_of_users_matter(name, "rate")


def test_their_examples_and_the_tests_of_the_page_pass(package: Path) -> None:
    examples = [doctest.testmod(importlib.import_module(module)) for module in MODULES]
    assert sum(result.attempted for result in examples) >= 2 and not any(result.failed for result in examples)
    tests = runpy.run_path(str(package / "tests" / "test_mylab.py"))
    functions: list[Callable[[], None]] = [tests[name] for name in tests if name.startswith("test_")]
    assert len(functions) == len(MODULES)
    for function in functions:
        function()


def test_they_train_together_and_the_task_answers(
    package: Path,
    fake_coat: FakeCoat,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setenv("CAUSALREC_DATA", str(fake_coat(tmp_path / "data")))
    monkeypatch.setenv("CAUSALREC_CACHE", str(tmp_path / "cache"))
    monkeypatch.chdir(tmp_path)

    def record_of(*overrides: str) -> SimpleNamespace:
        command = ["train", "--json", "--config-dir", str(package / "mylab" / "conf"), "logger=none"]
        code = cli.main([*command, "evaluation.replicates=10", *overrides])
        out, err = capsys.readouterr()
        assert code == 0, err
        (record,) = json.loads(out)
        return SimpleNamespace(**record)

    trained = record_of(*CHOICES)
    assert trained.status == "done" and trained.config["objective"]["trim"] == 0.05
    assert trained.config["split"]["_target_"] == "mylab.in_order.InOrder"
    assert trained.config["penalty"]["mean_level"]["level"] == 0.4
    assert {"auc", "within", "within@0.4"} <= {score["metric"] for score in trained.scores}
    answered = record_of("task=liked_share", "dataset=coat", "split.unseen=drop")
    (score,) = [score for score in answered.scores if score["model"] == "liked_share"]
    assert (score["metric"], score["slice"]) == ("liked", "randomised") and 0 < score["value"] < 1
    assert answered.task["estimand"] == "liked_share"


@pytest.mark.parametrize("module", MODULES)
def test_their_names_are_plain(module: str) -> None:
    tree = ast.parse(SKELETONS[module.replace(".", "/") + ".py"])
    assert [*vague_names(tree), *participles(tree)] == []


def test_every_file_that_the_page_names_is_there() -> None:
    paths = re.findall(r"`((?:causalrec|tests|conf|experiments)/[\w./]+)`", TEXT)
    paths = [path for path in paths if not re.search(r"mine|mylab|NAME|ROOM|GROUP|TABLE", path)]
    assert len(set(paths)) > 40
    assert [path for path in paths if not (ROOT / path).exists()] == []
