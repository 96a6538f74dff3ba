"""A run from raw files to its record: what is in it, what decides it, and what stops it."""

from __future__ import annotations

import dataclasses
import json
import os
import signal
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from conftest import FakeCoat, FakeML100K, last_of_each

from causalrec import cli
from causalrec.config.component import load_class
from causalrec.config.compose import compose_config, normalise_overrides, package_folder, validate_config
from causalrec.config.schema import ExperimentConfig
from causalrec.data.card import DatasetCard
from causalrec.data.datasets.coat import Coat
from causalrec.data.datasets.ml100k import ML100K
from causalrec.data.datasets.ml100k_semisynthetic import ML100KSemisynthetic
from causalrec.data.log import InteractionLog
from causalrec.data.split.random import Random
from causalrec.encoders import text_projection
from causalrec.errors import NotIdentified, RequestError
from causalrec.features.views import FeatureMatrix
from causalrec.ids import fit_id
from causalrec.prepared import PreparedData
from causalrec.propensity.logistic import Logistic
from causalrec.running import run
from causalrec.running.cache import PreparedCache
from causalrec.running.prepare import plan_run
from causalrec.tasks.exposed_mean import ExposedMean
from causalrec.training.folds import fold_logs
from causalrec.training.module import CausalRecModule
from causalrec.training.selection import fit_sequentially

REAL = Path(os.environ.get("CAUSALREC_DATA", "absent"))  # read before any fixture changes it
MUST_HAVE_DATA = bool(os.environ.get("CAUSALREC_REQUIRE_DATA"))
CONF = package_folder("conf")
OBJECTIVES = sorted(path.stem for path in (CONF / "objective").glob("*.yaml"))
TARGETS = {n: yaml.safe_load((CONF / "objective" / f"{n}.yaml").read_text())["_target_"] for n in OBJECTIVES}
BASELINES = sorted(ExposedMean.mandatory_baselines)
SMALL = ["trainer=smoke", "selection.folds=1", "logger=none", "selection.candidates={optimizer.weight_decay:[0.1]}"]
DECAY = "optimizer.weight_decay"
SMALL += ["trainer.progress=false"]
SMALL += ["evaluation.replicates=20"]
SEMI = ["dataset=ml100k_semisynthetic", "dataset.test_items=10"]
DATASETS = {"semi": SEMI, "ml100k": ["dataset=ml100k"], "coat": ["dataset=coat", "split.unseen=drop"]}
CORE = ("naive", "ips", "snips", "dr_jl")
RUNS = [(o, d) for o in CORE for d in DATASETS]  # the others, one data set each
RUNS += [
    (o, "coat")
    for o in OBJECTIVES
    if o not in CORE
    and "explicit" in load_class(TARGETS[o]).feedback_types
    and load_class(TARGETS[o]).estimand != "effect"
]
KEYS = {"name", "config", "versions", "git_sha", "data", "audit", "adjustment", "overlap", "selection", "parameters"}
KEYS |= {"scores", "baselines", "seconds", "peak_bytes", "status"}

Train = Callable[..., dict[str, Any]]


@pytest.fixture
def work(fake_ml100k: FakeML100K, fake_coat: FakeCoat, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working directory beside fake raw data, with nothing kept from an earlier run."""
    data = fake_coat(fake_ml100k(tmp_path / "data", users=60, items=50, ratings=900))
    monkeypatch.setenv("CAUSALREC_DATA", str(data))
    monkeypatch.setenv("CAUSALREC_CACHE", str(tmp_path / "cache"))
    (tmp_path / "work").mkdir()
    monkeypatch.chdir(tmp_path / "work")
    return tmp_path / "work"


@pytest.fixture
def train(work: Path, capsys: pytest.CaptureFixture[str]) -> Train:
    """Train one job through the command and return its record."""

    def call(*overrides: str, code: int = 0) -> dict[str, Any]:
        capsys.readouterr()
        assert cli.main(last_of_each("train", "--json", *SMALL, *overrides)) == code
        (record,) = json.loads(capsys.readouterr().out)
        assert isinstance(record, dict)
        return record

    return call


def spec_of(*overrides: str) -> ExperimentConfig:
    return validate_config(compose_config(normalise_overrides([*SMALL, *overrides])))


def finite(scores: list[dict[str, Any]]) -> None:
    for score in scores:
        shown = {"metric", "slice", "value", "low", "high", "n", "model", "absolute", "higher_is_better", "note"}
        assert set(score) == shown
        assert isinstance(score["n"], int) and score["n"] > 0
        for key in ("value", "low", "high"):
            assert score[key] is None or isinstance(score[key], float | int), score


@pytest.mark.parametrize(
    ("objective", "dataset"),
    [pytest.param(o, d, marks=[pytest.mark.long] if o in CORE[1:] and d != "coat" else []) for o, d in RUNS],
)
def test_every_objective_runs_from_raw_files_to_a_whole_record(objective: str, dataset: str, train: Train) -> None:
    two = ["learner=two_encoders"] if objective == "mr" else []
    record = train(*DATASETS[dataset], f"objective={objective}", "encoder=mf", *two)
    assert set(record) >= KEYS
    assert (record["status"], record["error"]) == ("done", None)
    assert record["name"] == f"mf-{objective}"
    assert record["config"]["objective"]["_target_"] == TARGETS[objective]
    assert record["versions"]["causalrec"] and record["versions"]["torch"]
    assert record["data"]["sha256"]
    assert all(count > 0 for count in record["audit"]["rows"].values())
    assert record["parameters"]["outcome"] > 0
    assert record["seconds"] > 0 and record["peak_bytes"] > 1e6
    assert len(record["selection"]["candidates"]) == 1
    assert record["overlap"]["effective_rows"] > 0
    finite(record["scores"])
    finite(record["baselines"])
    assert {score["model"] for score in record["scores"]} == {f"mf-{objective}"}
    assert {score["model"] for score in record["baselines"]} == ExposedMean.mandatory_baselines
    main = "logged" if dataset == "ml100k" else "randomised"
    auc = {s["slice"]: s["value"] for s in record["scores"] if s["metric"] == "auc"}
    assert 0 <= auc[main] <= 1
    assert ("all_pairs" in {s["slice"] for s in record["scores"]}) == (dataset == "semi")


def test_the_real_ratings_are_binarised_at_the_threshold_asked_for(train: Train) -> None:
    four, five = (train("dataset=ml100k", f"dataset.threshold={t}", "objective=naive") for t in (4, 5))
    assert (four["audit"]["threshold"], five["audit"]["threshold"]) == (4.0, 5.0)
    assert four["audit"]["mean_outcome"]["train"] > five["audit"]["mean_outcome"]["train"]
    assert four["adjustment"]["evaluation"]["strategy"] == "none", "its test is logged"


def test_rating_points_are_trained_on_where_no_threshold_is_given(train: Train) -> None:
    record = train("dataset=ml100k", "dataset.threshold=null", "objective=dr_jl")
    assert record["audit"]["threshold"] is None
    assert 1 < record["audit"]["mean_outcome"]["train"] <= 5
    assert {"mse"} <= {s["metric"] for s in record["scores"]}
    assert "auc" not in {s["metric"] for s in record["scores"]}, "no AUC of graded outcomes"


def test_the_record_lies_where_the_specification_says(train: Train, work: Path) -> None:
    record = train(*SEMI, "objective=naive", "sweep=s", "seed=2")
    spec = spec_of(*SEMI, "objective=naive", "sweep=s", "seed=2")
    assert json.loads((work / spec.folder / "record.json").read_text()) == record
    assert record["config"] == json.loads(json.dumps(spec.to_dict()))


def same(record: dict[str, Any]) -> dict[str, Any]:
    """What two runs of one seed must agree in."""
    compared = {key: value for key, value in record.items() if key not in ("seconds", "cost", "peak_bytes", "command")}
    return {**compared, "config": {k: v for k, v in compared["config"].items() if k != "paths"}}


@pytest.mark.parametrize("objective", ["dr_jl", pytest.param("ips", marks=pytest.mark.long)])
def test_the_same_seed_gives_the_same_record_and_another_does_not(objective: str, train: Train, work: Path) -> None:
    records = []
    for folder in ("a", "b"):
        records.append(train(*SEMI, f"objective={objective}", f"paths.runs={folder}", f"paths.cache={folder}/cache"))
    assert same(records[0]) == same(records[1])
    first, second = (np.load(next((work / folder).rglob("replicates.npz"))) for folder in ("a", "b"))
    assert first.files == second.files
    assert all(np.array_equal(first[name], second[name], equal_nan=True) for name in first.files)
    other = train(*SEMI, f"objective={objective}", "seed=1")
    assert other["audit"]["hashes"] == records[0]["audit"]["hashes"], "the split has a seed of its own"
    assert same(other)["scores"] != same(records[0])["scores"]


@pytest.mark.long
def test_the_seed_draws_the_initial_weights(train: Train) -> None:
    """One batch of all rows leaves the seed nothing to choose but where training starts."""
    auc = []
    for seed in (0, 1):
        record = train(*SEMI, "objective=naive", f"seed={seed}")
        assert record["audit"]["rows"]["train"] < record["config"]["sampler"]["batch_size"]
        auc += [s["value"] for s in record["scores"] if (s["metric"], s["slice"]) == ("auc", "randomised")]
    assert abs(auc[0] - auc[1]) > 1e-3


def test_a_job_does_not_depend_on_the_job_before_it(work: Path) -> None:
    cache = PreparedCache()

    def record(*overrides: str) -> dict[str, Any]:
        loaded: dict[str, Any] = json.loads(run.train(spec_of(*overrides), cache=cache).read_text())
        return loaded

    alone = record(*SEMI, "objective=ips")
    other = record(*SEMI, "objective=ips", "propensity=popularity")
    record("dataset=ml100k", "objective=naive")
    after = record(*SEMI, "objective=ips", "sweep=again")
    assert after["scores"] == alone["scores"]
    assert after["overlap"] == alone["overlap"]
    assert other["overlap"] != alone["overlap"]


def test_jobs_that_prepare_the_same_share_it_and_no_other_does(work: Path) -> None:
    cache = PreparedCache()

    def prepare(*overrides: str) -> PreparedData:
        config = spec_of(*SEMI, *overrides)
        return cache.prepare(config, plan_run(config))

    first = prepare("objective=ips")
    assert prepare("objective=snips", "seed=3", "encoder.width=4") is first, "what comes after a split"
    for changed in ("split.seed=1", "propensity=popularity", "dataset.draw=1", "selection.folds=2"):
        assert prepare("objective=ips", changed) is not first
    assert prepare("objective=ips") is not first, "the last alone is held"


def test_jobs_of_one_group_hold_what_each_prepares_and_the_next_group_no_more_than_it_needs(
    work: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    prepared: list[int] = []
    monkeypatch.setattr("causalrec.running.prepare.prepare_data", lambda config, plan: prepared.append(1) or object())
    cache = PreparedCache()

    def run_group(objective: str, *draws: int) -> int:
        """Let a group end before its fits and return how often it prepared data."""
        configs = [spec_of(*SEMI, f"objective={objective}", f"dataset.draw={draw}") for draw in draws]
        prepared.clear()
        run.train_together(configs, fit_sequentially, [None] * len(configs), cache=cache)
        assert len(cache.held) == cache.slots == len(draws)
        return len(prepared)

    assert run_group("ips", 0, 1, 2) == 3
    assert run_group("snips", 0, 1, 2) == 0, "the same data under another objective"
    assert run_group("ips", 2, 3) == 1 and run_group("ips", 0) == 1


def test_every_weight_decay_is_tried_and_the_best_on_biased_validation_rows_is_kept(train: Train) -> None:
    requested = [*SEMI, "objective=ips", "selection.candidates={optimizer.weight_decay:[0.1,3.0]}", "selection.folds=1"]
    record = train(*requested, "selection.extend=false")
    selection = record["selection"]
    tried = {c["settings"][DECAY]: c["criterion"] for c in selection["candidates"]}
    assert set(tried) == {0.1, 3.0}
    (warning,) = [line for line in record["warnings"] if "an end of what was tried" in line]
    assert warning.startswith(f"{DECAY}={selection['chosen'][DECAY]:g} was chosen at an end")
    further = train(*requested)["selection"]["candidates"]
    assert 3 <= len(further) <= 6 and {c["settings"][DECAY] for c in further} > {0.1, 3.0}
    chosen = min(tried, key=lambda decay: tried[decay])
    assert selection["chosen"] == {DECAY: chosen} and selection["fit"] == fit_id(selection["chosen"])


# The graph decides what is read.


class Spied:
    """What the propensity was fitted on."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.views: list[FeatureMatrix] = []
        real = Logistic.fit

        def fit(propensity: Logistic, log: Any, features: FeatureMatrix, randomised_sample: Any = None) -> None:
            self.views.append(features)
            real(propensity, log, features, randomised_sample)

        monkeypatch.setattr(Logistic, "fit", fit)


def edited_graph(folder: Path, old: str, new: str | None) -> Path:
    """Copy the semi-synthetic graph with one edge replaced (or dropped) as graph=mine; return the config folder."""
    graph = yaml.safe_load((CONF / "graph" / "ml100k_semisynthetic.yaml").read_text())
    assert old in graph["edges"]
    graph["edges"] = [new if edge == old else edge for edge in graph["edges"] if edge != old or new is not None]
    (folder / "graph").mkdir(parents=True)
    (folder / "graph" / "mine.yaml").write_text(yaml.safe_dump(graph))
    return folder


def test_one_edited_edge_changes_the_adjustment_set_and_both_inputs(
    train: Train, work: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    spied = Spied(monkeypatch)
    before = train(*SEMI, "objective=ips")
    folder = edited_graph(work / "conf", "popularity -> exposure", "exposure -> popularity")
    after = train("--config-dir", str(folder), *SEMI, "objective=ips", "graph=mine")
    assert before["adjustment"]["propensity_view"] == ["activity", "affinity", "popularity"]
    assert after["adjustment"]["propensity_view"] == ["activity", "affinity"]
    assert after["adjustment"]["training"]["columns"] == after["adjustment"]["propensity_reads"]
    assert [view.names for view in spied.views] == [("activity", "popularity", "affinity"), ("activity", "affinity")]
    assert "popularity" in before["adjustment"]["outcome_features"]
    assert "popularity" not in after["adjustment"]["outcome_features"], "an effect of exposure is no input"
    assert before["overlap"]["mean_outcome"]["snips"] != after["overlap"]["mean_outcome"]["snips"]
    assert before["scores"] != after["scores"]
    assert after["config"]["choices"]["graph"] == "mine"


def test_a_dropped_cause_of_the_outcome_leaves_the_outcome_model_alone(train: Train, work: Path) -> None:
    folder = edited_graph(work / "conf", "age -> outcome", None)
    text = (folder / "graph" / "mine.yaml").read_text()
    (folder / "graph" / "mine.yaml").write_text(
        text.replace("- age -> activity\n", "").replace("- age -> affinity\n", "")
    )
    before, after = (
        train(*SEMI, "objective=ips"),
        train("--config-dir", str(folder), *SEMI, "objective=ips", "graph=mine"),
    )
    assert set(before["adjustment"]["outcome_features"]) - set(after["adjustment"]["outcome_features"]) == {"age"}
    assert before["adjustment"]["propensity_view"] == after["adjustment"]["propensity_view"]


def test_without_an_edge_from_the_ids_the_model_has_no_id_embeddings(train: Train, work: Path) -> None:
    folder = edited_graph(work / "conf", "item -> outcome", None)
    text = (folder / "graph" / "mine.yaml").read_text().replace("- item -> popularity\n", "")
    (folder / "graph" / "mine.yaml").write_text(text)
    before, after = (
        train(*SEMI, "objective=naive"),
        train("--config-dir", str(folder), *SEMI, "objective=naive", "graph=mine"),
    )
    assert "item" not in after["adjustment"]["outcome_view"]
    assert before["parameters"]["outcome"] - after["parameters"]["outcome"] == 49 * 17, "one row stands for 50 items"


def untouchable(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse_load(self: object, root: Path) -> None:
        raise AssertionError("data were touched")

    for dataset in (Coat, ML100K, ML100KSemisynthetic):
        monkeypatch.setattr(dataset, "load", refuse_load)


@pytest.mark.parametrize(
    "overrides", [["dataset=coat", "graph.assume=false"], ["dataset.mechanism=rating"]], ids=["coat", "rating"]
)
def test_what_is_not_identified_stops_before_data_are_touched(
    overrides: list[str], work: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    untouchable(monkeypatch)
    with pytest.raises(NotIdentified, match="not identified"):
        run.train(spec_of(*overrides))
    assert cli.main(last_of_each("train", *SMALL, *overrides)) == 2
    err = capsys.readouterr().err
    assert "not identified" in err and err.count("\n") == 1
    assert list(work.iterdir()) == []


def test_self_selection_runs_on_logged_propensities(train: Train) -> None:
    record = train(*SEMI, "dataset.mechanism=rating", "propensity=logged", "objective=ips")
    training = record["adjustment"]["training"]
    assert (training["strategy"], training["columns"], training["assumed"]) == ("logged propensity", [], [])
    assert record["overlap"]["inverse_sum"] == pytest.approx(1, abs=0.5)


def test_logged_propensities_are_refused_where_none_are_logged(
    work: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    untouchable(monkeypatch)
    assert cli.main(["train", *SMALL, "dataset=coat", "propensity=logged"]) == 2
    assert "dataset coat logs no propensities" in capsys.readouterr().err


def test_a_randomised_test_identifies_evaluation_and_not_training(train: Train) -> None:
    adjustment = train(*DATASETS["coat"], "objective=ips")["adjustment"]
    assert adjustment["evaluation"]["strategy"] == "randomised"
    assert adjustment["training"]["strategy"] == "backdoor"
    assert adjustment["training"]["columns"], "training is still adjusted for"
    assert "taste is negligible" in adjustment["training"]["assumed"]


def test_no_randomised_row_is_trained_on(train: Train) -> None:
    audit = train(*DATASETS["coat"], "objective=naive")["audit"]
    assert audit["duplicates"] > 0
    assert audit["leaked_rows"] == audit["randomised_rows_used"] == 0


@pytest.mark.parametrize("objective", ["naive", "ips", "snips", "dr_jl"])
def test_a_positive_only_log_is_refused_by_objectives_it_degenerates(
    objective: str, work: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = ML100K.card.fget  # type: ignore[attr-defined]

    def card(self: ML100K) -> DatasetCard:
        return dataclasses.replace(real(self), feedback="positive_only")

    monkeypatch.setattr(ML100K, "card", property(card))
    untouchable(monkeypatch)
    with pytest.raises(
        RequestError, match=f"^objective={objective}: undefined for the positive_only feedback of ml100k"
    ):
        run.train(spec_of("dataset=ml100k", f"objective={objective}"))
    assert list(work.iterdir()) == []


# Failures are recorded.


def test_a_failing_job_is_recorded_with_its_error(train: Train) -> None:
    record = train("dataset=coat", "objective=ips", code=1)  # the fake test has users without a training row
    assert record["status"] == "failed"
    assert record["error"].startswith("DataError: coat: ") and "split.unseen=drop" in record["error"]
    assert set(record) >= KEYS
    assert record["adjustment"]["training"]["columns"], "what was known is kept"
    assert (record["scores"], record["baselines"]) == ([], [])
    assert record["config"]["dataset"]["threshold"] == 3


def test_an_error_nobody_foresaw_is_recorded_and_raised(work: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(self: object, root: Path) -> None:
        raise ZeroDivisionError("a bug")

    monkeypatch.setattr(ML100KSemisynthetic, "load", broken)
    spec = spec_of(*SEMI)
    with pytest.raises(ZeroDivisionError):
        run.train(spec)
    record = json.loads((spec.folder / "record.json").read_text())
    assert (record["status"], record["error"]) == ("failed", "ZeroDivisionError: a bug")


def test_running_again_replaces_a_failed_record(train: Train) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(ML100KSemisynthetic, "load", lambda self, root: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            run.train(spec_of(*SEMI, "objective=naive"))
    record = train(*SEMI, "objective=naive")
    assert (record["status"], record["error"]) == ("done", None)


def test_a_terminated_job_is_given_back_and_goes_on(
    train: Train, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    overrides = [*SEMI, "objective=naive", "trainer.max_epochs=3", "trainer.patience=3", "trainer.checkpoint_steps=1"]
    steps, step = [0], CausalRecModule.training_step

    def count_step(self: CausalRecModule, *batch: Any) -> Any:
        steps[0] += 1
        if steps[0] == death:
            os.kill(os.getpid(), signal.SIGTERM)
        return step(self, *batch)

    death = 0
    monkeypatch.setattr(CausalRecModule, "training_step", count_step)
    uncut, total = train(*overrides, "name=whole"), steps[0]
    steps[0], death = 0, total - 1
    capsys.readouterr()
    assert cli.main(["train", "--json", *SMALL, *overrides, "name=cut"]) == 143
    (record,) = Path("runs").rglob("record.json")
    assert json.loads(record.read_text())["name"] == "whole"
    again = train(*overrides, "name=cut")
    assert steps[0] == total + 1, "only the step that died is made again"
    assert [s["value"] for s in again["scores"]] == [s["value"] for s in uncut["scores"]]


@pytest.mark.parametrize("logger", ["csv", "tensorboard"])
def test_a_logger_leaves_its_curves_beside_the_record(logger: str, train: Train, work: Path) -> None:
    train(*SEMI, "objective=naive", f"logger={logger}")
    (record,) = work.rglob("record.json")
    pattern = {"csv": "metrics.csv", "tensorboard": "events.out.tfevents*"}[logger]
    assert list(record.parent.rglob(pattern))


# Text.


@pytest.fixture(scope="session")
def tiny_bert(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A random BERT of width 8 that knows single characters, saved as transformers saves one."""
    from transformers import BertConfig, BertModel, BertTokenizerFast

    characters = "abcdefghijklmnopqrstuvwxyz0123456789.,:()"
    words = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *characters, *(f"##{c}" for c in characters)]
    folder = tmp_path_factory.mktemp("bert")
    BertTokenizerFast(vocab={word: k for k, word in enumerate(words)}).save_pretrained(folder)
    width = {"hidden_size": 8, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 8}
    BertModel(BertConfig(vocab_size=len(words), max_position_embeddings=64, **width)).save_pretrained(folder)
    return folder


def texts_read(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, ...]]:
    read: list[tuple[str, ...]] = []
    real = text_projection.embeddings

    def spy(texts: Sequence[str], *rest: Any, **more: Any) -> Any:
        read.append(tuple(texts))
        return real(texts, *rest, **more)

    monkeypatch.setattr(text_projection, "embeddings", spy)
    return read


def test_bert_reads_the_text_that_the_graph_names_and_no_other(
    train: Train, work: Path, tiny_bert: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    read = texts_read(monkeypatch)
    chosen = ["encoder=bert", f"encoder.model={tiny_bert}", "objective=ips"]
    before = train(*SEMI, *chosen)
    titled = read[-1]
    folder = edited_graph(work / "conf", "title -> outcome", None)
    after = train("--config-dir", str(folder), *SEMI, *chosen, "graph=mine")
    untitled = read[-1]
    assert (before["status"], after["status"]) == ("done", "done")
    assert before["name"] == "bert-ips"
    assert before["config"]["encoder"]["model"] == str(tiny_bert)
    assert any("Café 1" in text and "Genres:" in text and "Popularity" in text for text in titled)
    assert "Café" not in " ".join(untitled) and "Genres:" in " ".join(untitled)
    assert "title" not in after["adjustment"]["outcome_view"]
    assert before["scores"] != after["scores"]


def test_the_text_of_an_effect_of_exposure_is_not_read(
    train: Train, work: Path, tiny_bert: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    read = texts_read(monkeypatch)
    folder = edited_graph(work / "conf", "popularity -> exposure", "exposure -> popularity")
    train("--config-dir", str(folder), *SEMI, "encoder=bert", f"encoder.model={tiny_bert}", "graph=mine")
    assert "Popularity" not in " ".join(read[-1])


@pytest.mark.long
@pytest.mark.parametrize("objective", ["naive", "dr_jl"])
def test_a_language_model_is_tuned_beside_any_objective_and_its_parameters_are_counted(
    train: Train, tiny_bert: Path, objective: str
) -> None:
    chosen = ["encoder=bert", f"encoder.model={tiny_bert}", "encoder.user=[id,history]", f"objective={objective}"]
    modes = {name: [f"finetuning={name}"] for name in ("frozen", "lora", "adapters", "full", "last_layers")}
    modes["last_layers"].append("finetuning.count=1")
    records = {name: train(*SEMI, *chosen, *mode) for name, mode in modes.items()}
    sizes = {name: (record["trainable"], record["language_model"]) for name, record in records.items()}
    full_size = sizes["full"][1]["outcome"]
    assert all(record["status"] == "done" for record in records.values())
    assert all(language["outcome"] == full_size for _, language in sizes.values())
    trained = [sizes[name][0]["outcome"] for name in ("frozen", "lora", "last_layers", "full")]
    assert trained == sorted(set(trained)) and trained[3] - trained[0] == full_size
    assert records["frozen"]["parameters"] == sizes["frozen"][0], "of a frozen model only the vectors are there"
    assert records["lora"]["parameters"]["outcome"] == trained[1] + full_size
    assert set(sizes["lora"][0]) == set(records["lora"]["parameters"])
    assert records["lora"]["config"]["finetuning"]["rank"] == 8


def test_bert_without_any_text_left_says_so(train: Train, tiny_bert: Path) -> None:
    chosen = ["encoder=bert", f"encoder.model={tiny_bert}", "++dataset.item_text={}"]
    record = train(*SEMI, *chosen, code=2)
    assert record["status"] == "failed"
    assert "no item text is left in the outcome view" in record["error"]


def test_a_phrase_for_an_unknown_column_is_refused_before_data_are_touched(
    work: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    untouchable(monkeypatch)
    with pytest.raises(RequestError, match=r"dataset\.item_text\.titel: no such item column; did you mean 'title'"):
        run.train(spec_of("dataset=ml100k", "+dataset.item_text={titel: '{}'}"))


# Selection and randomised rows.


def test_cross_validation_fits_each_candidate_on_each_fold_and_refits_on_all_logged_rows(train: Train) -> None:
    record = train("dataset=coat", "split.unseen=keep", "objective=tdr_jl", "selection.folds=3")
    assert record["selection"]["folds"] == 3 and record["selection"]["candidates"][0]["criterion"] > 0
    fits = {path.name for path in Path(record["config"]["paths"]["runs"]).rglob("checkpoints/*")}
    assert fits == {fit_id({DECAY: 0.1}, stage) for stage in ("fold=0", "fold=1", "fold=2", "refit")}


def test_few_validation_rows_are_replaced_by_folds_and_the_record_says_why(train: Train) -> None:
    two = [
        "selection.folds=auto",
        "dataset=coat",
        "split.unseen=keep",
        "objective=naive",
        "selection.candidates={optimizer.weight_decay:[0.1,1]}",
    ]
    selection = train(*two, "selection.extend=false")["selection"]
    assert selection["folds"] == 4 and selection["folds_reason"].endswith("validation rows, fewer than 2000")
    record = train(*two, "selection.extend=false", "split=cold_items")
    assert record["selection"]["folds"] == 1
    assert any(line.startswith("chosen on ") for line in record["warnings"])


def test_randomised_rows_are_used_only_as_far_as_they_are_declared(train: Train, capsys: Any) -> None:
    coat = ["dataset=coat", "split.unseen=keep", "objective=ips", "split.propensity_sample=0.25"]
    without_sample = train("dataset=coat", "split.unseen=keep", "objective=ips")["audit"]
    record = train(*coat, "propensity=naive_bayes", "propensity.smoothing=1", "selection.randomised_budget=99")
    used = record["audit"]["randomised_rows_used"]
    assert used == record["audit"]["rows"]["randomised_sample"] == round(0.25 * without_sample["rows"]["test"])
    assert (
        record["audit"]["rows"]["test"] == without_sample["rows"]["test"] - used
        and "randomised_sample" in record["audit"]["hashes"]
    )
    assert record["selection"]["randomised_rows"] == {"budget": 99, "used": used}
    assert record["selection"]["randomised_rows_for"] == ["propensity"]
    chosen = train(*coat, "selection.criterion=randomised", "selection.randomised_budget=99")
    assert chosen["selection"]["randomised_rows_for"] == ["selection"]
    refused = train(*coat, f"selection.randomised_budget={used - 1}", code=2)
    assert f"declare them with selection.randomised_budget={used}" in refused["error"]


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (["propensity=naive_bayes"], "set split.propensity_sample=0.05"),
        (["propensity=position", "objective=tdr"], "reads the propensity of pairs that are not logged"),
        (["dataset.threshold=null", "objective=cvib"], "needs probabilities"),
        (["objective=bpr"], "undefined for the explicit feedback of coat; it is defined for positive_only"),
    ],
)
def test_a_request_that_makes_no_sense_is_refused_before_any_work(
    overrides: list[str], message: str, work: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.main(last_of_each("train", *SMALL, "dataset=coat", *overrides)) == 2
    assert message in capsys.readouterr().err


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (
            ["dataset=openbandit", "objective=position_ips", "propensity=popularity"],
            "examination, but propensity=",
        ),
        (
            ["dataset=lastfm", "objective=rel_mf", "propensity=logistic"],
            "relative exposure, but propensity=",
        ),
    ],
)
def test_an_objective_refuses_a_probability_of_something_else(
    overrides: list[str], message: str, work: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.main(last_of_each("train", *SMALL, *overrides)) == 2
    assert message in capsys.readouterr().err


# The real files.


def test_the_real_coat_has_366_repeated_pairs_and_none_of_them_is_trained_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    if not (REAL / "coat" / "train.ascii").is_file():
        if MUST_HAVE_DATA:
            pytest.fail(f"CAUSALREC_REQUIRE_DATA is set, and {REAL / 'coat'} has no Coat")
        pytest.skip("no Coat below CAUSALREC_DATA (its licence forbids to ship it)")
    dataset = Coat(threshold=3.0).load(REAL)
    splits = Random()(dataset)
    assert (len(dataset.logged), len(splits.test), splits.duplicates) == (6960, 4640, 366)
    assert len(splits.train) + len(splits.validation) == 6960 - 366
    assert not np.isin(splits.train.codes, splits.test.codes).any()
    monkeypatch.chdir(tmp_path)
    folders = [f"paths.data={REAL}", f"paths.cache={tmp_path / 'cache'}"]
    all_ids = ["trainer.limit_users=null", "trainer.limit_items=null"]
    assert cli.main(["train", "--json", "dataset=coat", "objective=ips", *SMALL, *all_ids, *folders]) == 0
    (record,) = json.loads(capsys.readouterr().out)
    audit = record["audit"]
    assert (audit["duplicates"], audit["leaked_rows"], audit["duplicate_rule"]) == (366, 0, "drop_train")
    assert audit["rows"]["test"] == 4640
    assert audit["rows"]["train"] + audit["rows"]["validation"] == 6594


@pytest.mark.parametrize("dataset", [["dataset=coat", "split.unseen=drop"], ["dataset=ml100k", "dataset.threshold=5"]])
def test_a_fit_starts_at_the_mean_outcome(train: Train, dataset: list[str]) -> None:
    unlearnt = ["optimizer.lr=1e-9", "encoder.width=0", "objective=naive", "selection.candidates=none"]
    record = train(*dataset, *unlearnt, "metric=[bias]", "slice=[test]")
    constant = next(score["value"] for score in record["baselines"] if score["model"] == "constant")
    assert record["scores"][0]["value"] == pytest.approx(constant, abs=2e-3)


def sparse_folds(users: int, items: int, density: float) -> InteractionLog:
    """A log of few rows, popular items first, with the probabilities that it was probability by."""
    rng = np.random.default_rng(0)
    share = np.linspace(3.0, 0.3, items)
    propensity = np.broadcast_to(density * share / share.mean(), (users, items))
    user, item = np.nonzero(rng.random((users, items)) < propensity)
    shown = np.ones(len(user), np.int64)
    probability = propensity[user, item].astype(np.float32)
    return InteractionLog(item, shown, shown.astype(np.float32), items, user, users, propensity=probability)


@pytest.mark.parametrize(("users", "items", "density"), [(5000, 1000, 0.02), (3000, 2000, 0.00065)])
@pytest.mark.parametrize("folds", [1, 4])
def test_clips_follow_the_density_of_the_log_and_of_its_folds(
    users: int, items: int, density: float, folds: int
) -> None:
    log = sparse_folds(users, items, density)
    clip = 0.1 * len(log) / log.num_pairs
    folds_of_log = [(log, log)] if folds == 1 else list(fold_logs(log, folds))
    for train, held_out in folds_of_log:
        for rows in (train, held_out):
            scaled = clip * len(rows) / len(log)
            assert rows.propensity is not None and (rows.propensity < scaled).mean() <= 0.005
    absolute = [
        float((held_out.propensity < 0.01).mean()) for _, held_out in folds_of_log if held_out.propensity is not None
    ]
    assert folds == 1 or min(absolute) > 0.45, "what 0.01 would have clipped"


def test_the_record_says_what_was_clipped_and_the_run_warns_of_it(train: Train) -> None:
    record = train("dataset=coat", "split.unseen=drop", "objective=ips", "selection.folds=2")
    overlap = record["overlap"]
    assert 0 < overlap["clip"] == overlap["criterion_clip"] < 0.1 and overlap["clipped"] <= 0.05
    assert not [line for line in record["warnings"] if "clipped" in line]
    binding = train("dataset=coat", "split.unseen=drop", "objective=ips", "objective.clip=3", "selection.clip=3")
    assert 10 < binding["overlap"]["clip"] / overlap["clip"] < 30, "of the training rows alone, which are fewer"
    clipped = [line for line in binding["warnings"] if "clipped" in line]
    assert len(clipped) == 2 and clipped[1].startswith("selection: ")
    assert binding["overlap"]["clipped"] > 0.05 < binding["overlap"]["criterion_clipped"]


@pytest.mark.parametrize(("epochs", "warns"), [(1, True), (60, False)])
def test_a_fit_that_spends_its_epochs_while_improving_says_so(epochs: int, warns: bool, train: Train) -> None:
    record = train(*DATASETS["coat"], "objective=naive", "optimizer.lr=0.05", f"trainer.max_epochs={epochs}")
    line = f"the fit was still improving at its last epoch; raise trainer.max_epochs={epochs}"
    assert (line in record["warnings"]) is warns
