"""Jobs in processes of this machine, through Hydra's joblib launcher."""

from __future__ import annotations

from pathlib import Path

import pytest
from tiny import finished_jobs, launch, records, result

pytest.importorskip("hydra_plugins.hydra_joblib_launcher")


@pytest.mark.long
def test_joblib_runs_every_job_once_with_the_results_of_one_process(tmp_path: Path) -> None:
    seeds = "seed=0,1,2"
    code, out, err = launch(tmp_path, seeds, "sweep=alone")
    assert code == 0, err
    code, out, err = launch(tmp_path, seeds, "sweep=many", "hydra/launcher=joblib", "hydra.launcher.n_jobs=2")
    assert code == 0, err
    many, alone = records(tmp_path / "runs/many"), records(tmp_path / "runs/alone")
    assert finished_jobs(tmp_path / "runs/many") == sorted(many) == sorted(alone) and len(many) == 3
    assert {job: result(record) for job, record in many.items()} == {job: result(alone[job]) for job in alone}
    assert [Path(line).parent.name.split("-")[0] for line in out.splitlines()] == ["seed0", "seed1", "seed2"]


@pytest.mark.long
def test_a_failing_job_stops_no_other_and_a_second_launch_runs_it_alone(tmp_path: Path) -> None:
    sweep = ["dataset.outcome=nope,rating", "sweep=mixed", "hydra/launcher=joblib", "hydra.launcher.n_jobs=2"]
    code, out, err = launch(tmp_path, *sweep)
    assert code == 1
    assert err.count("causalrec: failed: ") == 1 and "nope" in err
    (done,) = finished_jobs(tmp_path / "runs/mixed")
    job_records = records(tmp_path / "runs/mixed")
    assert sorted(record["status"] for record in job_records.values()) == ["done", "failed"]
    assert job_records[done]["status"] == "done" and f"runs/mixed/{done}/record.json" in out
    code, _, err = launch(tmp_path, *sweep)
    assert code == 1
    assert "1 job(s) to run, 1 of 2 done already" in err


@pytest.mark.long
def test_a_misspelt_key_of_the_launcher_is_refused(tmp_path: Path) -> None:
    code, _, err = launch(tmp_path, "hydra/launcher=joblib", "hydra.launcher.njobs=2", "seed=0,1", "sweep=s")
    assert code == 2 and "hydra.launcher.njobs: unknown key; did you mean 'n_jobs'" in err
