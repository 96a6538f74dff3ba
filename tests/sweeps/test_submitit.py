"""Jobs through Hydra's submitit launchers: in processes here, and as a Slurm array would be submitted."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest
from tiny import finished_jobs, launch, records

from causalrec.config.compose import normalise_overrides
from causalrec.sweeps import driver
from causalrec.sweeps.job import JobRunner
from causalrec.sweeps.multirun import Multirun

pytest.importorskip("hydra_plugins.hydra_submitit_launcher")


@pytest.mark.long
@pytest.mark.slow
def test_submitit_local_runs_every_job_once(tmp_path: Path) -> None:
    code, out, err = launch(tmp_path, "seed=0,1", "sweep=local", "hydra/launcher=submitit_local")
    assert code == 0, err
    job_records = records(tmp_path / "runs/local")
    assert finished_jobs(tmp_path / "runs/local") == sorted(job_records) and len(job_records) == 2
    assert {record["status"] for record in job_records.values()} == {"done"}
    code, again, err = launch(tmp_path, "seed=0,1", "sweep=local", "hydra/launcher=submitit_local")
    assert (code, again) == (0, out)
    assert "0 job(s) to run, 2 of 2 done already" in err


def test_submitit_slurm_submits_one_array_with_its_parameters(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import submitit
    from submitit.slurm.slurm import _make_sbatch_string

    submitted: list[Any] = []

    def keep(executor: Any, function: Any, *columns: Any) -> list[Any]:
        submitted.extend([executor, function, list(zip(*columns, strict=True))])
        return []

    (tmp_path / "srun").touch(mode=0o755)  # submitit asks only whether it is there
    monkeypatch.setenv("PATH", str(tmp_path), prepend=os.pathsep)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(submitit.AutoExecutor, "map_array", keep)
    overrides = ["hydra/launcher=submitit_slurm", "hydra.launcher.partition=gpu", "hydra.launcher.gpus_per_node=1"]
    overrides += ["hydra.launcher.timeout_min=30", "hydra.launcher.array_parallelism=1", "sweep=array"]
    multirun = Multirun.compose(normalise_overrides(overrides))
    runner = JobRunner()
    launcher = driver.launcher_of(hydra_context=multirun.context, task_function=runner, config=multirun.config)
    assert launcher.launch([["++seed=0"], ["++seed=1"]], initial_job_idx=0) == []
    executor, function, jobs = submitted
    assert [job[0] for job in jobs] == [["++seed=0"], ["++seed=1"]]
    assert function.task_function is runner
    slurm = executor._executor
    text = _make_sbatch_string("run", slurm.folder, map_count=2, **slurm.parameters).splitlines()
    wanted = ["--partition=gpu", "--gpus-per-node=1", "--time=30", "--array=0-1%1", "--ntasks-per-node=1"]
    assert [line for line in wanted if f"#SBATCH {line}" not in text] == []
    assert any(line.startswith("#SBATCH --output=") and "runs/array/.submitit/" in line for line in text)
