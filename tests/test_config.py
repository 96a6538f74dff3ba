"""The door between YAML and Python: what is refused, in which words, and what a validated request holds."""

from __future__ import annotations

import importlib
import inspect
import json
import re
import sys
import textwrap
from pathlib import Path
from typing import Any

import pytest
import yaml

from causalrec import cli
from causalrec.config.component import load_class, validate_component
from causalrec.config.compose import (
    compose_all,
    compose_config,
    expand_sweep,
    normalise_overrides,
    package_folder,
    validate_config,
    validate_group,
)
from causalrec.config.schema import COLLECTIONS, GROUPS, ExperimentConfig
from causalrec.config.settings import refuse_unused
from causalrec.encoders.base import EncoderInputs
from causalrec.errors import CausalRecError, NotIdentified, RequestError
from causalrec.reporting.study import load_study
from causalrec.running.prepare import plan_run

CONF = package_folder("conf")
YAMLS = sorted(path.relative_to(CONF) for path in CONF.rglob("*.yaml"))
STUDIES = sorted(p for p in package_folder("experiments").rglob("*.yaml") if "conf" not in p.parts)


def spec(*overrides: str, config_dir: Path | None = None) -> ExperimentConfig:
    return validate_config(compose_config(normalise_overrides(list(overrides), [config_dir] if config_dir else [])))


def refusal(*overrides: str) -> str:
    with pytest.raises(RequestError) as caught:
        spec(*overrides)
    text = str(caught.value)
    assert "\n" not in text
    return text


@pytest.mark.parametrize("prefix", ["", "+"])
@pytest.mark.parametrize(
    ("extra", "key", "right"),
    [
        ([], "sed", "seed"),
        ([], "encodr", "encoder"),
        ([], "encoder.wdth", "width"),
        ([], "trainer.max_epoch", "max_epochs"),
        (["encoder=bert"], "encoder.model.foldr", "folder"),
        ([], "paths.cahce", "cache"),
        ([], "selection.criterin", "criterion"),
        ([], "evaluation.replicats", "replicates"),
        ([], "baseline.item_mean.priors", "prior"),
    ],
)
def test_a_misspelt_key_is_one_line_with_its_path_and_the_right_name_and_exit_code_2(
    prefix: str,
    extra: list[str],
    key: str,
    right: str,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    assert cli.main(["train", *extra, f"{prefix}{key}=1"]) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith(f"causalrec: {key}: unknown key; did you mean '{right}'")
    assert err.count("\n") == 1
    assert not list(tmp_path.iterdir()), "a refused request leaves nothing behind"


def test_a_key_of_a_leaf_without_keys_is_refused() -> None:
    assert refusal("metric.auc.k=3") == "metric.auc.k: unknown key; it takes none"


def test_a_part_that_the_run_hands_over_is_not_a_yaml_key() -> None:
    assert refusal("encoder.inputs=3").startswith("encoder.inputs: unknown key")


@pytest.mark.parametrize(
    ("override", "path", "value"),
    [
        ("seed=abc", "seed", "'abc'"),
        ("seed=-1", "seed", "-1"),
        ("name=../elsewhere", "name", "'../elsewhere'"),
        ("encoder.width=wide", "encoder.width", "'wide'"),
        ("encoder.width=-1", "encoder.width", "-1"),
        ("sampler.batch_size=1.5", "sampler.batch_size", "1.5"),
        ("optimizer.lr=0", "optimizer.lr", "0"),
        ("optimizer.lr=nan", "optimizer.lr", "nan"),
        ("graph.edges=3", "graph.edges", "3"),
        ("selection.folds=0", "selection.folds", "0"),
        ("evaluation.level=1", "evaluation.level", "1"),
        ("paths=3", "paths", "3"),
        ("metric.auc=3", "metric.auc", "3"),
        ("selection.criterion=best", "selection.criterion", "'best'"),
        ("trainer.precision=bf17", "trainer.precision", "'bf17'"),
    ],
)
def test_a_wrong_value_is_named_with_its_path(override: str, path: str, value: str) -> None:
    assert refusal(override).startswith(f"{path}={value}: ")


def test_a_bad_choice_names_the_right_ones() -> None:
    assert "'ips', 'naive' or 'randomised'" in refusal("selection.criterion=best")
    assert "'bf16-mixed'" in refusal("trainer.precision=bf17")


def test_a_wrong_value_in_a_nested_leaf_is_named_with_its_path() -> None:
    assert refusal("encoder=bert", "encoder.model.wheel=[1]").startswith("encoder.model.wheel")


@pytest.mark.parametrize(
    ("override", "expected"),
    [
        ("encoder=brt", "encoder=brt: unknown component; did you mean 'bert' or 'roberta'?"),
        ("objective=ipss", "objective=ipss: unknown component; did you mean 'ips'"),
        ("dataset=cot", "dataset=cot: unknown component; did you mean 'coat'?"),
        ("metric=zzzzzz", "metric=zzzzzz: unknown component; known: "),
    ],
)
def test_an_unknown_component_names_the_nearest(override: str, expected: str) -> None:
    assert refusal(override).startswith(expected)


@pytest.mark.parametrize("dataset", ["ml100k", "coat"])
def test_a_missing_mandatory_argument_is_asked_for(dataset: str) -> None:
    text = refusal(f"dataset={dataset}", "~dataset.threshold")
    assert text == "dataset.threshold: is mandatory; set dataset.threshold=VALUE"
    assert spec(f"dataset={dataset}", "dataset.threshold=null").dataset.arguments["threshold"] is None


@pytest.mark.parametrize("override", ["seed", "seed==1", "~nothing", "hydra.foo=1", "encoder=null", "seed=${nope}"])
def test_a_malformed_override_is_one_line(override: str) -> None:
    assert override.partition("=")[0].lstrip("~") in refusal(override)


def test_a_component_taken_away_is_missed() -> None:
    assert "encoder" in refusal("~encoder")
    assert refusal("~optimizer").startswith("~optimizer: every run has a component of optimizer; choose one")
    assert not spec("metric=[]").metric, "a task may do without"


OUTSIDE = ["os.system", "torch.hub.load", "pathlib.Path", "builtins.eval", "subprocess.Popen", "causalrecx.X", "MF", ""]


@pytest.mark.parametrize("target", OUTSIDE)
def test_a_target_outside_the_allowed_packages_is_refused_before_any_import(
    target: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    plain = compose_config([])
    plain["encoder"] = {"_target_": target}
    imported: list[str] = []
    real = importlib.import_module

    def spy(name: str, package: str | None = None) -> Any:
        imported.append(name)
        return real(name, package)

    monkeypatch.setattr(importlib, "import_module", spy)
    with pytest.raises(RequestError, match="only classes of causalrec may be built") as caught:
        validate_config(plain)
    assert str(caught.value).startswith(f"encoder._target_={target}: ")
    assert not [name for name in imported if not name.startswith("causalrec.")]


@pytest.mark.parametrize(
    "target", ["causalrec.config.compose.Path", "causalrec.heads.dot.Tensor", "causalrec.data.log.replace"]
)
def test_what_our_modules_merely_import_is_refused(target: str) -> None:
    with pytest.raises(RequestError, match=r"only classes of causalrec may be built|is not a class"):
        validate_component("anything", {"_target_": target})
    assert refusal(f"encoder._target_={target}").startswith(f"encoder._target_={target}: ")


@pytest.mark.parametrize(
    ("target", "why"),
    [
        ("causalrec.config.component.validate_component", "is not a class"),
        ("causalrec.config.component.importlib.import_module", "there is no such class"),
        ("causalrec.encoders.mf.Nope", "there is no such class"),
        ("causalrec.nowhere.X", "there is no such class"),
        ("causalrec.heads.dot.Dot", "is no AbstractAnyEncoder"),
        ("causalrec.config.component.ComponentConfig", "is no AbstractAnyEncoder"),
    ],
)
def test_a_target_of_ours_that_is_no_such_component_is_refused(target: str, why: str) -> None:
    assert refusal(f"encoder._target_={target}").startswith(f"encoder._target_={target}: {why}")


def test_a_class_of_the_wrong_contract_is_refused_in_a_collection_and_in_a_nested_leaf() -> None:
    wrong = "causalrec.metrics.auc.AUC"
    assert refusal(f"baseline.constant._target_={wrong}").endswith("is no AbstractBaseline")
    plain = compose_config(normalise_overrides(["encoder=bert"]))
    plain["encoder"]["model"] = {"_target_": "causalrec.training.trainer.TrainerSettings"}
    with pytest.raises(RequestError, match=r"^encoder\.model\._target_=causalrec\.training.*: expected .*Source"):
        validate_config(plain)


def own_package(folder: Path, name: str) -> None:
    (folder / name).mkdir()
    (folder / name / "__init__.py").write_text("")
    (folder / name / "towers.py").write_text(
        textwrap.dedent(
            """
            import torch
            from causalrec.encoders.base import AbstractEncoder

            class Ones(AbstractEncoder):
                def __init__(self, inputs, *, width: int = 3) -> None:
                    super().__init__()
                    self.width = width
                def users(self, batch): return torch.ones(len(batch), self.width)
                def items(self, ids): return torch.ones(*ids.shape, self.width)
            """
        )
    )


def test_only_a_declared_package_of_ones_own_gets_in(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    own_package(tmp_path, "undeclared_towers")
    own_package(tmp_path, "declared_towers")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setenv("CAUSALREC_PACKAGES", " causalrec, declared_towers,")
    assert "only classes of causalrec, declared_towers" in refusal("encoder._target_=undeclared_towers.towers.Ones")
    assert not [name for name in sys.modules if name.startswith("undeclared_towers")], "judged before the import"
    encoder = spec("encoder._target_=declared_towers.towers.Ones", "encoder.width=5").encoder
    assert encoder.to_dict() == {"_target_": "declared_towers.towers.Ones", "width": 5}
    assert encoder.build(EncoderInputs(1, 1, (), tmp_path, tmp_path)).width == 5
    assert "encoder.wdth: unknown key" in refusal("encoder._target_=declared_towers.towers.Ones", "encoder.wdth=5")


def test_a_further_folder_of_yaml_is_searched(tmp_path: Path) -> None:
    (tmp_path / "encoder").mkdir()
    (tmp_path / "encoder" / "narrow.yaml").write_text("_target_: causalrec.encoders.mf.MF\nwidth: 2\n")
    config = spec("encoder=narrow", config_dir=tmp_path)
    assert config.encoder.arguments == {"width": 2}
    assert config.run.choices["encoder"] == "narrow"
    assert "encoder=narrow: unknown component" in refusal("encoder=narrow")


NEEDED = {"feature_shift": {"column": "year", "below": 1990}, "user_shift": {"column": "age", "below": 30}}


def with_mandatory(node: dict[str, Any]) -> dict[str, Any]:
    """A member of a collection, its settings that have no default being given a name each."""
    parameters = inspect.signature(load_class(node["_target_"])).parameters.values()
    bare = [p.name for p in parameters if p.kind is p.KEYWORD_ONLY and p.default is p.empty]
    rules = {"rules": ["has(i, g) and likes(u, g) -> likes(u, i)"]} if "rules" in bare else {}
    return {**dict.fromkeys(bare, "anything"), **rules, **node}


def test_every_yaml_on_disk_composes_and_validates() -> None:
    checked = []
    components = [path for path in YAMLS if path.parent.name in {*GROUPS, *COLLECTIONS} - {"task"}]
    assert all(len(path.parts) == 2 for path in components), "conf/ is one level of groups"
    named = [(path.parent.name, path.stem) for path in components]
    every = compose_config([f"+{group}@every.{group}.{name}={name}" for group, name in named])["every"]
    for path in YAMLS:
        group, name = path.parent.name, path.stem
        written = yaml.safe_load((CONF / path).read_text(encoding="utf-8"))
        if path == Path("train.yaml"):
            assert dict(spec().groups())
        elif path == Path("estimate.yaml") or path.parent == Path("estimation"):
            chosen = [] if path == Path("estimate.yaml") else [f"estimation={name}"]
            assert validate_component("estimation", compose_config(chosen, "estimate")["estimation"]).build()
        elif path.parts[0] == "hydra":
            assert validate_component(f"hydra.{group}", written).build()
            continue
        elif path.parts[0] == "task" and len(path.parts) == 3:  # tests of their rooms build them
            nodes = [written] if "_target_" in written else [written[key] for key in written if key != "defaults"]
            assert all(load_class(node["_target_"]) for node in nodes)
        elif group == "task":
            assert dict(spec(f"task={name}").groups())["task"].to_dict()["_target_"] == written["task"]["_target_"]
        elif group in COLLECTIONS:
            assert every[group][name] == written
            for member, node in written.items():
                component = validate_component(
                    f"{group}.{member}", with_mandatory(node), load_class(COLLECTIONS[group])
                )
                assert component.to_dict()["_target_"] == node["_target_"]
        else:
            component = validate_group({group: {**every[group][name], **NEEDED.get(name, {})}}, group)
            assert component.to_dict()["_target_"] == written["_target_"]
        checked.append(path)
    files = [p for p in CONF.rglob("*") if p.is_file() and p.parent.parent != CONF / "hydra"]
    assert len(checked) == len(files) > 20
    assert {path.parent.name for path in checked if path.parent.name} == {
        *GROUPS,
        *COLLECTIONS,
        "estimation",
        *(path.name for path in (CONF / "task").iterdir() if path.is_dir()),
    }


def test_the_configurations_no_test_machine_can_run_validate_too() -> None:
    gpu, ddp = (spec(f"trainer={name}").trainer.to_dict() for name in ("gpu", "ddp"))
    assert (gpu["accelerator"], gpu["precision"]) == ("gpu", "bf16-mixed")
    assert (ddp["strategy"], ddp["devices"]) == ("ddp", 2)


def test_there_are_studies() -> None:
    assert STUDIES


@pytest.mark.long
@pytest.mark.parametrize("path", STUDIES, ids=lambda path: path.stem)
@pytest.mark.parametrize("smoke", [False, True], ids=["full", "smoke"])
def test_every_job_of_every_study_composes_validates_and_is_identified(path: Path, smoke: bool, tmp_path: Path) -> None:
    study = load_study(str(path))
    assert len(study.jobs(smoke)) == len(study.rows) * (1 if smoke else len(study.seeds))
    jobs = study.jobs(smoke)[:: 1 if smoke else len(study.seeds)]  # seeds compose alike: the first of each row
    if study.kind == "estimate":
        for job in jobs:
            assert validate_component(
                "estimation", compose_config(normalise_overrides(job), "estimate")["estimation"]
            ).build()
        return
    folders = [f"paths.{name}={tmp_path / name}" for name in ("data", "cache", "runs")]
    specs = compose_all([normalise_overrides([*job, *folders]) for job in jobs])
    assert len({config.folder for config in specs}) == len(jobs), "no two jobs share a record"
    for config in specs:
        assert plan_run(config).adjustment.estimand in ("exposed_mean", "effect")
        assert (config.trainer.arguments.get("limit_batches") is not None) == smoke


def test_resolved_holds_every_constructor_default_as_json() -> None:
    resolved = spec("encoder=bert").to_dict()
    again = json.loads(json.dumps(resolved))
    assert json.dumps(again) == json.dumps(resolved)
    assert resolved["optimizer"] == {
        "_target_": "causalrec.training.optimizer.AdamW",
        "lr": 0.01,
        "bias_decay": 0.01,
    }, "what candidates set is no setting of the optimizer's"
    assert resolved["selection"]["candidates"] == {"optimizer.weight_decay": [0.3, 1.0, 3.0, 10.0]}
    alone = spec("selection.candidates=none").to_dict()
    assert alone["optimizer"]["weight_decay"] == 0.1 and alone["selection"]["candidates"] == {}
    assert resolved["objective"] == {"_target_": "causalrec.estimators.objective.dr_jl.DRJL", "clip": 0.1} | {
        "dynamic": None,
        "legacy_public_code": False,
    }
    assert resolved["encoder"]["width"] == 16
    assert resolved["encoder"]["model"]["url"] is None, "a nested validate_component is resolved as well"
    assert resolved["metric"]["ndcg@5"] == {"_target_": "causalrec.metrics.ndcg.NDCG", "k": 5, "empty": "skip"}
    assert resolved["dataset"]["item_text"]["popularity"] == "Popularity {:.1f}.", "defaults made by a factory as well"


def test_resolved_names_every_yaml_key_of_every_leaf() -> None:
    config = spec()
    for name, component in [
        *config.groups(),
        *((k, c) for _, members in config.collections() for k, c in members.items()),
    ]:
        parameters = inspect.signature(component.target).parameters.values()
        keys = [p.name for p in parameters if p.kind is p.KEYWORD_ONLY]
        assert set(component.to_dict()) == {"_target_", *keys}, name


def test_what_was_given_wins_over_a_default_in_resolved() -> None:
    resolved = spec("encoder.width=8", "objective.clip=0.2", "seed=7").to_dict()
    assert (resolved["encoder"]["width"], resolved["objective"]["clip"], resolved["seed"]) == (8, 0.2, 7)


def test_the_key_is_stable_and_tells_what_determines_a_result() -> None:
    key = spec().key
    assert spec().key == key
    for change in ("seed=1", "optimizer.lr=0.02", "encoder.width=8", "objective=ips", "dataset.draw=1", "split.seed=1"):
        assert spec(change).key != key, change
    assert spec("dataset.item_text={title: '{}'}").key != key


@pytest.mark.parametrize(
    "override",
    [
        "paths.runs=/elsewhere",
        "paths.data=/elsewhere",
        "paths.cache=/elsewhere",
        "logger=none",
        "sweep=other",
        "name=other",
        "trainer.progress=false",
        "encoder.width=16",
    ],
)
def test_the_key_ignores_what_does_not(override: str) -> None:
    assert spec(override).key == spec().key


def test_a_record_goes_to_a_folder_of_its_sweep_row_seed_and_key(tmp_path: Path) -> None:
    config = spec(f"paths.runs={tmp_path}", "sweep=s", "name=row", "seed=3")
    assert config.folder == tmp_path / "s" / "row" / f"seed3-{config.key}"


@pytest.mark.parametrize("prefix", ["", "+", "++"])
def test_a_value_absent_from_the_yaml_can_be_set(prefix: str) -> None:
    assert "width" not in compose_config([])["encoder"]
    config = spec(f"{prefix}encoder.width=8")
    assert config.encoder.arguments == {"width": 8}
    assert config.encoder.to_dict()["width"] == 8


def test_a_leaf_with_changes_leaves_the_original_alone() -> None:
    validate_component = spec().optimizer
    assert validate_component.replace(weight_decay=3.0).build().weight_decay == 3.0
    assert validate_component.build().weight_decay == 0.1


def test_a_sweep_expands_in_hydras_order() -> None:
    jobs = expand_sweep(normalise_overrides(["objective=naive,ips", "seed=0,1", "sweep=s"]))
    assert jobs == [
        [f"objective={objective}", f"++seed={seed}", "++sweep=s"] for objective in ("naive", "ips") for seed in (0, 1)
    ]
    named = [validate_config(compose_config(job)) for job in jobs]
    assert [(config.run.name, config.run.seed) for config in named] == [
        ("mf-naive", 0),
        ("mf-naive", 1),
        ("mf-ips", 0),
        ("mf-ips", 1),
    ]


def test_a_sweep_over_a_list_and_over_a_range_expands() -> None:
    jobs = expand_sweep(
        normalise_overrides(
            [
                "selection.candidates={optimizer.weight_decay:[0.1]},{optimizer.weight_decay:[1.0,3.0]}",
                "encoder.width=range(1,3)",
            ]
        )
    )
    assert len(jobs) == 4
    assert jobs[-1] == ["++selection.candidates={optimizer.weight_decay:[1.0,3.0]}", "++encoder.width=2"]


def test_without_sweeps_there_is_one_job() -> None:
    assert expand_sweep(normalise_overrides(["seed=3"])) == [["++seed=3"]]


def test_what_is_not_identified_counts_as_a_wrong_request() -> None:
    assert issubclass(NotIdentified, RequestError)
    assert (RequestError.exit_code, CausalRecError.exit_code) == (2, 1)


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("choices.foo=x", "choices.foo"),
        ("split.validation=2", "split.validation=2: input should be less than 1"),
        ("dataset.exposed=-1", "dataset.exposed=-1: input should be greater than 0"),
        ("sampler.batch_size=0", "sampler.batch_size=0: input should be greater than 0"),
    ],
)
def test_values_that_make_no_sense_are_refused(override: str, message: str) -> None:
    assert refusal(override).startswith(message)


def test_a_task_misses_its_mandatory_baselines() -> None:
    message = "baseline: bias_logistic, item_mean, popularity missing; the trivial baselines are mandatory for"
    with pytest.raises(RequestError, match=re.escape(message)):
        plan_run(spec("baseline=[constant]"))


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (["task=effect", "learner=null"], "learner=null: task=effect needs a learner"),
        (
            ["selection.candidates={optimizer.lr:[a]}"],
            "selection.candidates.optimizer.lr.0='a': input should be a valid",
        ),
        (["penalty=[gap]", "penalty.gap.column=nope"], "penalty.gap: reads column 'nope'"),
    ],
)
def test_what_a_newcomer_asked_is_one_line_before_any_work(
    overrides: list[str],
    message: str,
    capsys: pytest.CaptureFixture[str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    assert cli.main(["train", "logger=none", *overrides]) == 2
    error = capsys.readouterr().err.strip()
    assert message in error and "\n" not in error and not (tmp_path / "runs").exists()


def test_two_members_of_a_collection_of_one_name_are_refused_whatever_their_files_are_called(tmp_path: Path) -> None:
    for folder, target in (("one", "auc.AUC"), ("two", "mse.MSE")):
        (tmp_path / folder / "metric").mkdir(parents=True)
        text = f"mine: {{_target_: causalrec.metrics.{target}}}\n"
        (tmp_path / folder / "metric" / f"{folder}.yaml").write_text(text)
    with pytest.raises(RequestError, match=r"metric 'mine': stands in .*one.yaml and in .*two.yaml; rename one"):
        normalise_overrides([], [tmp_path / "one", tmp_path / "two"])
    (tmp_path / "two" / "metric" / "two.yaml").write_text("auc: {_target_: causalrec.metrics.mse.MSE}\n")
    with pytest.raises(RequestError, match="metric 'auc': stands in "):
        normalise_overrides([], [tmp_path / "two"])
    assert normalise_overrides(["seed=1"], [tmp_path / "one", tmp_path / "one"])[-1] == "++seed=1", "one folder, twice"


def test_a_broken_yaml_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "encoder").mkdir()
    (tmp_path / "encoder" / "broken.yaml").write_text("_target_: [bad\n")
    with pytest.raises(RequestError, match=r"broken\.yaml: line 2: .*; close the bracket"):
        compose_config(normalise_overrides(["encoder=broken"], [tmp_path]))


def test_settings_of_a_metric_without_its_cut_off_are_those_of_each_k() -> None:
    metrics = spec("metric.ndcg.k=[5,10]", "metric.recall.k=3", "metric.ndcg_zero.empty=skip").metric
    ndcg = {name: component.arguments for name, component in metrics.items() if name.startswith("ndcg")}
    assert ndcg == {
        "ndcg@5": {"k": 5, "empty": "skip"},
        "ndcg@10": {"k": 10, "empty": "skip"},
        "ndcg_zero@5": {"k": 5, "empty": "skip"},
        "ndcg_one@5": {"k": 5, "empty": "one"},
    }
    assert "recall@3" in metrics and "recall@5" not in metrics
    assert refusal("metric.ndcg.k=[5,x]").startswith("metric.ndcg@x.k='x': input should be a valid integer")


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (["choices.encoder=bert"], "choices.encoder=bert: choices are written by the run; choose a component with"),
        (["selection.candidates={optimizer.lr:[true]}"], "true and false are no numbers"),
        (["selection.candidates={optimizer.lr:[inf]}"], "finite"),
        (["selection.candidates={optimizer.lr:[0.1,0.1]}"], "a number is given twice"),
    ],
)
def test_what_would_be_taken_in_silence_is_refused(overrides: list[str], message: str) -> None:
    with pytest.raises(RequestError, match=message):
        spec(*overrides)


def test_a_clip_that_no_criterion_divides_by_is_refused() -> None:
    overrides = ("selection.criterion=naive", "selection.clip=0.2")
    with pytest.raises(RequestError, match=r"selection.clip=0.2: selection.criterion=naive divides by nothing"):
        refuse_unused([spec(*overrides)], [overrides])
