"""A sweep killed at random moments, launched again each time, ends with the records of one that was not."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from small import ROWS, SMALL, contents, start, table

from causalrec.training.checkpoint import read_checkpoint

SEEDS = range(8)
JOBS = {(f"mf-{row}", seed) for row in ROWS for seed in SEEDS}
SWEEP = ["train", "-m", f"objective={','.join(ROWS)}", f"seed={','.join(map(str, SEEDS))}", "sweep=s", *SMALL]
SWEEP += ["sampler.batch_size=16", "trainer.max_epochs=3", "trainer.checkpoint_steps=3"]
# Each fit that goes on from a checkpoint is told.
TELLS = """
import uuid
from pathlib import Path
from causalrec.training.fit_store import FitFolder
real = FitFolder.checkpoint_to_resume
def checkpoint_to_resume(self):
    if (checkpoint := real(self)) is not None:
        (Path("resumed") / str(uuid.uuid4())).touch()
    return checkpoint
FitFolder.checkpoint_to_resume = checkpoint_to_resume
"""


def start_sweep(folder: Path, runs: str) -> subprocess.Popen[str]:
    return start(folder, *SWEEP, f"paths.runs={runs}", before=TELLS)


def wait_for_end(launcher: subprocess.Popen[str]) -> None:
    out, err = launcher.communicate(timeout=600)
    assert launcher.returncode == 0, err
    assert len(out.splitlines()) == len(JOBS)


def kill_at(launcher: subprocess.Popen[str], moment: Callable[[], bool]) -> bool:
    """Kill a launcher, its whole process group, once the moment has come; return whether it came before its end."""
    end = time.monotonic() + 300
    while not moment() and launcher.poll() is None:
        assert time.monotonic() < end, "it neither works nor ends"
        time.sleep(0.002)
    came = launcher.poll() is None
    if came:
        os.killpg(launcher.pid, signal.SIGKILL)
    launcher.communicate()
    return came


def moment_after(seconds: float, first: Callable[[], bool] = lambda: True) -> Callable[[], bool]:
    """The moment so many seconds after something has first been seen."""
    seen: list[float] = []

    def moment() -> bool:
        if not seen and first():
            seen.append(time.monotonic())
        return bool(seen) and time.monotonic() - seen[0] >= seconds

    return moment


def midway(folder: Path) -> bool:
    """Whether a fit was left within an epoch: its checkpoint tells how many batches of one are behind."""
    return any(read_checkpoint(path)["steps"] > 0 for path in folder.rglob("resume.ckpt"))


def finish_times(folder: Path) -> dict[str, int]:
    """The records that are marked as finished, and when they were written."""
    names = [path.name for path in (folder / "s" / ".ledger" / "done").glob("*~*")]
    jobs = [Path(*name.split("~")[:2]) for name in names]
    return {str(job): (folder / "s" / job / "record.json").stat().st_mtime_ns for job in jobs}


@pytest.mark.parametrize(
    ("kill", "within_epochs"),
    [pytest.param(2, 1, marks=pytest.mark.long), pytest.param(10, 3, marks=pytest.mark.long)],
)
def test_a_sweep_killed_again_and_again_equals_one_that_was_not(kill: int, within_epochs: int, tmp_path: Path) -> None:
    table(tmp_path)
    (tmp_path / "resumed").mkdir()
    wait_for_end(start_sweep(tmp_path, "whole"))
    assert list((tmp_path / "resumed").iterdir()) == []
    chance, kills, within = random.Random(0), 0, 0
    runs = tmp_path / "killed"
    while kills < kill or within < within_epochs:
        finished = finish_times(runs)
        assert len(finished) < len(JOBS), f"done after {kills} kills, {within} of them within an epoch: too few"
        launcher = start_sweep(tmp_path, "killed")
        if kill > 2 and kills < 2:
            moment = moment_after(chance.uniform(0, 6))  # while it starts
        elif kills % 2:
            moment = moment_after(chance.uniform(0, 0.1), lambda: any(runs.rglob("resume.ckpt")))
        else:
            held = {path.name for path in (runs / "s" / ".ledger" / "claims").glob("*")}
            moment = moment_after(chance.uniform(0, 1), lambda held=held: has_new_claim(runs, held))  # type: ignore[misc]
        kills += kill_at(launcher, moment)
        within += midway(runs)
        assert {job: when for job, when in finish_times(runs).items() if job in finished} == finished, "done is done"
    wait_for_end(start_sweep(tmp_path, "killed"))
    assert len(list((runs / "s").rglob("record.json"))) == len(JOBS)
    assert len(list((tmp_path / "resumed").iterdir())) >= within_epochs
    interrupted, uninterrupted = contents(runs / "s"), contents(tmp_path / "whole" / "s")
    assert set(interrupted) == JOBS
    assert interrupted == uninterrupted


def has_new_claim(runs: Path, before: set[str]) -> bool:
    """Whether a launcher holds a claim that was not there before."""
    return any(path.name not in before for path in (runs / "s" / ".ledger" / "claims").glob("*~*"))
