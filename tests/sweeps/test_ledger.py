"""The ledger: what is finished is skipped, what is not is claimed by one alone, whoever dies and whenever."""

from __future__ import annotations

import json
import multiprocessing
import os
import subprocess
import sys
import threading
import time
import uuid
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from causalrec.config.compose import compose_config, validate_config
from causalrec.errors import DataError, RequestError
from causalrec.records.run_record import RunRecord
from causalrec.sweeps import claim_files, claim_holder, fingerprint
from causalrec.sweeps.ledger import Claim, Ledger, LostClaim

JOB = "mf-ips~seed0-0123456789ab"
PRINT = "0123456789abcdef01234567"
ELSEWHERE = {"host": "elsewhere", "machine": "another boot", "pid": 1, "started": "1"}


def ledger_in(folder: Path, *jobs: str, fingerprint_text: str = PRINT, **settings: float) -> Ledger:
    """A ledger that knows jobs by name and fingerprint, as `enter` would have told it."""
    ledger = Ledger(folder, **settings)
    ledger.fingerprints.update(dict.fromkeys(jobs or (JOB,), fingerprint_text))
    return ledger


def record(ledger: Ledger, job: str = JOB, **fields: Any) -> Path:
    """Write a record as a run does."""
    settings = {"seed": 0, "evaluation": {"level": 0.95}}
    stated = {"name": job, "status": "done", "command": str(uuid.uuid4()), "config": settings}
    written = RunRecord(**{**stated, **fields})
    return written.save(ledger.job_folder(job))


def claim_job(ledger: Ledger, job: str = JOB) -> Claim:
    claim = ledger.claim(job)
    assert claim is not None
    return claim


def foreign(ledger: Ledger, age: float, epoch: int = 1, **changes: Any) -> Path:
    """A claim of another host, last touched `age` seconds ago."""
    path = ledger.claims.folder / f"{JOB}~{epoch}"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps({**ELSEWHERE, **changes}))
    os.utime(path, (time.time() - age,) * 2)
    return path


# Finished, failed, changed.


def test_a_finished_job_is_done_for_every_launcher_and_cannot_be_claimed(tmp_path: Path) -> None:
    ledger = ledger_in(tmp_path)
    assert ledger.state(JOB).status == "new"
    claim = claim_job(ledger)
    assert ledger.state(JOB).status == "running"
    claim.mark_done(record(ledger))
    again = ledger_in(tmp_path)
    assert again.state(JOB).status == "done"
    assert again.claim(JOB) is None
    assert list((tmp_path / ".ledger" / "claims").iterdir()) == [], "nothing is held any more"


@pytest.mark.parametrize("content", ['{"name": "mf-ips", "status"', "", '{"status": "failed"}', "[]"])
def test_a_record_that_is_not_whole_is_told_and_the_job_runs_again(content: str, tmp_path: Path) -> None:
    ledger = ledger_in(tmp_path)
    claim_job(ledger).mark_done(path := record(ledger))
    size = path.stat().st_size
    path.write_text(content)
    state = ledger.state(JOB)
    assert (state.status, state.note) == (
        "new",
        f"{path}: not whole, {len(content)} bytes of {size}; the job runs again",
    )
    claim_job(ledger).mark_done(record(ledger))
    assert ledger.state(JOB).status == "done"


def test_a_record_that_is_gone_is_told_and_the_job_runs_again(tmp_path: Path) -> None:
    ledger = ledger_in(tmp_path)
    claim_job(ledger).mark_done(path := record(ledger))
    path.unlink()
    assert (ledger.state(JOB).status, ledger.state(JOB).note) == ("new", f"{path}: gone; the job runs again")
    assert ledger.claim(JOB) is not None


def test_a_record_copied_to_another_disk_is_still_done(tmp_path: Path) -> None:
    ledger = ledger_in(tmp_path)
    claim_job(ledger).mark_done(path := record(ledger))
    os.utime(path, (1, 1))
    assert ledger.state(JOB).status == "done"


def test_an_unwhole_record_cannot_be_marked(tmp_path: Path) -> None:
    ledger = ledger_in(tmp_path)
    claim = claim_job(ledger)
    with pytest.raises(DataError, match="not a whole record"):
        claim.mark_done(record(ledger, status="failed"))
    assert ledger.state(JOB).status == "running"


def test_a_failed_job_waits_until_it_is_queued_again(tmp_path: Path) -> None:
    ledger = ledger_in(tmp_path)
    claim_job(ledger).mark_failed("out of luck", 2)
    state = ledger_in(tmp_path).state(JOB)
    assert (state.status, state.reason, state.exit_code) == ("failed", "out of luck", 2)
    assert ledger.claim(JOB) is None, "another launcher of the same sweep must not try again what just failed"
    assert ledger.requeue([JOB, "other~seed0-x"]) == 1
    claim_job(ledger).mark_done(record(ledger))
    assert ledger.state(JOB).status == "done"


def test_another_fingerprint_runs_again_from_the_start_and_does_not_take_the_old_record(tmp_path: Path) -> None:
    old, new = ledger_in(tmp_path, fingerprint_text="1" * 24), ledger_in(tmp_path)
    claim_job(old).mark_done(path := record(old))
    checkpoint = old.job_folder(JOB) / "checkpoints" / "wd=0.1" / "resume.ckpt"
    checkpoint.parent.mkdir(parents=True)
    checkpoint.touch()
    assert new.state(JOB).status == "outdated"
    claim = claim_job(new)
    assert not checkpoint.exists(), "another code must not go on from it"
    claim.release()
    checkpoint.parent.mkdir(parents=True)
    checkpoint.touch()
    assert new.state(JOB).status == "interrupted"
    claim = claim_job(new)
    assert checkpoint.exists(), "its own it goes on from"
    claim.mark_done(record(new))
    assert new.state(JOB).status == "done"
    assert old.state(JOB).status == "outdated" and path.exists()


def test_a_job_forgotten_runs_from_its_start(tmp_path: Path) -> None:
    ledger = ledger_in(tmp_path)
    claim_job(ledger).mark_done(record(ledger))
    (ledger.job_folder(JOB) / "checkpoints").mkdir()
    ledger.reset_job(JOB)
    assert not (ledger.job_folder(JOB) / "checkpoints").exists()
    assert ledger.claim(JOB) is not None, "its old record is not adopted"


# Claims.


def holder_dies(folder: str, *, reaped: bool) -> subprocess.Popen[str]:
    """A process that claims the job and is killed; a zombie until it is reaped."""
    code = "import sys, time\nfrom pathlib import Path\nfrom test_ledger import claim_job, ledger_in\n"
    code += "claim = claim_job(ledger_in(Path(sys.argv[1])))\nprint('holds', flush=True)\ntime.sleep(60)\n"
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parent)}
    command = [sys.executable, "-c", code, folder]
    holder = subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True)
    assert holder.stdout is not None and holder.stdout.readline() == "holds\n"
    assert ledger_in(Path(folder)).claim(JOB) is None, "it is alive"
    assert ledger_in(Path(folder)).state(JOB).status == "running"
    holder.kill()
    if reaped:
        holder.wait()
    else:
        assert until(lambda: claim_holder._start_time(holder.pid) is None)
    return holder


@pytest.mark.parametrize("reaped", [True, False])
def test_a_job_whose_process_was_killed_is_interrupted_and_taken_over_at_once(reaped: bool, tmp_path: Path) -> None:
    holder = holder_dies(str(tmp_path), reaped=reaped)
    ledger = ledger_in(tmp_path)
    assert ledger.state(JOB).status == "interrupted"
    claim = claim_job(ledger)
    assert claim_files.claim_number(claim.path) == 2
    assert ledger.claims.of_job(JOB) == [claim.path], "the abandoned claim is gone"
    claim.check()
    holder.wait()


def test_a_pid_used_again_does_not_keep_a_claim_alive(tmp_path: Path) -> None:
    ledger = ledger_in(tmp_path)
    here = claim_holder.ClaimHolder.here()
    foreign(ledger, 0, host=here.host, machine=here.machine, pid=here.pid, started="long ago")
    assert ledger.claim(JOB) is not None


@pytest.mark.parametrize("skew", [-1e6, 0.0, 1e6])
def test_another_hosts_claim_is_stale_by_the_file_servers_clock(
    skew: float, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ledger = ledger_in(tmp_path, stale_after=60)
    foreign(ledger, 5)
    real = time.time
    monkeypatch.setattr(time, "time", lambda: real() + skew)
    state = ledger.state(JOB)
    assert state.status == "running elsewhere" and state.claim is not None and state.claim.holder is not None
    assert state.claim.holder.host == "elsewhere" and 4 < state.claim.age < 30
    assert ledger.claim(JOB) is None
    monkeypatch.undo()
    foreign(ledger, 61)
    monkeypatch.setattr(time, "time", lambda: real() + skew)
    assert ledger.claim(JOB) is not None


def test_a_claim_not_yet_written_is_respected_until_it_is_stale(tmp_path: Path) -> None:
    ledger = ledger_in(tmp_path, stale_after=60)
    foreign(ledger, 0).write_text("")
    assert ledger.claim(JOB) is None
    os.utime(ledger.claims.folder / f"{JOB}~1", (time.time() - 61,) * 2)
    assert ledger.claim(JOB) is not None


def test_a_held_claim_is_touched_until_it_is_given_back_or_taken(tmp_path: Path) -> None:
    before = set(threading.enumerate())
    ledger = ledger_in(tmp_path, heartbeat=0.02)
    for end_it in (Claim.release, lambda claim: claim.path.unlink()):
        claim = claim_job(ledger)
        os.utime(claim.path, (1, 1))
        assert until(lambda path=claim.path: path.stat().st_mtime > 2)  # type: ignore[misc]
        end_it(claim)
        assert until(lambda: not set(threading.enumerate()) - before)


def until(condition: Callable[[], bool], seconds: float = 5) -> bool:
    end = time.monotonic() + seconds
    while not condition() and time.monotonic() < end:
        time.sleep(0.02)
    return condition()


def test_a_holder_that_was_overtaken_marks_nothing(tmp_path: Path) -> None:
    ledger = ledger_in(tmp_path)
    claim = claim_job(ledger)
    foreign(ledger, 0, epoch=2)
    for mark in (claim.check, lambda: claim.mark_done(record(ledger)), lambda: claim.mark_failed("late")):
        with pytest.raises(LostClaim, match=f"{JOB}: taken over"):
            mark()
    assert not (tmp_path / ".ledger" / "done").exists() and not (tmp_path / ".ledger" / "failed").exists()


def test_a_claimant_yields_to_a_live_claim_it_had_not_seen(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As when a listing is out of date: it finds no claim, then makes its own, then sees the other one."""
    ledger = ledger_in(tmp_path)
    rival = foreign(ledger, 0, epoch=7)
    real, calls = claim_files.Claims.of_job, iter((True,))
    monkeypatch.setattr(claim_files.Claims, "of_job", lambda self, job: [] if next(calls, False) else real(self, job))
    assert ledger.claim(JOB) is None
    assert list(ledger.claims.folder.iterdir()) == [rival]


def test_a_record_written_just_before_its_process_died_is_adopted(tmp_path: Path) -> None:
    ledger = ledger_in(tmp_path)
    claim = claim_job(ledger)
    record(ledger)
    claim.release()  # as if killed before the mark
    assert ledger.state(JOB).status == "interrupted"
    assert ledger.claim(JOB) is None
    assert ledger.state(JOB).status == "done"


def test_who_claims_after_another_has_finished_finds_it_done(tmp_path: Path) -> None:
    """The claimant judged by what it saw before: no mark, no claim."""
    ledger, late = ledger_in(tmp_path), ledger_in(tmp_path)
    assert late.state(JOB).status == "new"
    claim_job(ledger).mark_done(record(ledger))
    assert late.claim(JOB) is None


JOBS = tuple(f"row{k % 3}~seed{k}-0123456789ab" for k in range(40))


def races(folder: Path, number: int, ready: Any) -> None:
    """Four threads that run whatever job they can claim, three rounds over all of them."""
    ready.wait()

    def run(_: int) -> None:
        ledger = ledger_in(folder, *JOBS)
        for _ in range(3):
            for job in JOBS:
                if claim := ledger.claim(job):
                    (folder / "worked" / f"{job}={number}={uuid.uuid4()}").touch()
                    claim.mark_done(record(ledger, job))

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(run, range(4)))


def test_many_launchers_run_each_job_once_also_where_its_holder_died(tmp_path: Path) -> None:
    (tmp_path / "worked").mkdir()
    dead = {
        **ELSEWHERE,
        "host": claim_holder.ClaimHolder.here().host,
        "machine": claim_holder.this_machine(),
        "pid": 4_000_000,
    }
    ledger = ledger_in(tmp_path, *JOBS)
    ledger.claims.folder.mkdir(parents=True)
    for job in JOBS[::2]:
        for epoch in (1, 2):
            (ledger.claims.folder / f"{job}~{epoch}").write_text(json.dumps(dead))
    spawn = multiprocessing.get_context("spawn")
    ready = spawn.Barrier(4)
    launchers = [spawn.Process(target=races, args=(tmp_path, k, ready)) for k in range(4)]
    for launcher in launchers:
        launcher.start()
    for launcher in launchers:
        launcher.join(120)
        assert launcher.exitcode == 0
    runs = Counter(path.name.split("=")[0] for path in (tmp_path / "worked").iterdir())
    assert runs == dict.fromkeys(JOBS, 1)
    assert {state.status for state in ledger.states(JOBS).values()} == {"done"}
    assert len({path.name.split("=")[1] for path in (tmp_path / "worked").iterdir()}) > 1, "they did race"


# Groups, launches, names, fingerprints.


def test_groups_are_remembered_with_what_was_asked_the_last_one_first(tmp_path: Path) -> None:
    ledger = ledger_in(tmp_path)
    older, newer = {"a~seed0-x": ["seed=0"], "b~seed0-x": ["lr=1"]}, {"b~seed0-x": ["lr=1"], "c~seed0-x": []}
    first = ledger.remember_group(older)
    os.utime(tmp_path / ".ledger" / "groups" / f"{first}.json", (1, 1))
    second = ledger.remember_group(newer)
    assert list(Ledger(tmp_path).groups().items()) == [(second, newer), (first, older)]
    assert ledger.remember_group(older) == first, "the same jobs are the same group"


def test_a_row_name_too_long_for_a_file_is_refused(tmp_path: Path) -> None:
    spec = validate_config(compose_config([f"paths.runs={tmp_path}", f"name={'x' * 120}", f"seed={10**9}"]))
    with pytest.raises(RequestError, match=r"^name=x+: too long by \d+ bytes; shorten it$"):
        Ledger.for_config(spec).enter(spec)


def test_the_fingerprint_follows_the_configuration_the_code_and_the_data(monkeypatch: pytest.MonkeyPatch) -> None:
    base = fingerprint.job_fingerprint(validate_config(compose_config(["dataset=coat"])))
    assert (
        fingerprint.job_fingerprint(validate_config(compose_config(["dataset=coat", "logger=none", "sweep=s"]))) == base
    )
    assert len(base) == 24 and fingerprint.of_this_code(base)
    assert fingerprint.job_fingerprint(validate_config(compose_config(["dataset=coat", "seed=1"]))) != base
    with monkeypatch.context() as patch:
        patch.setattr(fingerprint, "_identity", lambda spec: "other rows")
        changed = fingerprint.job_fingerprint(validate_config(compose_config(["dataset=coat"])))
        assert changed != base and fingerprint.of_this_code(changed)
    with monkeypatch.context() as patch:
        patch.setattr(fingerprint, "code_hash", lambda: "f" * 64)
        assert not fingerprint.of_this_code(base)
        assert fingerprint.job_fingerprint(validate_config(compose_config(["dataset=coat"])))[:8] == "f" * 8
    assert fingerprint.job_fingerprint(validate_config(compose_config(["dataset=coat"]))) == base


def test_the_code_hash_follows_every_source_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    package = tmp_path / "partslab" / "parts"
    package.mkdir(parents=True)
    (tmp_path / "partslab" / "__init__.py").touch()
    (package / "one.py").write_text("x = 1\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setenv("CAUSALREC_PACKAGES", "partslab")
    hashes = []
    for text in ("x = 1\n", "x = 2\n", "x = 1\n"):
        (package / "one.py").write_text(text)
        fingerprint.code_hash.cache_clear()
        hashes.append(fingerprint.code_hash())
    fingerprint.code_hash.cache_clear()
    assert hashes[0] == hashes[2] != hashes[1]
