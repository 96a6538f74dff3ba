"""Launches: what is left is run once, by however many launchers; what is finished is not; what failed is told."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from conftest import last_of_each
from small import FAKE, ROWS, SMALL, contents, start, table

from causalrec import cli
from causalrec.config.compose import compose_config, normalise_overrides, validate_config
from causalrec.config.schema import ExperimentConfig
from causalrec.errors import DataError, RequestError
from causalrec.records.run_record import RunRecord
from causalrec.running import run
from causalrec.sweeps import fingerprint, launch
from causalrec.sweeps.ledger import Ledger

SETTINGS = {"seed": 0, "evaluation": {"level": 0.95}}  # that every finished record has

Capture = pytest.CaptureFixture[str]
SWEEP = ["-m", "objective=naive,ips", "seed=0,1", "sweep=s", *SMALL]


@pytest.fixture
def work(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working directory beside a small table; the sources count as unchanged."""
    monkeypatch.setenv("CAUSALREC_DATA", str(table(tmp_path)))
    monkeypatch.setenv("CAUSALREC_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(fingerprint, "code_hash", lambda: "0" * 64)
    monkeypatch.chdir(tmp_path)
    return tmp_path


class Fake:
    """Stands in for training: tells which jobs ran, fails those it is told to."""

    def __init__(self) -> None:
        self.ran: list[tuple[str, int]] = []
        self.fails: dict[tuple[str, int], Exception] = {}

    def __call__(self, spec: ExperimentConfig, check_ownership: Any, cache: Any) -> Path:
        job = (spec.run.name, spec.run.seed)
        self.ran.append(job)
        if job in self.fails:
            raise self.fails[job]
        return RunRecord(
            name=spec.run.name,
            status="done",
            config=SETTINGS,
            command=f"causalrec train launch={len(self.ran)}",
        ).save(spec.folder)


@pytest.fixture
def fake(work: Path, monkeypatch: pytest.MonkeyPatch) -> Fake:
    fake_train = Fake()
    monkeypatch.setattr(run, "train", fake_train)
    return fake_train


def call(capsys: Capture, *arguments: str) -> tuple[int, str, str]:
    code = cli.main(last_of_each(*arguments))
    return (code, *capsys.readouterr())


def count_records(out: str) -> int:
    """How many jobs have a record, as a launch says."""
    return sum(int(count) for count in re.findall(r": (\d+) job\(s\) of this launch have a record$", out, re.MULTILINE))


def ledger_of(*overrides: str) -> tuple[Ledger, str, ExperimentConfig]:
    spec = validate_config(compose_config(normalise_overrides(["sweep=s", *SMALL, *overrides])))
    ledger = Ledger.for_config(spec)
    return ledger, ledger.enter(spec), spec


# One launcher.


def test_a_second_launch_runs_nothing_and_says_so(fake: Fake, capsys: Capture) -> None:
    code, out, err = call(capsys, "train", *SWEEP)
    assert code == 0 and "4 job(s) to run" in err and len(fake.ran) == 4
    again = call(capsys, "train", *SWEEP)
    assert again == (0, out, "causalrec: 0 job(s) to run, 4 of 4 done already\n")
    code, out, err = call(capsys, "train", *SWEEP, "seed=0,1,2")
    assert code == 0 and "2 job(s) to run, 4 of 6 done already" in err
    assert fake.ran[4:] == [("mf-naive", 2), ("mf-ips", 2)] and count_records(out) == 6


def test_a_truncated_record_is_told_and_its_job_alone_runs_again(fake: Fake, capsys: Capture) -> None:
    call(capsys, "train", *SWEEP)
    (path,) = Path("runs/s/mf-ips").glob("seed0-*/record.json")
    text = path.read_text()
    path.write_text(text[:20])
    code, _, err = call(capsys, "train", *SWEEP)
    assert code == 0 and "1 job(s) to run, 3 of 4 done already" in err
    assert f"causalrec: {path}: not whole, 20 bytes of {len(text)}; the job runs again\n" in err
    assert fake.ran[4:] == [("mf-ips", 0)]


def test_a_failing_job_is_told_and_runs_again_at_the_next_launch(fake: Fake, capsys: Capture) -> None:
    fake.fails = {("mf-ips", 0): DataError("out of luck"), ("mf-naive", 1): ZeroDivisionError("a bug")}
    code, out, err = call(capsys, "train", *SWEEP)
    assert code == 1 and count_records(out) == 2
    assert "causalrec: failed: mf-naive seed 1: ZeroDivisionError: a bug\n" in err
    assert "causalrec: failed: mf-ips seed 0: out of luck\n" in err
    fake.fails = {}
    code, out, err = call(capsys, "train", *SWEEP)
    assert code == 0 and sorted(fake.ran[4:]) == [("mf-ips", 0), ("mf-naive", 1)] and "failed" not in err


def test_a_single_run_that_is_done_says_so_in_one_line_and_rerun_runs_it(fake: Fake, capsys: Capture) -> None:
    chosen = ["train", "objective=naive", "sweep=s", *SMALL, "selection.folds=1"]
    code, out, _ = call(capsys, *chosen)
    assert code == 0
    assert call(capsys, *chosen) == (0, out, "causalrec: mf-naive: done already (--rerun runs it)\n")
    code, again, err = call(capsys, *chosen, "--rerun")
    assert (code, again) == (0, out) and "running mf-naive: 1 fit, choosing optimizer.weight_decay 0.1\n" in err
    record = RunRecord.load(Path(out.splitlines()[0].removeprefix("record: ")))
    assert (len(fake.ran), record.command) == (2, "causalrec train launch=2")
    assert call(capsys, *chosen)[2].count("done already") == 1


def test_a_failing_single_run_gives_its_exit_code(fake: Fake, capsys: Capture) -> None:
    fake.fails = {("mf-naive", 0): RequestError("wrong")}
    code, _, err = call(capsys, "train", "objective=naive", *SMALL)
    assert code == 2 and "causalrec: failed: mf-naive seed 0: wrong\n" in err


def test_jobs_that_are_the_same_run_once(fake: Fake, capsys: Capture) -> None:
    code, out, _ = call(capsys, "train", "-m", "logger=none,csv", "objective=naive", *SMALL[:1], *SMALL[2:])
    assert code == 0 and fake.ran == [("mf-naive", 0)] and count_records(out) == 1


def test_sweeps_of_two_names_have_ledgers_of_their_own(fake: Fake, capsys: Capture) -> None:
    code, out, _ = call(capsys, "train", "-m", "sweep=one,two", "objective=naive", *SMALL)
    assert code == 0 and len(fake.ran) == 2
    assert count_records(out) == 2 and all(f"runs/{sweep}: 1 job" in out for sweep in ("one", "two"))


def test_a_job_that_runs_elsewhere_is_waited_for_and_taken_over_when_it_is_abandoned(
    fake: Fake, capsys: Capture, monkeypatch: pytest.MonkeyPatch
) -> None:
    ledger, job, _ = ledger_of("objective=naive")
    claim = ledger.claims.folder / f"{job}~1"
    claim.parent.mkdir(parents=True)
    claim.write_text(json.dumps({"host": "elsewhere", "machine": "m", "pid": 7, "started": "1"}))
    abandoned = (time.time() - ledger.stale_after,) * 2
    monkeypatch.setattr(launch.time, "sleep", lambda seconds: os.utime(claim, abandoned))
    code, _, err = call(capsys, "train", "objective=naive", "sweep=s", *SMALL)
    assert code == 0 and "waiting for 1 job(s) that run elsewhere (elsewhere process 7)\n" in err
    assert err.count("waiting") == 1
    assert fake.ran == [("mf-naive", 0)]


def test_a_job_that_ends_elsewhere_is_not_run_here(
    fake: Fake, capsys: Capture, monkeypatch: pytest.MonkeyPatch
) -> None:
    ledger, job, spec = ledger_of("objective=naive", "seed=1")
    claim = ledger.claim(job)
    assert claim is not None
    real = time.sleep

    def sleep(seconds: float) -> None:
        claim.mark_done(fake(spec, None, None))
        fake.ran.pop()
        monkeypatch.setattr(launch.time, "sleep", real)

    monkeypatch.setattr(launch.time, "sleep", sleep)
    code, out, _ = call(capsys, "train", *SWEEP)
    assert code == 0 and ("mf-naive", 1) not in fake.ran and len(fake.ran) == 3 and count_records(out) == 4


def test_a_folder_that_cannot_be_written_is_one_line(
    fake: Fake, work: Path, capsys: Capture, monkeypatch: pytest.MonkeyPatch
) -> None:
    (work / "runs").mkdir()
    (work / "runs" / "s").write_text("in the way")
    code, out, err = call(capsys, "train", *SWEEP)
    assert (code, out, fake.ran) == (2, "", [])
    assert err.startswith("causalrec: runs/s/.ledger: cannot be written (") and err.count("\n") == 1


# Launchers and sweepers.

PLUGINS = """
from hydra.core.utils import JobReturn, JobStatus
from hydra.plugins.launcher import Launcher
from hydra.plugins.sweeper import Sweeper

class Some:
    def setup(self, *, hydra_context, task_function, config):
        self.context, self.function, self.config = hydra_context, task_function, config

class Breaks(Some, Launcher):
    def __init__(self, *, after: int = 1):
        self.after = after
    def launch(self, job_overrides, initial_job_idx):
        from hydra.core.utils import run_job
        for job in job_overrides[:self.after]:
            config = self.context.config_loader.load_sweep_config(self.config, list(job))
            run_job(self.function, config, "hydra.sweep.dir", "hydra.sweep.subdir", hydra_context=self.context)
        raise RuntimeError("a worker\\n died")

class Chooses(Some, Sweeper):
    def __init__(self, *, seeds: int = 2):
        self.seeds = seeds
    def sweep(self, arguments):
        from causalrec.sweeps.driver import launcher_of
        launcher = launcher_of(hydra_context=self.context, task_function=self.function, config=self.config)
        jobs = [[*arguments, f"++seed={seed}"] for seed in range(self.seeds)]
        return [one.return_value for one in launcher.launch(jobs, 0)]
"""


@pytest.fixture
def plugins(work: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A package of one's own with a launcher that breaks and a sweeper, and a folder of their YAML."""
    (work / "package").mkdir()
    (work / "package" / "mylaunch.py").write_text(PLUGINS)
    monkeypatch.syspath_prepend(str(work / "package"))
    monkeypatch.setenv("CAUSALREC_PACKAGES", "mylaunch")
    for kind, name, target in (("launcher", "breaks", "Breaks"), ("sweeper", "chooses", "Chooses")):
        (work / "conf" / "hydra" / kind).mkdir(parents=True)
        (work / "conf" / "hydra" / kind / f"{name}.yaml").write_text(f"_target_: mylaunch.{target}\n")
    return work / "conf"


def test_a_launcher_that_breaks_keeps_what_it_had_finished(plugins: Path, fake: Fake, capsys: Capture) -> None:
    chosen = ["train", "--config-dir", str(plugins), *SWEEP, "hydra/launcher=breaks", "hydra.launcher.after=3"]
    code, out, err = call(capsys, *chosen)
    assert code == 1 and len(fake.ran) == 3 and count_records(out) == 3
    assert err.count("failed:") == 1
    assert "causalrec: failed: mf-ips seed 1: RuntimeError: a worker died\n" in err
    code, _, err = call(capsys, "train", *SWEEP)
    assert code == 0 and "1 job(s) to run, 3 of 4 done already" in err and len(fake.ran) == 4


def test_an_unknown_key_of_a_launcher_is_refused_before_any_job(plugins: Path, fake: Fake, capsys: Capture) -> None:
    chosen = ["train", "--config-dir", str(plugins), *SWEEP, "hydra/launcher=breaks", "+hydra.launcher.afer=3"]
    code, _, err = call(capsys, *chosen)
    assert code == 2 and "hydra.launcher.afer: unknown key; did you mean 'after'" in err and fake.ran == []


def test_another_sweeper_chooses_the_jobs(plugins: Path, fake: Fake, capsys: Capture) -> None:
    chosen = ["train", "--config-dir", str(plugins), "-m", "objective=naive", "sweep=s", *SMALL]
    chosen += ["hydra/sweeper=chooses", "hydra.sweeper.seeds=3"]
    fake.fails = {("mf-naive", 1): DataError("out of luck")}
    code, out, err = call(capsys, *chosen)
    assert code == 1 and sorted(fake.ran) == [("mf-naive", seed) for seed in range(3)]
    assert count_records(out) == 2 and "causalrec: failed: mf-naive seed 1: out of luck\n" in err
    fake.fails = {}
    code, out, _ = call(capsys, *chosen)
    assert code == 0 and fake.ran[3:] == [("mf-naive", 1)] and count_records(out) == 3


@pytest.mark.long
@pytest.mark.slow
def test_hydras_own_plugins_are_built_by_hydra(work: Path, capsys: Capture) -> None:
    pytest.importorskip("hydra_plugins.hydra_joblib_launcher")
    chosen = ["train", *SWEEP, "hydra/launcher=joblib", "hydra.launcher.n_jobs=2", "paths.runs=runs"]
    code, out, err = call(capsys, *chosen)
    assert code == 0, err
    assert count_records(out) == 4 and set(contents(work / "runs")) == {
        (row, seed) for row in ("mf-naive", "mf-ips") for seed in (0, 1)
    }


# Two launchers at once.


@pytest.mark.long
def test_two_launchers_of_quick_jobs_run_each_once(work: Path) -> None:
    seeds = ",".join(map(str, range(12)))
    chosen = ["train", "-m", "objective=naive,ips,dr_jl", f"seed={seeds}", "sweep=s", *SMALL]
    launchers = [start(work, *chosen, before=FAKE) for _ in range(2)]
    for launcher in launchers:
        out, err = launcher.communicate(timeout=240)
        assert launcher.returncode == 0, err
        assert count_records(out) == 36
    worked = [path.name.split("=") for path in (work / "runs" / "worked").iterdir()]
    assert Counter((row, int(seed)) for row, seed, _, _ in worked) == {
        (f"mf-{row}", seed): 1 for row in ROWS for seed in range(12)
    }
    assert {int(pid) for _, _, pid, _ in worked} == {launcher.pid for launcher in launchers}, "both worked"


@pytest.mark.long
@pytest.mark.slow
def test_two_launchers_of_a_real_sweep_run_each_job_once(work: Path) -> None:
    chosen = ["train", "-m", f"objective={','.join(ROWS)}", "seed=0,1", "sweep=s", *SMALL]
    launchers = [start(work, *chosen, before=TELLS) for _ in range(2)]
    for launcher in launchers:
        out, err = launcher.communicate(timeout=240)
        assert launcher.returncode == 0, err
        assert count_records(out) == 6
    assert set(contents(work / "runs" / "s")) == {(f"mf-{row}", seed) for row in ROWS for seed in (0, 1)}
    worked = Counter(path.name.rpartition("=")[0] for path in (work / "runs" / "worked").iterdir())
    assert worked == {f"mf-{row}={seed}": 1 for row in ROWS for seed in (0, 1)}


TELLS = """
import uuid
from causalrec.running import run
real = run.train
def tells(spec, check_ownership, cache):
    (spec.run.paths.runs / "worked").mkdir(exist_ok=True)
    (spec.run.paths.runs / "worked" / f"{spec.run.name}={spec.run.seed}={uuid.uuid4()}").touch()
    return real(spec, check_ownership, cache)
run.train = tells
"""


# sweep status, retry, gc


def test_status_tells_where_each_job_stands(fake: Fake, work: Path, capsys: Capture) -> None:
    fake.fails = {("mf-ips", 0): DataError("out of luck"), ("mf-ips", 1): KeyboardInterrupt()}  # type: ignore[dict-item]
    assert call(capsys, "train", *SWEEP, "seed=0,1,2")[0] == 1, "interrupted"
    ledger, job, _ = ledger_of("objective=ips", "seed=9")
    claim = ledger.claim(job)
    assert claim is not None
    path = ledger.claims.folder / f"{job.replace('seed9', 'seed8')}~1"
    path.write_text(json.dumps({"host": "elsewhere", "machine": "m", "pid": 7, "started": "1"}))
    code, out, _ = call(capsys, "sweep", "status", "runs/s", "--json")
    status = json.loads(out)
    assert code == 0 and status["sweep"] == "s" and status["launches"] == 1
    counts = {"done": 3, "running": 1, "running elsewhere": 1, "waiting": 1, "interrupted": 1, "failed": 1}
    assert status["counts"] == counts
    rows: dict[str, Any] = {row["status"]: row for row in status["jobs"]}
    assert rows["failed"]["reason"] == "out of luck" and rows["failed"]["job"].startswith("mf-ips/seed0-")
    assert rows["interrupted"]["job"].startswith("mf-ips/seed1-") and rows["waiting"]["job"].startswith("mf-ips/seed2-")
    assert rows["running"]["pid"] == os.getpid()
    assert (rows["running elsewhere"]["host"], rows["running elsewhere"]["pid"]) == ("elsewhere", 7)
    assert 0 <= rows["running elsewhere"]["age"] < 60
    code, out, _ = call(capsys, "sweep", "status", "runs/s")
    assert code == 0 and out.startswith(
        "s: 3 done, 1 running, 1 running elsewhere, 1 waiting, 1 interrupted, 1 failed\n"
    )
    assert "out of luck" in out and "elsewhere" in out and "mf-naive" not in out


def test_status_tells_what_another_code_made(fake: Fake, capsys: Capture, monkeypatch: pytest.MonkeyPatch) -> None:
    assert call(capsys, "train", *SWEEP)[0] == 0
    monkeypatch.setattr(fingerprint, "code_hash", lambda: "1" * 64)
    assert json.loads(call(capsys, "sweep", "status", "runs/s", "--json")[1])["counts"] == {"outdated": 4}
    code, _, err = call(capsys, "train", *SWEEP)
    assert code == 0 and "4 job(s) to run" in err and len(fake.ran) == 8


def test_retry_forgets_failures_and_prints_the_command_that_goes_on(
    fake: Fake, work: Path, capsys: Capture, monkeypatch: pytest.MonkeyPatch
) -> None:
    fake.fails = {("mf-ips", 0): DataError("out of luck")}
    call(capsys, "train", *SWEEP)
    call(capsys, "train", *SWEEP, "seed=5")
    code, out, err = call(capsys, "sweep", "retry", "runs/s")
    assert code == 0 and "1 failure(s) forgotten" in err
    assert out == "causalrec train " + " ".join(f"'{a}'" if "[" in a else a for a in SWEEP) + "\n"
    assert "failed" not in json.loads(call(capsys, "sweep", "status", "runs/s", "--json")[1])["counts"]
    monkeypatch.chdir(work / "runs")
    assert call(capsys, "sweep", "retry", "s")[1] == "", "nothing failed"


def test_gc_frees_what_is_not_needed_and_keeps_what_is(fake: Fake, work: Path, capsys: Capture) -> None:
    fake.fails = {("mf-ips", 1): KeyboardInterrupt()}  # type: ignore[dict-item]
    _, out, _ = call(capsys, "train", *SWEEP)
    done, interrupted = ledger_of("objective=naive")[2].folder, ledger_of("objective=ips", "seed=1")[2].folder
    for folder in (done, interrupted):
        (folder / "checkpoints" / "wd=0.1").mkdir(parents=True)
        (folder / "checkpoints" / "wd=0.1" / "best.ckpt").write_bytes(b"b" * 1000)
        (folder / "checkpoints" / "wd=0.1" / "fit.json").write_text("{}")
        (folder / "checkpoints" / "wd=0.1" / "resume.ckpt").write_bytes(b"l" * 2_000_000)
    ledger, job, gone = ledger_of("objective=naive", "seed=1")
    (gone.folder / "record.json").unlink()
    dead = ledger.claims.folder / f"{job}~3"
    dead.write_text(json.dumps({"host": "elsewhere", "machine": "m", "pid": 7, "started": "1"}))
    os.utime(dead, (1, 1))
    old, young = done / ".record.json.abc.json", done / ".record.json.def.json"
    for path in (old, young):
        path.write_text("{")
    os.utime(old, (1, 1))
    code, out, _ = call(capsys, "sweep", "gc", "runs/s")
    assert code == 0 and out.endswith("freed 2.0 MB\n")
    assert "checkpoint: 1 removed, 2.0 MB\n" in out and "stale claim: 1 removed" in out
    assert "mark without a record: 1 removed" in out and "temporary file: 1 removed" in out
    assert not (done / "checkpoints" / "wd=0.1" / "resume.ckpt").exists() and not dead.exists() and not old.exists()
    remaining = (
        done / "checkpoints/wd=0.1/best.ckpt",
        done / "checkpoints/wd=0.1/fit.json",
        young,
        interrupted / "checkpoints/wd=0.1/resume.ckpt",
    )
    assert all(path.exists() for path in remaining)
    assert json.loads(call(capsys, "sweep", "gc", "runs/s", "--json")[1]) == {}
    fake.fails = {}
    code, _, err = call(capsys, "train", *SWEEP)
    assert code == 0 and "2 job(s) to run, 2 of 4 done already" in err


@pytest.mark.parametrize("what", ["status", "retry", "gc"])
def test_a_folder_without_a_ledger_is_refused(what: str, work: Path, capsys: Capture) -> None:
    (work / "empty").mkdir()
    code, out, err = call(capsys, "sweep", what, "empty")
    assert (code, out) == (2, "") and err.startswith("causalrec: empty: no sweep was launched here")
    assert list((work / "empty").iterdir()) == []


def test_the_sweep_verb_answers_without_torch(fake: Fake, work: Path, capsys: Capture) -> None:
    assert call(capsys, "train", *SWEEP)[0] == 0
    code = "import sys\nfrom causalrec import cli\ncli.main(['sweep', 'status', 'runs/s'])\n"
    code += "cli.main(['sweep', 'gc', 'runs/s'])\nassert 'torch' not in sys.modules and 'hydra' not in sys.modules\n"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=work)
    assert done.returncode == 0, done.stderr
