"""A row's special cases are jobs of their own, fitted once however many rows contain them."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from causalrec import cli
from causalrec.config.compose import compose_config, normalise_overrides, validate_config
from causalrec.config.schema import ExperimentConfig
from causalrec.encoders.mf import MF
from causalrec.sweeps.driver import check_jobs
from causalrec.sweeps.submodels import submodels_of, with_submodels
from tests.conftest import FakeCoat

ENCODERS = {
    "mf": (["encoder=mf"], {"biases"}),
    "mf of no width": (["encoder=mf", "encoder.width=0"], set()),
    "mf by two settings": (
        ["encoder=mf", "selection.candidates={optimizer.weight_decay:[0.1,1],optimizer.lr:[0.01,0.1]}"],
        {"biases"},
    ),
    "mf of one fit": (["encoder=mf", "selection.candidates=none"], {"biases"}),
    "bert": (["encoder=bert", "encoder.width=8"], {"biases", "no_text"}),
    "bert with histories": (["encoder=bert", "encoder.user=[id,history]"], {"biases", "no_text", "no_history"}),
    "widths tried": (["encoder=mf", "selection.candidates={encoder.width:[4,8]}"], {"biases"}),
    "layers tried": (
        ["encoder=hybrid", "selection.candidates={encoder.layers:[1,2],optimizer.weight_decay:[1,3]}"],
        {"biases", "no_text", "no_features"},
    ),
    "another language model": (
        ["encoder=hybrid", 'encoder.model.wheel="gt-all==0.1.0"'],
        {"biases", "no_text", "no_features"},
    ),
    "bert of text alone": (["encoder=bert", "encoder.item=[text]"], set()),
    "tuned": (["encoder=bert", "finetuning=lora", "finetuning.rank=2"], {"biases", "no_text"}),
    "hybrid": (["encoder=hybrid"], {"biases", "no_text", "no_features"}),
    "hybrid as told": (
        ["encoder=hybrid", "encoder.item=[id,text]", "encoder.user=[id,history]"],
        {"biases", "no_text", "no_history"},
    ),
    "bert4rec": (["encoder=bert4rec"], {"biases"}),
    "cross": (["encoder=cross"], set()),
}
REQUEST = ["dataset=ml100k", "dataset.threshold=4", "objective=ips", "logger=none", "evaluation.submodels=true"]


def config_of(*overrides: str) -> ExperimentConfig:
    return validate_config(compose_config(normalise_overrides([*REQUEST, *overrides])))


@pytest.mark.parametrize("encoder", list(ENCODERS))
def test_what_asks_for_a_special_case_composes_to_the_job_that_the_record_names(encoder: str) -> None:
    chosen, names = ENCODERS[encoder]
    job = normalise_overrides([*REQUEST, *chosen, "seed=3", "name=row"])
    config = config_of(*chosen, "seed=3", "name=row")
    cases = submodels_of(config)
    assert set(cases) == names
    configs, overrides = with_submodels([config], [job])
    assert len(configs) == 1 + len(names)
    if names:
        assert [checked.key for checked in check_jobs(overrides)] == [planned.key for planned in configs]
    for name, submodel in cases.items():
        assert submodel.run.name == f"row-{name}" and submodel.run.seed == 3 and submodel.key != config.key
        assert submodels_of(submodel) == {}, "special cases of special cases are not asked for"
        assert submodel.to_dict()["objective"] == config.to_dict()["objective"]
        tried = {path: len(values) for path, values in submodel.candidates.items()}
        full = {path: len(values) for path, values in config.candidates.items()}
        if name == "biases":
            full = {path: count for path, count in full.items() if not path.startswith("encoder.")}
            full |= {"optimizer.weight_decay": 1} if "optimizer.weight_decay" in full else {}
            assert submodel.encoder.settings == {"width": 0, "prior": "none"}
        assert tried == full


def test_special_cases_of_several_rows_are_fitted_once() -> None:
    jobs = [["encoder=mf"], ["encoder=bert"], ["encoder=mf", "encoder.width=0"], ["encoder=bert", "objective=naive"]]
    jobs = [normalise_overrides([*REQUEST, *job, f"name=r{k}"]) for k, job in enumerate(jobs)]
    configs, _ = with_submodels([validate_config(compose_config(job)) for job in jobs], jobs)
    names = [config.run.name for config in configs]
    # r1 has the biases of r0 too, and its no_text is r0; r2 tries decays that r0-biases knows not to read
    assert names == ["r0", "r1", "r2", "r3", "r0-biases", "r3-biases", "r3-no_text"]


def test_without_being_asked_for_and_of_positive_only_logs_there_are_none() -> None:
    assert submodels_of(config_of("evaluation.submodels=false")) == {}
    positive = ["dataset=lastfm_social", "dataset.threshold=null", "objective=bpr", "sampler=triples"]
    positive = ["dataset=amazon_video_games", "objective=bpr", "sampler=triples", "propensity=popularity"]
    jobs = [text for text in [*REQUEST, *positive] if "threshold" not in text and text not in ("dataset=ml100k",)]
    jobs = [text for text in jobs if text != "objective=ips"]
    config = validate_config(compose_config(normalise_overrides(jobs)))
    assert config.run.evaluation.submodels and submodels_of(config) == {}


def test_to_ask_for_them_changes_no_other_result() -> None:
    assert config_of().key == config_of("evaluation.submodels=false").key


def test_a_launch_runs_the_special_cases_and_the_record_names_them(
    fake_coat: FakeCoat, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("CAUSALREC_DATA", str(fake_coat(tmp_path / "data")))
    monkeypatch.setenv("CAUSALREC_CACHE", str(tmp_path / "cache"))
    monkeypatch.chdir(tmp_path)
    job = ["train", "dataset=coat", "split.unseen=drop", "objective=naive", "trainer=smoke", "trainer.progress=false"]
    job += ["logger=none", "evaluation.replicates=20", "selection.candidates=none", "evaluation.submodels=true"]
    assert cli.main([*job, "sweep=one"]) == 0
    records = {path.parents[1].name: json.loads(path.read_text()) for path in Path("runs/one").rglob("record.json")}
    assert set(records) == {"mf-naive", "mf-naive-biases"}
    assert records["mf-naive"]["submodels"] == {"biases": records["mf-naive-biases"]["key"]}
    assert records["mf-naive-biases"]["submodels"] == {}
    encoder = records["mf-naive-biases"]["config"]["encoder"]
    assert (encoder["_target_"].rpartition(".")[2], encoder["width"]) == (MF.__name__, 0)
    assert cli.main([*job[:1], "-m", *job[1:], "seed=0,1", "sweep=two"]) == 0
    folders = sorted(path.parent.name.partition("-")[0] for path in Path("runs/two").rglob("record.json"))
    assert folders == ["seed0", "seed0", "seed1", "seed1"]
    capsys.readouterr()
    assert cli.main(["table", "runs/two", "--submodels"]) == 0
    assert "mf-naive-biases" in capsys.readouterr().out
    assert cli.main(["table", "runs/two"]) == 0
    assert "mf-naive-biases" not in capsys.readouterr().out
