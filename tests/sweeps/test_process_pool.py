"""Groups of jobs in spawned processes: order, where they run, and what a dead process costs."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from causalrec.sweeps.process_pool import THREAD_VARIABLES, WORKER_DIED, run_in_processes


def whereabouts(job: int) -> tuple[int, int, str]:
    return job, os.getpid(), os.environ["OMP_NUM_THREADS"]


def dies(job: int) -> str:
    if job == 2:
        os._exit(1)
    return f"done {job}"


def lost(job: int, why: str) -> str:
    return f"lost {job}: {why}"


def no_place(job: int, why: str) -> tuple[int, int, str]:
    raise AssertionError(why)


def test_outcomes_come_in_order_and_a_group_stays_in_one_process(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OMP_NUM_THREADS", "7")
    monkeypatch.delenv(THREAD_VARIABLES[1], raising=False)
    ticks: list[int] = []
    outcomes = run_in_processes([[3, 1], [2], [5, 4, 0]], whereabouts, no_place, 2, lambda: ticks.append(1))
    assert [job for job, _, _ in outcomes] == [3, 1, 2, 5, 4, 0]
    processes = [process for _, process, _ in outcomes]
    assert processes[0] == processes[1] and len(set(processes[3:])) == 1
    assert os.getpid() not in processes
    assert {threads for _, _, threads in outcomes} == {"1"}
    assert os.environ["OMP_NUM_THREADS"] == "7" and THREAD_VARIABLES[1] not in os.environ, "this process keeps its own"
    assert ticks


def test_a_process_that_dies_loses_its_jobs_and_says_so() -> None:
    outcomes = run_in_processes([[1], [2, 3]], dies, lost, 1, lambda: None)
    assert outcomes == ["done 1", f"lost 2: {WORKER_DIED}", f"lost 3: {WORKER_DIED}"]


@pytest.mark.skipif(not Path("/proc").exists(), reason="reads /proc")
def test_workers_do_not_outlive_a_killed_parent(tmp_path: Path) -> None:
    code = (
        "import time, test_process_pool as t\nfrom causalrec.sweeps.process_pool import run_in_processes\n"
        "if __name__ == '__main__':\n    run_in_processes([[1], [2]], t.tells_and_sleeps, t.lost, 2, lambda: None)\n"
    )
    (tmp_path / "main.py").write_text(code)
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parent), "TOLD": str(tmp_path)}
    parent = subprocess.Popen([sys.executable, str(tmp_path / "main.py")], env=environment)
    assert wait_until(lambda: len(list(tmp_path.glob("*.pid"))) == 2, 30)
    parent.kill()
    parent.wait()
    workers = [int(path.stem) for path in tmp_path.glob("*.pid")]
    assert wait_until(lambda: not any(alive(worker) for worker in workers), 15)


def tells_and_sleeps(job: int) -> str:
    (Path(os.environ["TOLD"]) / f"{os.getpid()}.pid").touch()
    time.sleep(60)
    return "slept"


def alive(process: int) -> bool:
    status = Path(f"/proc/{process}/stat")
    return status.exists() and status.read_text().rsplit(")", 1)[1].split()[0] != "Z"


def wait_until(condition: Callable[[], bool], seconds: float) -> bool:
    end = time.monotonic() + seconds
    while not condition() and time.monotonic() < end:
        time.sleep(0.1)
    return condition()
