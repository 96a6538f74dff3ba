"""One job: claimed, trained, marked, whatever goes wrong with it or with the disk."""

from __future__ import annotations

import errno
import os
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, cast
from unittest.mock import Mock

import pytest

from causalrec.config.compose import compose_config, validate_config
from causalrec.config.schema import ExperimentConfig
from causalrec.errors import DataError, RequestError
from causalrec.records.run_record import RunRecord
from causalrec.running import run
from causalrec.running.cache import PreparedCache
from causalrec.running.job_log import JobLog
from causalrec.running.prepare import plan_run
from causalrec.sweeps.job import JobResult, JobRunner, run_job
from causalrec.sweeps.ledger import Ledger, LostClaim

SETTINGS = {"seed": 0, "evaluation": {"level": 0.95}}  # that every finished record has

Work = Callable[[ExperimentConfig], Path]


def spec_in(folder: Path, *overrides: str) -> ExperimentConfig:
    return validate_config(
        compose_config([f"paths.runs={folder}", "sweep=s", "objective=naive", "dataset=coat", *overrides])
    )


@pytest.fixture
def spec(tmp_path: Path) -> ExperimentConfig:
    return spec_in(tmp_path / "runs")


@pytest.fixture
def train_by(monkeypatch: pytest.MonkeyPatch) -> Callable[[Work], None]:
    """Let a job do something else than train."""
    return lambda work: monkeypatch.setattr(run, "train", lambda spec, check, cache: work(spec))


def attempt(spec: ExperimentConfig) -> JobResult:
    return run_job(spec, PreparedCache())


def save_record(spec: ExperimentConfig) -> Path:
    return RunRecord(name=spec.run.name, status="done", config=SETTINGS).save(spec.folder)


def raise_error(error: BaseException) -> Work:
    def work(spec: ExperimentConfig) -> Path:
        raise error

    return work


def state_of(spec: ExperimentConfig) -> str:
    ledger = Ledger.for_config(spec)
    return ledger.state(ledger.enter(spec)).status


def claim_names(spec: ExperimentConfig) -> list[str]:
    return [path.name for path in (spec.folder.parents[1] / ".ledger" / "claims").iterdir()]


def test_a_job_is_trained_once_and_skipped_later(spec: ExperimentConfig, train_by: Callable[[Work], None]) -> None:
    train_by(save_record)
    first = attempt(spec)
    assert (first.status, first.label, first.folder) == ("done", "mf-naive seed 0", spec.folder)
    assert state_of(spec) == "done" and claim_names(spec) == []
    train_by(raise_error(AssertionError("trained again")))
    assert attempt(spec).status == "skipped"


@pytest.mark.parametrize(
    ("error", "reason", "code"),
    [
        (DataError("no rows"), "no rows", 1),
        (RequestError("wrong"), "wrong", 2),
        (ZeroDivisionError("by\n zero"), "ZeroDivisionError: by zero", 1),
    ],
)
def test_a_failure_is_told_and_marked(
    error: Exception, reason: str, code: int, spec: ExperimentConfig, train_by: Callable[[Work], None]
) -> None:
    train_by(raise_error(error))
    outcome = attempt(spec)
    assert (outcome.status, outcome.reason, outcome.exit_code) == ("failed", reason, code)
    assert claim_names(spec) == []
    train_by(save_record)
    again = attempt(spec)
    assert (again.status, again.reason, again.exit_code) == ("failed", reason, code), "until it is queued again"
    Ledger.for_config(spec).requeue([outcome.job])
    assert attempt(spec).status == "done"


@pytest.mark.parametrize("error", [KeyboardInterrupt(), SystemExit(3)])
def test_an_interrupt_gives_the_job_back_and_goes_on(
    error: BaseException, spec: ExperimentConfig, train_by: Callable[[Work], None]
) -> None:
    train_by(raise_error(error))
    with pytest.raises(type(error)):
        attempt(spec)
    assert claim_names(spec) == [] and state_of(spec) == "interrupted"


def test_a_full_error_is_raised_where_hydra_is_told_to(
    spec: ExperimentConfig, train_by: Callable[[Work], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HYDRA_FULL_ERROR", "1")
    train_by(raise_error(DataError("here")))
    with pytest.raises(DataError, match="here"):
        attempt(spec)
    assert claim_names(spec) == []


def test_a_job_held_by_another_process_is_left_to_it(spec: ExperimentConfig, train_by: Callable[[Work], None]) -> None:
    train_by(raise_error(AssertionError("trained twice")))
    ledger = Ledger.for_config(spec)
    claim = ledger.claim(ledger.enter(spec))
    outcome = attempt(spec)
    assert claim is not None and outcome.status == "running elsewhere" and f"process {os.getpid()}" in outcome.reason


@pytest.mark.parametrize("end", [save_record, raise_error(DataError("late"))])
def test_who_was_overtaken_marks_nothing(end: Work, spec: ExperimentConfig, train_by: Callable[[Work], None]) -> None:
    def be_overtaken(spec: ExperimentConfig) -> Path:
        (name,) = claim_names(spec)
        (spec.folder.parents[1] / ".ledger" / "claims" / name.replace("~1", "~2")).touch()
        return end(spec)

    train_by(be_overtaken)
    assert attempt(spec).status == "running elsewhere"
    assert not list((spec.folder.parents[1] / ".ledger").glob("done/*"))
    assert not list((spec.folder.parents[1] / ".ledger").glob("failed/*"))


@pytest.mark.parametrize("rank", ["RANK", "LOCAL_RANK", "NODE_RANK"])
def test_a_helping_rank_trains_under_the_first_ones_claim(
    rank: str, tmp_path: Path, train_by: Callable[[Work], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    spec, alone = spec_in(tmp_path, "trainer=ddp"), spec_in(tmp_path)
    claims = [ledger.claim(ledger.enter(config)) for config in (spec, alone) if (ledger := Ledger.for_config(config))]
    assert None not in claims
    helped: list[Any] = []
    train_by(save_record)
    monkeypatch.setattr(
        run, "train_together", lambda specs, fit, ownership, cache: (helped.append(ownership), [None])[1]
    )
    monkeypatch.setenv(rank, "1")
    assert attempt(spec).status == "done"
    assert helped == [[None]], "the first rank writes the record"
    assert attempt(alone).status == "running elsewhere", "a launcher of its own, started by a scheduler"


def test_the_runner_is_sent_to_other_processes_by_its_name_and_without_its_data() -> None:
    cloudpickle = pytest.importorskip("cloudpickle")
    full = JobRunner(PreparedCache(1, {"key": cast(Any, bytes(10_000))}))
    sent = cloudpickle.dumps(full)
    assert b"causalrec.sweeps.job" in sent and len(sent) < 300, "neither code nor data are sent"
    assert cloudpickle.loads(sent) == JobRunner()


# Disks that are full or shut.


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    """A disk of two megabytes."""
    path = tmp_path / "disk"
    path.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=2m", "causalrec", str(path)]
    try:
        mounted = subprocess.run(mount, capture_output=True, text=True)
    except FileNotFoundError:
        pytest.skip("no mount here: a full disk cannot be made")
    if mounted.returncode:
        pytest.skip(f"a full disk cannot be made here: {mounted.stderr.strip()}")
    yield path
    subprocess.run(["umount", "-l", str(path)], check=True)


def fill_disk(error: Callable[[OSError], Exception]) -> Work:
    """Fill the disk to the last byte, then fail as a library does that cannot write."""

    def work(spec: ExperimentConfig) -> Path:
        full: list[OSError] = []
        try:
            with (spec.run.paths.runs / "filler").open("wb", buffering=0) as out:
                while True:
                    out.write(b"0" * 4096)
        except OSError as met:
            full.append(met)
        raise error(full[0])

    return work


def of_torch(error: OSError) -> Exception:
    return RuntimeError("[enforce fail at inline_container.cc:664] . unexpected pos 512 vs 456")


@pytest.mark.parametrize("error", [lambda error: error, of_torch], ids=["python", "torch"])
def test_a_full_disk_is_one_line_and_loses_nothing_finished(
    error: Callable[[OSError], Exception], disk: Path, train_by: Callable[[Work], None]
) -> None:
    finished, spec = spec_in(disk, "seed=0"), spec_in(disk, "seed=1")
    train_by(save_record)
    assert attempt(finished).status == "done"
    train_by(fill_disk(error))
    outcome = attempt(spec)
    assert outcome.status == "failed" and str(disk) in outcome.reason and "\n" not in outcome.reason
    assert "no space left on device; free some space or name another folder, then run it again" in outcome.reason
    third = attempt(spec_in(disk, "seed=2"))
    assert third.status == "failed" and "no space left on device" in third.reason, "not even its claim can be made"
    assert state_of(finished) == "done"
    (disk / "filler").unlink()
    Ledger.for_config(spec).requeue([outcome.job])
    train_by(save_record)
    assert [attempt(config).status for config in (finished, spec)] == ["skipped", "done"]


def test_a_record_that_cannot_be_marked_is_adopted_later(disk: Path, train_by: Callable[[Work], None]) -> None:
    spec = spec_in(disk)

    def work(spec: ExperimentConfig) -> Path:
        record = save_record(spec)
        subprocess.run(["mount", "-o", "remount,ro", str(disk)], check=True)
        return record

    train_by(work)
    outcome = attempt(spec)
    assert outcome.status == "failed" and "read-only file system; make it writable" in outcome.reason
    assert str(disk) in outcome.reason
    assert attempt(spec).status in ("failed", "running elsewhere")
    subprocess.run(["mount", "-o", "remount,rw", str(disk)], check=True)
    (disk / "s" / ".ledger" / "claims" / f"{outcome.job}~1").unlink(missing_ok=True)  # as if this process had ended
    train_by(raise_error(AssertionError("trained again")))
    assert attempt(spec).status == "skipped"
    assert state_of(spec) == "done"


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EACCES])
def test_what_the_system_says_of_the_disk_names_the_path(
    number: int, spec: ExperimentConfig, train_by: Callable[[Work], None]
) -> None:
    """Where no disk can be made: the errors as the system gives them."""
    shut = OSError(number, os.strerror(number), str(spec.folder / ".record.json.x"))
    wrapped = DataError("could not save")
    wrapped.__cause__ = shut
    train_by(raise_error(wrapped))
    reason = attempt(spec).reason
    assert reason.startswith(f"{spec.folder}: ") and os.strerror(number).lower() in reason and "run it again" in reason


def test_a_job_that_was_taken_over_meanwhile_leaves_the_record_alone(
    spec: ExperimentConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Both the whole record and the one of a failure are fenced."""
    fenced: list[str] = []

    def lost() -> None:
        fenced.append("asked")
        raise LostClaim("taken over by another launcher")

    other = save_record(spec)
    before = other.read_bytes()

    def diverge(jobs: list[run.StartedJob], fitter: Any) -> None:
        jobs[0].failure = ValueError("diverged")

    prepared = cast(Any, Mock(plan=plan_run(spec)))
    log = JobLog.of(spec, live=True)
    monkeypatch.setattr(run, "start_job", lambda config, *_: run.StartedJob(config, prepared, log))
    monkeypatch.setattr(run, "fit_in_rounds", diverge)
    with pytest.raises(ValueError, match="diverged"):
        run.train(spec, lost)
    assert fenced == ["asked"] and other.read_bytes() == before
    with pytest.raises(ValueError, match="diverged"):
        run.train(spec)
    assert other.read_bytes() != before
