"""A package outside the tree, installed by its path, brings one of each kind; no file of ours knows of it."""

from __future__ import annotations

import importlib
import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from causalrec import cli
from causalrec.config.component import load_class
from causalrec.config.compose import package_folder
from causalrec.config.schema import COLLECTIONS, GROUPS

OUTSIDE = Path(__file__).parent / "outside"
CONF = OUTSIDE / "conf"
EVERY = ["dataset=rounds", "propensity=logged", "split=every_nth", "sampler=in_order", "augmentation=[doubled]"]
EVERY += [
    "encoder=squashed",
    "head=scaled_dot",
    "objective=tempered",
    "penalty=[user_gap,calm,steady]",
    "scheduler=decaying",
]
EVERY += ["+metric=[right_side]", "+slice=[afternoon]"]
FAST = ["logger=none", "evaluation.replicates=20"]
QUICK = ["trainer=smoke", "selection.folds=1", "trainer.progress=false", *FAST]


def replace_choices(*overrides: str) -> list[str]:
    """EVERY, with other choices of some groups."""
    groups = {text.partition("=")[0] for text in overrides}
    return [*(text for text in EVERY if text.partition("=")[0] not in groups), *overrides]


Call = Callable[..., tuple[int, str, str]]


@pytest.fixture(scope="module")
def work_folder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The package in a folder of its own on the path, declared to causalrec; returns a folder to work in."""
    site, work = tmp_path_factory.mktemp("site"), tmp_path_factory.mktemp("work")
    pip = [sys.executable, "-m", "pip", "-qq", "install", "--no-index", "--no-deps", "--no-build-isolation"]
    subprocess.run([*pip, "--target", str(site), str(OUTSIDE)], check=True, timeout=120)
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(site)
        patch.setenv("CAUSALREC_PACKAGES", "outlab")
        for name in ("DATA", "CACHE"):
            patch.setenv(f"CAUSALREC_{name}", str(work / name.lower()))
        for name in [name for name in sys.modules if name.partition(".")[0] == "outlab"]:
            patch.delitem(sys.modules, name)
        load_class.cache_clear()  # of classes of a copy that lies elsewhere
        assert Path(str(importlib.import_module("outlab").__file__)).is_relative_to(site)
        yield work
    load_class.cache_clear()


@pytest.fixture
def call(work_folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Call:
    """Run the command in the module's folder; return exit code, stdout and stderr."""
    monkeypatch.chdir(work_folder)

    def run(*arguments: str) -> tuple[int, str, str]:
        capsys.readouterr()
        code = cli.main(arguments)
        return code, *capsys.readouterr()

    return run


def train_job(call: Call, *overrides: str) -> dict[str, Any]:
    learns = not any(text.startswith(("learner=", "task=uniform")) for text in overrides)  # else no trainer is read
    code, out, err = call("train", "--json", "--config-dir", str(CONF), *(QUICK if learns else FAST), *overrides)
    assert code == 0, err
    (record,) = json.loads(out)
    assert record["status"] == "done"
    return dict(record)


def test_it_brings_one_of_each_kind_and_none_of_ours() -> None:
    groups = {path.relative_to(CONF).parts[0] for path in CONF.rglob("*.yaml")}
    assert groups == {*GROUPS, *COLLECTIONS} - {
        "propensity",
        "finetuning",
        "optimizer",
        "trainer",
        "logger",
        "baseline",
        "reranker",
    }
    assert not {path.relative_to(CONF) for path in CONF.rglob("*.yaml")} & {
        path.relative_to(package_folder("conf")) for path in package_folder("conf").rglob("*.yaml")
    }
    ours = Path(cli.__file__).parent
    assert not [path for path in ours.rglob("*.py") if "outlab" in path.read_text(encoding="utf-8")]


def test_every_component_trains_together(call: Call) -> None:
    record = train_job(call, *EVERY, "selection.candidates={penalty.user_gap.weight:[0.0,5.0],optimizer.lr:[0.01]}")
    for group, name in (("dataset", "rounds.Rounds"), ("split", "every_nth.EveryNth"), ("sampler", "in_order.InOrder")):
        assert record["config"][group]["_target_"] == f"outlab.{name}"
    scored = {(score["metric"], score["slice"]) for score in record["scores"]}
    assert {("right_side", "randomised"), ("right_side", "randomised_afternoon")} <= scored
    assert record["audit"]["augmented_rows"] == 2 * record["audit"]["rows"]["train"]
    assert "hour" in record["adjustment"]["outcome_features"], "a column of the row is among the numbers"
    tried = [candidate["settings"] for candidate in record["selection"]["candidates"]]
    assert tried == [{"penalty.user_gap.weight": weight, "optimizer.lr": 0.01} for weight in (0.0, 5.0)]
    curves = [candidate["curve"][0]["loss"] for candidate in record["selection"]["candidates"]]
    assert curves[0] < curves[1], "the penalty is part of the loss"


def test_a_packed_sweep_a_table_and_a_report_of_it(call: Call, work_folder: Path) -> None:
    packed = [*EVERY[:5], *EVERY[5:8], "scheduler=constant", "selection.candidates=none", "sweep=packed", "seed=0,1"]
    code, _, err = call("train", "-m", "hydra/launcher=packed", "--config-dir", str(CONF), *QUICK, *packed)
    assert code == 0, err
    code, out, err = call("table", "--json", "runs/packed", "--columns", "auc@randomised")
    assert code == 0, err
    (table,) = json.loads(out)
    assert table["rows"]["squashed-tempered"]["auc@randomised"]["seeds"] == 2
    assert call("report", "runs/packed")[0] == 0
    records = [json.loads(path.read_text()) for path in (work_folder / "runs/packed").rglob("record.json")]
    assert {record["execution"] for record in records} == {"packed: 2 jobs"}


def test_what_does_not_stack_trains_by_itself_beside_others(call: Call) -> None:
    alone = [*EVERY, "selection.candidates=none", "sweep=unstacked", "seed=0,1"]
    with pytest.warns(UserWarning, match="not packed"):
        code, _, err = call("train", "-m", "hydra/launcher=packed", "--config-dir", str(CONF), *QUICK, *alone)
    assert code == 0, err


def test_items_are_recommended_where_no_moment_is_read(call: Call, work_folder: Path) -> None:
    train_job(call, *EVERY, "graph=rounds_without_hour", "selection.candidates=none", "sweep=without_hour")
    (folder,) = (work_folder / "runs/without_hour/squashed-tempered").iterdir()
    code, out, err = call("recommend", "--json", str(folder), "--user", "u3", "--top", "2")
    assert code == 0, err
    assert [row["item"][0] for row in json.loads(out)["items"]] == ["i", "i"]
    train_job(call, *EVERY, "selection.candidates=none", "sweep=with_hour")
    (folder,) = (work_folder / "runs/with_hour/squashed-tempered").iterdir()
    code, _, err = call("recommend", str(folder), "--user", "u3")
    assert code == 2 and "its model reads hour, which a moment has" in err


def test_a_learner_and_a_refuter_of_an_effect(call: Call, work_folder: Path) -> None:
    effect = ["task=effect", "dataset.units=400", "learner=difference", "refuter=[sign]", "refute=true", "sweep=effect"]
    record = train_job(call, *effect)
    assert record["name"] == "difference" and record["selection"]["candidates"] == []
    assert {"average_effect"} <= {score["metric"] for score in record["scores"]}
    (folder,) = (work_folder / "runs/effect/difference").iterdir()
    verdicts = json.loads((folder / "refute.json").read_text())["verdicts"]
    assert [verdict["refuter"] for verdict in verdicts] == ["sign"]
    assert call("table", "runs/effect", "--columns", "average_effect@training")[0] == 0


def test_a_task_is_new_files_only(call: Call, work_folder: Path) -> None:
    """The value of a uniform policy: it learns nothing, and its estimators are components below it."""
    record = train_job(call, "task=uniform_value", "sweep=value")
    assert record["task"]["estimand"] == "uniform_policy_value"
    scores = {score["metric"]: score for score in record["scores"]}
    assert set(scores) == {"ips", "snips"}
    truth = (0.2 + 0.4 / 3 + 0.1 / 2) + 0.2 * 0.5  # of the simulation, half the users being women
    assert all(score["low"] - 0.1 < truth < score["high"] + 0.1 for score in scores.values())
    assert set(record["config"]["task"]["estimators"]) == {"ips", "snips"}
    assert not {"encoder", "objective", "trainer"} & set(record["config"]), "what nothing reads is not recorded"
    snips_record = train_job(
        call, "task=uniform_value", "task/weighting@task.estimators=[snips]", "sweep=value", "name=one"
    )
    assert [score["metric"] for score in snips_record["scores"]] == ["snips"]
    code, out, err = call("table", "runs/value")
    assert code == 0 and "snips" in out and "@uniform" in out and "Estimand: uniform_policy_value" in out, err
    assert call("report", "runs/value")[0] == 0
    launched = ["train", "-m", "hydra/launcher=packed", "--config-dir", str(CONF), "task=uniform_value", "logger=none"]
    assert call(*launched, "seed=0,1", "sweep=value_packed")[0] == 0
    (folder,) = (work_folder / "runs/value/uniform").iterdir()
    code, _, err = call("recommend", str(folder), "--user", "u3")
    assert code == 2 and "has learnt nothing that predicts" in err


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (
            [*QUICK, *replace_choices("objective=dr_jl", "sampler=balanced")],
            "averages over all pairs, which have no hour",
        ),
        (["task=uniform_value", "dataset=ml100k", "dataset.threshold=4"], "ml100k logs no propensities"),
        (["task=uniform_value", "optimizer.lr=0.1"], "optimizer.lr=0.1: task=uniform_value reads no optimizer"),
        ([*EVERY, "selection.candidates={penalty.gap.weight:[1]}"], "penalty.gap.weight: there is no penalty 'gap'"),
        ([*EVERY, "selection.candidates={optimizer.speed:[1]}"], "optimizer.speed: there is no such setting"),
        (
            [*EVERY, "selection.candidates={penalty.user_gap.column:[1]}"],
            "penalty.user_gap.column='gender' is no number",
        ),
        (
            replace_choices("graph=rounds_without_hour", "objective=dr_jl"),
            "averages over all_pairs rows, but sampler=in_order",
        ),
    ],
)
def test_what_does_not_go_together_is_one_line(call: Call, overrides: list[str], message: str) -> None:
    code, out, err = call("train", "--config-dir", str(CONF), *FAST, *overrides)
    assert (code, out) == (2, "") and message in err and err.count("\n") == 1, err


def test_a_penalty_that_gives_nan_ends_the_fit_in_one_line(call: Call) -> None:
    code, _, err = call(
        "train", "--config-dir", str(CONF), *QUICK, *EVERY, "penalty.user_gap.breaks=true", "sweep=broken"
    )
    assert code == 1 and "user_gap" in err and "nan" in err.lower() and "Traceback" not in err


def test_two_packages_with_one_component_name_are_told(call: Call, tmp_path: Path) -> None:
    (tmp_path / "encoder").mkdir()
    (tmp_path / "encoder" / "squashed.yaml").write_text("_target_: causalrec.encoders.mf.MF\n")
    code, _, err = call("train", "--config-dir", str(CONF), "--config-dir", str(tmp_path), "encoder=squashed")
    assert code == 2 and "encoder=squashed: stands in" in err and err.count("\n") == 1
    (tmp_path / "encoder" / "squashed.yaml").rename(tmp_path / "encoder" / "mf.yaml")
    code, _, err = call("train", "--config-dir", str(tmp_path), "encoder=mf")
    assert code == 2 and "encoder=mf: stands in" in err


def test_a_task_that_names_an_unknown_slice_is_told(call: Call, tmp_path: Path) -> None:
    (tmp_path / "task").mkdir()
    task = (CONF / "task" / "uniform_value.yaml").read_text().replace("override /slice: []", "override /slice: [tset]")
    (tmp_path / "task" / "misnamed.yaml").write_text(task)
    code, _, err = call("train", "--config-dir", str(CONF), "--config-dir", str(tmp_path), "task=misnamed")
    assert code == 2 and "slice=tset: unknown component; did you mean 'test'" in err


def test_a_run_of_another_schema_is_named_with_its_command(call: Call, work_folder: Path) -> None:
    record = train_job(call, "task=uniform_value", "sweep=schema")
    (path,) = (work_folder / "runs/schema").rglob("record.json")
    path.write_text(json.dumps({**record, "schema": 1}))
    code, _, err = call("table", "runs/schema")
    assert code == 1 and "written by another version of causalrec (schema 1, this one reads 6)" in err
    assert "run the job again: causalrec train" in err and err.count("\n") == 1
