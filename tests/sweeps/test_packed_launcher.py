"""Packed sweeps: trained side by side, yet every job is claimed, scored, recorded and resumed as its own."""

from __future__ import annotations

import json
import os
import signal
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from conftest import last_of_each
from small import SMALL, start, table

from causalrec import cli
from causalrec.config.compose import compose_all, normalise_overrides
from causalrec.config.schema import ExperimentConfig
from causalrec.records.run_record import RunRecord
from causalrec.running import run
from causalrec.sweeps import fingerprint
from causalrec.sweeps.ledger import Ledger
from causalrec.sweeps.packed_launcher import group_key, groups_of, sort_by_data

PACKED = ["-m", "hydra/launcher=packed", "hydra.launcher.progress=false", "sweep=s", *SMALL]
SWEEP = [*PACKED, "objective=naive,dr_jl", "seed=0,1", "optimizer.lr=0.02,0.2"]


@pytest.fixture
def work(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working directory beside a small table; the sources count as unchanged."""
    monkeypatch.setenv("CAUSALREC_DATA", str(table(tmp_path)))
    monkeypatch.setenv("CAUSALREC_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(fingerprint, "code_hash", lambda: "0" * 64)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def records(folder: Path) -> dict[str, dict[str, Any]]:
    return {path.parent.name: json.loads(path.read_text()) for path in sorted(folder.rglob("record.json"))}


def result(record: dict[str, Any]) -> Any:
    return record["scores"], record["selection"], record["baselines"]


def test_every_job_keeps_its_own_record_weights_and_nearly_the_scores_it_would_have_alone(work: Path) -> None:
    assert cli.main(["train", *SWEEP, "paths.runs=packed", "trainer.precision=64-true"]) == 0
    alone = [text for text in SWEEP if not text.startswith("hydra")]
    assert cli.main(["train", *alone, "paths.runs=alone", "trainer.precision=64-true"]) == 0
    packed, basic = records(work / "packed"), records(work / "alone")
    assert len(packed) == 8 and set(packed) == set(basic)
    for name, record in packed.items():
        assert record["execution"] == "packed: 4 jobs" and basic[name]["execution"] == "alone"
        assert record["selection"]["candidates"][0]["epochs"] == basic[name]["selection"]["candidates"][0]["epochs"]
        mine, other = ({(s["metric"], s["slice"]): s["value"] for s in r["scores"]} for r in (record, basic[name]))
        assert mine == pytest.approx(other, rel=1e-6)
        assert (
            record["command"].startswith("causalrec train ") and f"seed={record['config']['seed']}" in record["command"]
        )
        assert "hydra" not in record["command"]
    assert len({json.dumps(result(record)) for record in packed.values()}) == 8
    assert len(list((work / "packed").rglob("best.ckpt"))) == 8
    assert not list((work / "packed" / "s" / ".ledger" / "groups").rglob("*.ckpt")), "no stack outlives its group"


def test_groups_that_read_the_same_data_follow_each_other(work: Path) -> None:
    jobs = [[*SMALL, f"objective={o}", f"split.test={t}"] for o in ("naive", "dr_jl") for t in (0.1, 0.2)]
    normalised = [normalise_overrides(job) for job in jobs]
    groups = groups_of(compose_all(normalised), normalised)
    read = [[config.split.setting("test") for config in group.configs.values()] for group in sort_by_data(groups)]
    assert [shares for (shares,) in read] == [0.1, 0.1, 0.2, 0.2] and len(groups) == 4


@pytest.mark.long
def test_a_lost_job_is_made_again_among_the_same_companions_bit_for_bit(
    work: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert cli.main(["train", *SWEEP]) == 0
    before = records(work / "runs")
    lost = next((work / "runs").rglob("seed1-*/record.json"))
    untouched = {path: path.stat().st_mtime_ns for path in (work / "runs").rglob("record.json") if path != lost}
    lost.unlink()
    scored: list[int] = []
    real = run.score_run
    monkeypatch.setattr(run, "score_run", lambda *arguments: (scored.append(1), real(*arguments))[1])
    assert cli.main(["train", *SWEEP]) == 0
    assert "1 job(s) to run, 7 of 8 done already" in capsys.readouterr().err
    assert len(scored) == 1
    assert {path: path.stat().st_mtime_ns for path in untouched} == untouched
    again = records(work / "runs")
    assert {name: result(record) for name, record in again.items()} == {k: result(v) for k, v in before.items()}
    assert cli.main(last_of_each("train", *SWEEP, "seed=0,1,2")) == 0, "a wider sweep leaves the old groups alone"
    assert len(records(work / "runs")) == 12
    assert {path: path.stat().st_mtime_ns for path in untouched} == untouched


def test_one_failing_job_stops_no_companion(
    work: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    real = run.score_run

    def failing(planned: RunRecord, config: ExperimentConfig, *rest: Any) -> Any:
        if config.run.seed == 1:
            raise ValueError("no such slice")
        return real(planned, config, *rest)

    monkeypatch.setattr(run, "score_run", failing)
    assert cli.main(["train", *PACKED, "objective=naive", "seed=0,1,2"]) == 1
    output = capsys.readouterr()
    assert "failed: mf-naive seed 1: ValueError: no such slice" in output.err and output.err.count("failed:") == 1
    assert sorted(record["status"] for record in records(work / "runs").values()) == ["done", "done", "failed"]
    monkeypatch.setattr(run, "score_run", real)
    assert cli.main(["train", *PACKED, "objective=naive", "seed=0,1,2"]) == 0
    assert {record["status"] for record in records(work / "runs").values()} == {"done"}


def test_a_diverging_stack_tells_its_reason_for_each_job(work: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from causalrec.training.stacked import stacked_trainer

    def broken(self: Any) -> None:
        raise MemoryError("no room for the stack")

    monkeypatch.setattr(stacked_trainer.StackedTrainer, "epoch", broken)
    assert cli.main(["train", *PACKED, "objective=naive", "seed=0,1"]) == 1
    assert [record["error"] for record in records(work / "runs").values()] == ["MemoryError: no room for the stack"] * 2


def test_what_cannot_stack_is_trained_alone_and_said_once(work: Path, recwarn: pytest.WarningsRecorder) -> None:
    with pytest.warns(UserWarning, match=r"one by one, not packed: trainer.precision=bf16-mixed") as caught:
        assert cli.main(["train", *PACKED, "objective=naive", "seed=0,1", "trainer.precision=bf16-mixed"]) == 0
    assert sum("not packed" in str(warning.message) for warning in caught) == 1
    assert len(records(work / "runs")) == 2


def test_jobs_are_alike_up_to_the_numbers_that_stack(work: Path) -> None:

    def like(*overrides: str) -> str:
        return group_key(compose_all([normalise_overrides([*SMALL, *overrides])])[0])

    key = like("objective=dr_jl")
    assert key == like("objective=dr_jl", "seed=5", "optimizer.lr=0.5", "objective.clip=0.3", "name=other")
    assert key == like("objective=dr_jl", "selection.candidates={optimizer.weight_decay:[1.0,2.0]}")
    assert key != like("objective=dr_jl", "encoder.width=5") and key != like("objective=ips")
    assert key != like("objective=dr_jl", "objective.legacy_public_code=true") != like("objective=dr_jl", "sweep=t")


COUNTING = """
import os
from causalrec.running import run
real = run.train_together
def step_count(specs, fitter, ownership, execution="alone", cache=None):
    for spec in (spec for spec, check in zip(specs, ownership) if check is not None):
        (spec.run.paths.runs / "worked").mkdir(parents=True, exist_ok=True)
        (spec.run.paths.runs / "worked" / f"{spec.key}={os.getpid()}").touch()
    return real(specs, fitter, ownership, execution, cache)
run.train_together = step_count
"""


@pytest.mark.long
def test_two_packed_launchers_at_once_share_the_groups(tmp_path: Path) -> None:
    table(tmp_path)
    both = [start(tmp_path, "train", *SWEEP, before=COUNTING) for _ in range(2)]
    for process in both:
        out, err = process.communicate(timeout=240)
        assert process.returncode == 0, err
        assert "8 job(s) of this launch have a record" in out
    worked = [path.name.split("=")[0] for path in (tmp_path / "runs" / "worked").iterdir()]
    assert len(worked) == len(set(worked)) == 8, "no job was trained twice"


@pytest.mark.long
def test_kill_9_in_a_stack_and_a_relaunch_end_in_the_same_bits(tmp_path: Path) -> None:
    table(tmp_path, rows=900)
    sweep = last_of_each(
        *SWEEP,
        "trainer.max_epochs=40",
        "trainer.patience=40",
        "trainer.checkpoint_seconds=0",
        "sampler.batch_size=8",
    )
    uncut = start(tmp_path, "train", *sweep, "paths.runs=whole")
    assert uncut.wait(timeout=240) == 0
    rng, cut_on_the_way = np.random.default_rng(0), 0
    groups = tmp_path / "runs" / "s" / ".ledger" / "groups"
    for _ in range(2):
        process = start(tmp_path, "train", *sweep)
        until = time.monotonic() + 120
        seen = {path: path.stat().st_mtime_ns for path in groups.rglob("*.ckpt")}
        while process.poll() is None and time.monotonic() < until:
            if any(seen.get(path) != path.stat().st_mtime_ns for path in groups.rglob("*.ckpt")):
                break
            time.sleep(0.01)
        time.sleep(float(rng.uniform(0, 0.3)))
        cut_on_the_way += process.poll() is None
        os.killpg(process.pid, signal.SIGKILL)
        process.communicate()
    assert cut_on_the_way == 2
    assert start(tmp_path, "train", *sweep).wait(timeout=240) == 0
    mine, other = records(tmp_path / "runs"), records(tmp_path / "whole")
    assert len(mine) == 8 and {k: result(v) for k, v in mine.items()} == {k: result(v) for k, v in other.items()}


def test_the_ledger_remembers_who_trained_together(work: Path) -> None:
    assert cli.main(["train", *PACKED, "objective=naive", "seed=0,1"]) == 0
    (members,) = Ledger(work / "runs" / "s").groups().values()
    assert len(members) == 2 and all(
        "objective=naive" in overrides or "++objective=naive" in overrides for overrides in members.values()
    )
