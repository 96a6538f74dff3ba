"""A dry run tells what a launch would make: as many jobs and fits as it then makes, and nothing is written for it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from conftest import last_of_each
from small import SMALL, table

from causalrec import cli
from causalrec.sweeps import fingerprint
from causalrec.sweeps.pair_costs import SAMPLED_PAIRS
from causalrec.training.fit_request import FitRequest
from tests.encoders.tiny_models import write_decoder

Capture = pytest.CaptureFixture[str]
SWEEP = [*SMALL, "sweep=s", "objective=naive,ips", "seed=0,1", "trainer.max_epochs=1", "selection.extend=false"]
TWO = "selection.candidates={optimizer.weight_decay:[0.1,1.0]}"


@pytest.fixture
def work(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working directory beside a small table; the sources count as unchanged."""
    monkeypatch.setenv("CAUSALREC_DATA", str(table(tmp_path)))
    monkeypatch.setenv("CAUSALREC_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(fingerprint, "code_hash", lambda: "0" * 64)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def dry(capsys: Capture, *arguments: str) -> dict[str, Any]:
    """What a dry run tells as JSON."""
    assert cli.main(last_of_each(*arguments, "--dry-run", "--json")) == 0
    estimate: dict[str, Any] = json.loads(capsys.readouterr().out)
    return estimate


def test_jobs_and_fits_are_those_that_the_sweep_then_makes(
    work: Path, capsys: Capture, monkeypatch: pytest.MonkeyPatch
) -> None:
    sweep = last_of_each("train", "-m", *SWEEP, TWO, "seed=0", "evaluation.submodels=true")
    estimate = dry(capsys, *sweep)
    assert not (work / "runs").exists()
    fitted: list[str] = []
    real = FitRequest.fit
    monkeypatch.setattr(FitRequest, "fit", lambda self: (fitted.append(self.label), real(self))[1])
    assert cli.main(sweep) == 0
    records = list((work / "runs").rglob("record.json"))
    assert (estimate["jobs"], estimate["fits"]) == (len(records), len(fitted)) == (4, 2 * 9 + 2 * 5)
    assert (estimate["special_cases"], estimate["done"], estimate["further_fits"], estimate["kinds"]) == (2, 0, 0, 4)
    assert 0 < estimate["seconds"] <= estimate["most_seconds"] and estimate["memory_bytes"] > 1e8


def test_a_packed_sweep_is_timed_by_its_stack_and_extensions_are_told_apart(work: Path, capsys: Capture) -> None:
    packed = ["train", "-m", "hydra/launcher=packed", *SWEEP, TWO]
    sweep = last_of_each(*packed, "objective=naive", "selection.extend=true")
    estimate = dry(capsys, *sweep)
    assert (estimate["jobs"], estimate["fits"], estimate["further_fits"], estimate["kinds"]) == (2, 18, 2 * 4 * 4, 1)
    assert cli.main([*sweep, "--dry-run"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[:2] == [
        "2 jobs",
        "18 fits, at most 32 further where a best candidate stands at an end of those tried",
    ]
    assert lines[-1].startswith("from ") and "steps of a fit on this machine" in lines[-1]
    assert not (work / "runs").exists()


def test_prompts_are_counted_and_few_of_them_read(work: Path, capsys: Capture, tmp_path: Path) -> None:
    model = write_decoder(tmp_path / "decoder")
    prompted = ["encoder=prompt", f"encoder.model={model}", "encoder.max_tokens=250", "head=prompt", "objective=naive"]
    of_all = [text for text in SWEEP if not text.startswith("encoder.")]
    single = last_of_each("train", *of_all, *prompted, "seed=0", "slice=[test]", "evaluation.submodels=false")
    zero_shot = dry(capsys, *single, "head.trained=false")
    trained = dry(capsys, *single)
    assert zero_shot["pairs"] < trained["pairs"] and zero_shot["tokens"] > 10 * zero_shot["pairs"]
    assert zero_shot["seconds"] > 0 and zero_shot["basis"].startswith("from a few pairs")
    read = [len(np.load(path)) for path in (tmp_path / "cache" / "prompts").rglob("*.npy")]
    assert 0 < sum(read) <= 2 * SAMPLED_PAIRS
    assert cli.main([*single, "head.trained=false", "--dry-run"]) == 0
    assert f"{zero_shot['pairs']:,} pairs for a language model to read" in capsys.readouterr().out
    assert cli.main(last_of_each(*single, "head.trained=false", "encoder.max_pairs=3")) == 2
    assert "encoder.max_pairs=3: encoder=prompt reads each pair anew, and it would score" in capsys.readouterr().err
    every_pair = [*single, f"encoder.max_pairs={trained['pairs']}"]
    assert cli.main([*every_pair, "--dry-run"]) == 0
    assert cli.main(last_of_each(*every_pair, "objective=dr_jl", "--dry-run")) == 2
    assert "and train on " in capsys.readouterr().err
    assert cli.main([*single, "head.trained=false", f"encoder.max_pairs={zero_shot['pairs']}"]) == 0
    assert "fitted: nothing, it is asked as it is" in capsys.readouterr().out
    (record,) = (path for path in (work / "runs").rglob("record.json") if '"status": "done"' in path.read_text())
    assert cli.main(["recommend", str(record.parent), "--all", "--top", "2", "--out", str(work / "lists.parquet")]) == 2
    assert "reads each pair anew, and recommend --all asks for" in capsys.readouterr().err


def test_what_is_finished_is_told_apart_unless_it_runs_again(work: Path, capsys: Capture) -> None:
    single = last_of_each("train", *SWEEP, "objective=naive", "seed=0", "selection.folds=1")
    assert cli.main(single) == 0
    capsys.readouterr()
    estimate = dry(capsys, *single)
    assert (estimate["jobs"], estimate["done"], estimate["fits"], estimate["seconds"]) == (0, 1, 0, None)
    assert estimate["basis"] == "nothing was timed"
    again = dry(capsys, *single, "--rerun")
    assert (again["jobs"], again["done"], again["fits"]) == (1, 0, 1)


@pytest.mark.parametrize(
    "arguments",
    [
        ["train", "-m", *last_of_each(*SWEEP), "optimizer.lrr=0.1"],
        ["train", "optimizer.lrr=0.1"],
        ["reproduce", "s.yaml", "lrr=1"],
    ],
)
def test_a_bad_key_is_one_line(work: Path, capsys: Capture, arguments: list[str]) -> None:
    write_study(work)
    assert cli.main([*arguments, "--dry-run"]) == 2
    output = capsys.readouterr()
    assert output.out == "" and output.err.count("\n") == 1 and "lrr" in output.err and "unknown key" in output.err


def test_a_sweeper_that_chooses_as_it_goes_is_refused(work: Path, capsys: Capture) -> None:
    assert cli.main(["train", "-m", "hydra/sweeper=optuna", *SMALL, "seed=0,1", "--dry-run"]) == 2
    assert "--dry-run: the sweeper chooses its jobs as it goes" in capsys.readouterr().err


def write_study(folder: Path) -> None:
    base = [text for text in SMALL if not text.startswith("trainer.max_epochs")]
    study = {"title": "small", "sweep": "small", "seeds": [0, 1], "base": [*base, "trainer.max_epochs=1"]}
    rows = {"mf-naive": ["objective=naive"], "mf-ips": ["objective=ips"]}
    (folder / "s.yaml").write_text(yaml.safe_dump({**study, "rows": rows, "columns": ["auc@test"]}))


def test_a_study_is_told_and_not_begun(work: Path, capsys: Capture) -> None:
    write_study(work)
    estimate = dry(capsys, "reproduce", "s.yaml", "--jobs", "2")
    assert (estimate["jobs"], estimate["special_cases"], estimate["fits"], estimate["kinds"]) == (8, 4, 40, 4)
    assert estimate["processes"] == 2
    assert not (work / "runs").exists()
