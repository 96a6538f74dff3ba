"""Runs on a class outcome, from raw files to record and page; and requests that do not fit one."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from conftest import FakeML100K, last_of_each

from causalrec import cli
from causalrec.reporting.html.page import report
from causalrec.reporting.study import load_study
from tests.encoders.tiny_models import write_bert

CLASSES = ["dataset=ml100k", "dataset.threshold=null", "dataset.classes=[3,4]", "head=classes"]
CLASSES += ["metric=[mse,accuracy,macro_f1]", "baseline=[constant,popularity,item_mean,bias_logistic,majority]"]
SMALL = [
    "trainer=smoke",
    "selection.folds=1",
    "logger=none",
    "selection.candidates={optimizer.weight_decay:[0.1]}",
    "evaluation.replicates=20",
]

Train = Callable[..., Any]


@pytest.fixture
def train(
    fake_ml100k: FakeML100K, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Train:
    monkeypatch.setenv("CAUSALREC_DATA", str(fake_ml100k(tmp_path / "data", users=60, items=50, ratings=900)))
    monkeypatch.setenv("CAUSALREC_CACHE", str(tmp_path / "cache"))
    (tmp_path / "work").mkdir()
    monkeypatch.chdir(tmp_path / "work")

    def call(*overrides: str, code: int = 0) -> Any:
        capsys.readouterr()
        assert cli.main(last_of_each("train", "--json", *SMALL, *overrides)) == code
        out, err = capsys.readouterr()
        return err if code else json.loads(out)[0]

    return call


def scores_of(record: dict[str, Any], kind: str = "scores") -> dict[tuple[str, str], float]:
    return {(score["model"], score["metric"]): score["value"] for score in record[kind]}


@pytest.mark.long
@pytest.mark.parametrize("objective", ["naive", "ips", "snips", "clipped_ips", "dr_jl", "mrdr"])
def test_objectives_train_on_classes(train: Train, objective: str) -> None:
    record = train(*CLASSES, f"objective={objective}", "name=run")
    assert record["status"] == "done"
    scores, trivial = scores_of(record), scores_of(record, "baselines")
    assert {metric for _, metric in scores} == {"mse", "accuracy", "macro_f1", "snips_mean"}
    assert all(0 <= scores["run", metric] <= 1 for metric in ("accuracy", "macro_f1"))
    assert {"majority", "constant"} <= {model for model, _ in trivial}
    assert record["audit"]["bin_edges"] == [3.0, 4.0]
    (candidate,) = record["selection"]["candidates"]
    for point in candidate["curve"]:
        report = point["report"]
        assert len(report["classes"]) == 3 and 0 <= report["macro_f1"] <= 1
        assert sum(label["support"] for label in report["classes"]) == record["audit"]["rows"]["validation"]
    assert 0 <= record["calibration"][0]["predicted"] <= 2


def test_a_page_shows_a_class_outcome(train: Train, tmp_path: Path) -> None:
    train(*CLASSES, "objective=naive")
    report(tmp_path / "work" / "runs", tmp_path / "out.html", ())
    assert "how many of 3, 4 the rating reaches" in (tmp_path / "out.html").read_text(encoding="utf-8")


@pytest.mark.long
@pytest.mark.parametrize("finetuning", ["frozen", "full"])
def test_the_cross_encoder_runs_from_raw_files(train: Train, tmp_path: Path, finetuning: str) -> None:
    model = write_bert(tmp_path / "bert")
    overrides = [f"encoder.model={model}", "encoder.max_tokens=40", "encoder.history_length=3", "encoder.profile=true"]
    record = train(*CLASSES, "encoder=cross", *overrides, f"finetuning={finetuning}", "objective=dr_jl")
    sizes = record["trainable"]
    assert (sizes["outcome"] > record["language_model"]["outcome"]) == (finetuning == "full")
    click = train("dataset=ml100k", "encoder=cross", *overrides, f"finetuning={finetuning}", "objective=naive")
    assert click["status"] == "done" and click["selection"]["candidates"][0]["curve"][0]["report"] is None


@pytest.mark.parametrize(
    ("overrides", "said"),
    [
        (
            [*CLASSES, "head=dot"],
            "head=dot: gives identity or log or logit outputs, but the outcome of ml100k is a class",
        ),
        (
            [*CLASSES, "head.num_classes=4"],
            "head.num_classes=4: the outcome of ml100k is a class (softmax link) of 3 classes; set",
        ),
        (
            ["dataset=ml100k", "head=classes"],
            "head=classes: gives softmax outputs, but the outcome of ml100k is a click",
        ),
        ([*CLASSES, "objective=multi_ips"], "objective=multi_ips: needs one number for each row, but the outcome of"),
        (
            [*CLASSES, "objective=mr", "learner=two_encoders"],
            "objective=mr: needs one number for each row, but the outcome of",
        ),
        ([*CLASSES, "objective=cvib"], "objective=cvib: needs probabilities, but the outcome of ml100k is a c"),
        ([*CLASSES, "dataset.classes=[4,3]"], "dataset.classes=[4.0, 3.0]: name the ratings where a class begins"),
        ([*CLASSES, "dataset.classes=[3,x]"], "dataset.classes.1='x': input should be a valid number"),
        ([*CLASSES, "head.num_classes=1"], "head.num_classes=1: "),
    ],
)
def test_what_does_not_go_together_is_one_line_before_any_work(train: Train, overrides: list[str], said: str) -> None:
    error = train(*overrides, code=2)
    assert said in error and len(error.strip().splitlines()) == 1


def test_the_study_names_what_it_runs() -> None:
    study = load_study("bert_finetune/ml100k")
    assert {"cross-naive", "cross-ips", "cross-dr_jl", "mf-naive", "mf-ips", "mf-dr_jl"} <= set(study.rows)
    assert study.seeds == [0, 1, 2] and len(study.jobs(smoke=True)) == len(study.rows)
