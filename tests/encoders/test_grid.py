"""Every encoder with every kind of objective, and every fine-tuning, by configuration alone: one smoke step each."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import yaml
from conftest import FakeML100K
from tiny_models import write_bert, write_decoder, write_gpt2, write_roberta

from causalrec import cli
from causalrec.config.component import load_class
from causalrec.config.compose import package_folder
from causalrec.encoders.knowledge.base import AbstractKnowledgeEncoder

OBJECTIVES = ("naive", "ips", "dr_jl", "mrdr")
CONF = {path.stem: path for path in sorted((package_folder("conf") / "encoder").glob("*.yaml"))}
CLASSES = {name: load_class(yaml.safe_load(path.read_text())["_target_"]) for name, path in CONF.items()}
ENCODERS = [name for name, kind in CLASSES.items() if not kind.reads_vectors]  # those that do: tests of their own
OTHERS = {
    "roberta": write_roberta,
    "gpt": write_gpt2,
    "prompt": write_decoder,
}  # every other encoder that reads text reads a tiny BERT
GRAPHS = [name for name, kind in CLASSES.items() if issubclass(kind, AbstractKnowledgeEncoder)]
READERS = [name for name, kind in CLASSES.items() if kind.reads_text]
FINETUNINGS = sorted(path.stem for path in (package_folder("conf") / "finetuning").glob("*.yaml"))
OBJECTIVE_CLASSES = {
    path.stem: load_class(yaml.safe_load(path.read_text())["_target_"])
    for path in sorted((package_folder("conf") / "objective").glob("*.yaml"))
}
OF_RATED_PAIRS = [
    name
    for name, kind in OBJECTIVE_CLASSES.items()
    if kind.estimand == "exposed_mean" and "explicit" in kind.feedback_types
]
TWO_ENCODERS = [name for name, kind in OBJECTIVE_CLASSES.items() if kind.second_encoder_roles]
SMALL = [
    "dataset=ml100k",
    "trainer=smoke",
    "selection.folds=1",
    "trainer.limit_batches=1",
    "trainer.progress=false",
    "logger=none",
]
SMALL += ["selection.candidates={optimizer.weight_decay:[0.1]}", "evaluation.replicates=5", "sampler.batch_size=32"]


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    return {name: write(tmp_path_factory.mktemp(name)) for name in READERS for write in [OTHERS.get(name, write_bert)]}


@pytest.fixture
def encoder_overrides(
    models: dict[str, Path], fake_ml100k: FakeML100K, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> dict[str, list[str]]:
    """The overrides that choose each encoder, in a working directory beside fake raw data."""
    data = fake_ml100k(tmp_path / "data", users=20, items=25, ratings=250)
    monkeypatch.setenv("CAUSALREC_DATA", str(data))
    monkeypatch.setenv("CAUSALREC_CACHE", str(tmp_path / "cache"))
    monkeypatch.chdir(tmp_path)
    read = {name: [f"encoder.model={folder}", "encoder.max_tokens=24"] for name, folder in models.items()}
    read["prompt"][1:] = ["encoder.max_tokens=250", "dataset.threshold=4", "slice=[test]"]
    read["gpt"] += ["encoder.pooling=last", "encoder.layers=1"]
    read |= {name: ["encoder.graph=interactions", "penalty=triples"] for name in GRAPHS}
    return {name: [f"encoder={name}", *read.get(name, [])] for name in ENCODERS}


def train(overrides: list[str], capsys: pytest.CaptureFixture[str]) -> dict[str, Any]:
    assert cli.main(["train", "--json", *SMALL, *overrides]) == 0
    (record,) = json.loads(capsys.readouterr().out)
    assert record["status"] == "done" and record["error"] is None
    assert {score["model"] for score in record["scores"]} == {record["name"]}
    return dict(record)


@pytest.mark.long
@pytest.mark.parametrize("encoder", ENCODERS)
def test_every_encoder_trains_under_every_objective(
    encoder: str, encoder_overrides: dict[str, list[str]], capsys: pytest.CaptureFixture[str]
) -> None:
    for objective in OBJECTIVES:
        record = train([*encoder_overrides[encoder], f"objective={objective}"], capsys)
        roles = {"outcome", "imputation"} if objective in ("dr_jl", "mrdr") else {"outcome"}
        assert record["name"] == f"{encoder}-{objective}" and set(record["parameters"]) == roles
        assert all(count > 0 for count in record["parameters"].values())


@pytest.mark.long
@pytest.mark.parametrize("objective", OF_RATED_PAIRS)
def test_a_decoder_is_asked_under_every_objective_of_pairs(
    objective: str, encoder_overrides: dict[str, list[str]], capsys: pytest.CaptureFixture[str]
) -> None:
    chosen = [*encoder_overrides["prompt"], "encoder.completions=0", "head=prompt", f"objective={objective}"]
    if objective in TWO_ENCODERS:
        assert cli.main(["train", *SMALL, *chosen]) == 2 and "learner=two_encoders" in capsys.readouterr().err
    else:
        assert train(chosen, capsys)["name"] == f"prompt-{objective}"


@pytest.mark.long
@pytest.mark.parametrize("finetuning", FINETUNINGS)
def test_every_finetuning_trains_a_decoder(
    finetuning: str, encoder_overrides: dict[str, list[str]], capsys: pytest.CaptureFixture[str]
) -> None:
    more = ["finetuning.count=1"] if finetuning == "last_layers" else []
    record = train([*encoder_overrides["gpt"], "objective=ips", f"finetuning={finetuning}", *more], capsys)
    bare = train([*encoder_overrides["gpt"], "objective=ips"], capsys)
    assert (record["trainable"]["outcome"] > bare["trainable"]["outcome"]) == (finetuning != "frozen")
    assert record["config"]["choices"]["finetuning"] == finetuning


def test_what_reads_no_text_has_nothing_to_tune(
    encoder_overrides: dict[str, list[str]], capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.main(["train", *SMALL, *encoder_overrides["mf"], "finetuning=lora"]) == 2
    assert "finetuning=lora" in capsys.readouterr().err


def test_histories_that_may_read_the_test_are_refused_to_pairs_without_a_time(
    encoder_overrides: dict[str, list[str]], capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.main(["train", *SMALL, *encoder_overrides["mf"], "split=tallrec", "objective=dr_jl"]) == 2
    assert "split.history_rows=all" in capsys.readouterr().err
