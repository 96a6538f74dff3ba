"""A ledger, a claim or a folder of checkpoints that is cut, of another kind or behind a link: taken over, or named."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from causalrec.cli import main
from causalrec.commands.results import print_sweep
from causalrec.data.removal import make_way
from causalrec.errors import DataError
from causalrec.records.launch_order import launch_order
from causalrec.records.run_folder import record_paths
from causalrec.records.run_record import RunRecord
from causalrec.records.sections import ScoreRecord
from causalrec.sweeps.claim_holder import ClaimHolder
from causalrec.sweeps.ledger import Ledger
from causalrec.sweeps.maintenance import collect_garbage, launches, open_ledger, retry, status, warn_of_foreign_files

SETTINGS = {"seed": 0, "evaluation": {"level": 0.95}}  # that every finished record has

JOB = "mf-ips~seed0-0123456789ab"
PRINT = "0123456789abcdef01234567"
DEEP = b"[" * 50_000
Damage = Callable[[Path], object]


@pytest.fixture
def ledger(tmp_path: Path) -> Ledger:
    ledger = Ledger(tmp_path / "sweep")
    ledger.fingerprints[JOB] = PRINT
    for folder in ("claims", "done", "failed", "groups", "launches", "started"):
        (ledger.root / folder).mkdir(parents=True)
    return ledger


def finish(ledger: Ledger) -> Path:
    claim = ledger.claim(JOB)
    assert claim is not None
    record = RunRecord(name=JOB, status="done", config=SETTINGS, command="train").save(ledger.job_folder(JOB))
    claim.mark_done(record)
    return record


def to_pipe(path: Path) -> None:
    os.mkfifo(path)


def to_loop(path: Path) -> None:
    path.symlink_to(path.name)


def to_folder(path: Path) -> None:
    path.mkdir()


def writes(content: bytes) -> Damage:
    return lambda path: path.write_bytes(content)


KINDS: dict[str, Damage] = {"pipe": to_pipe, "loop": to_loop, "folder": to_folder}
TEXTS: dict[str, Damage] = {
    "not UTF-8": writes(b"\xff\xfe"),
    "list": writes(b"[[]]"),
    "numbers": writes(b"12"),
    "deep": writes(DEEP),
    "digits": writes(b'{"jobs": ' + b"9" * 5000 + b"}"),
    "device": lambda path: path.symlink_to("/dev/zero"),
}
ALL = KINDS | TEXTS


# Claims.


@pytest.mark.parametrize("damage", ALL)
def test_a_claim_that_nobody_of_ours_can_have_written_is_taken_over(damage: str, ledger: Ledger) -> None:
    ALL[damage](ledger.claims.folder / f"{JOB}~1")
    finish(ledger)
    assert ledger.state(JOB).status == "done" and list(ledger.claims.folder.iterdir()) == []


@pytest.mark.parametrize("seconds", [10 * 86_400, -60 * 365 * 86_400])
def test_a_claim_of_another_time_is_stale(seconds: float, ledger: Ledger) -> None:
    path = ledger.claims.folder / f"{JOB}~1"
    path.write_bytes(b"")
    at = max(1.0, time.time() + seconds)
    os.utime(path, (at, at))
    finish(ledger)
    assert ledger.state(JOB).status == "done"


def test_a_claim_just_made_and_not_yet_written_is_waited_for(ledger: Ledger) -> None:
    (ledger.claims.folder / f"{JOB}~1").write_bytes(b'{"hos')
    assert ledger.claim(JOB) is None and ledger.state(JOB).status == "running elsewhere"


def test_what_this_process_failed_to_give_back_it_does_not_wait_for(ledger: Ledger) -> None:
    (ledger.claims.folder / f"{JOB}~3").write_text(json.dumps(vars(ClaimHolder.here())))
    claim = ledger.claim(JOB)
    assert claim is not None and claim.path.name == f"{JOB}~4"
    assert ledger.claim(JOB) is None, "held by this process now"
    claim.release()


def test_the_last_number_of_a_claim_is_begun_again(ledger: Ledger) -> None:
    path = ledger.claims.folder / f"{JOB}~999999999"
    path.write_bytes(b"[]")
    finish(ledger)
    assert ledger.state(JOB).status == "done" and not path.exists()


# Status files.


@pytest.mark.parametrize("damage", KINDS)
@pytest.mark.parametrize("folder", ["started", "failed", "done"])
def test_a_mark_of_another_kind_hinders_no_job(folder: str, damage: str, ledger: Ledger) -> None:
    KINDS[damage](ledger.root / folder / f"{JOB}~{PRINT}")
    finish(ledger)
    assert ledger.state(JOB).status == "done"


@pytest.mark.parametrize("damage", [*TEXTS][:-1])
def test_a_failure_without_a_reason_is_a_failure(damage: str, ledger: Ledger) -> None:
    TEXTS[damage](ledger.root / "failed" / f"{JOB}~{PRINT}")
    state = ledger.state(JOB)
    assert (state.status, state.reason, state.exit_code) == ("failed", "unknown", 1)
    assert retry(ledger)[0] == 1
    finish(ledger)


# Folders that hold something, and files where folders belong.


def to_full_folder(path: Path) -> None:
    if path.is_file():
        path.unlink()
    path.mkdir(parents=True)
    (path / "mine").write_text("mine")


def aside(ledger: Ledger) -> list[str]:
    return sorted(str(path.relative_to(ledger.folder)) for path in ledger.folder.rglob("*.damaged-*"))


@pytest.mark.parametrize("folder", ["started", "failed", "claims", "groups"])
def test_a_folder_that_holds_something_is_moved_aside(
    folder: str, ledger: Ledger, capsys: pytest.CaptureFixture[str]
) -> None:
    group = ledger.group_name([JOB])
    names = {"claims": f"{JOB}~1", "groups": f"{group}.json"}
    path = ledger.root / folder / names.get(folder, f"{JOB}~{PRINT}")
    to_full_folder(path)
    assert ledger.remember_group({JOB: ["seed=0"]}) == group
    if folder == "failed":
        ledger.mark_failed(JOB, "why", 1)
        assert ledger.state(JOB).status == "failed" and ledger.requeue([JOB]) == 1
    finish(ledger)
    assert ledger.state(JOB).status == "done"
    assert aside(ledger) == [f".ledger/damaged/{path.name}.damaged-1"]
    assert (ledger.root / "damaged" / f"{path.name}.damaged-1" / "mine").read_text() == "mine"
    err = capsys.readouterr().err
    assert err.count("\n") == 1 and err.startswith(f"causalrec: {path}: a folder where none belongs, moved aside to ")


def test_a_full_folder_in_place_of_a_mark_of_a_finished_job_is_moved_aside(ledger: Ledger) -> None:
    finish(ledger)
    (mark,) = (ledger.root / "done").iterdir()
    to_full_folder(mark)
    assert ledger.state(JOB).status == "interrupted"
    assert ledger.claim(JOB) is None, "its record is adopted"
    assert ledger.state(JOB).status == "done" and aside(ledger) == [f".ledger/damaged/{mark.name}.damaged-1"]


@pytest.mark.parametrize("name", ["record.json", "replicates.npz"])
def test_a_folder_in_place_of_a_record_is_moved_aside_and_counts_for_no_job(name: str, ledger: Ledger) -> None:
    record = finish(ledger)
    copy = record.read_text()
    record.unlink()
    to_full_folder(record.with_name(name))
    (record.with_name(name) / "record.json").write_text(copy)
    assert ledger.state(JOB).status == "new"
    finish(ledger)
    assert ledger.state(JOB).status == "done" and record_paths(ledger.folder) == [record]
    assert (record.with_name(f"{name}.damaged-1") / "mine").exists()


@pytest.mark.parametrize("folder", ["claims", "done", "failed", "groups", "launches", "started", "damaged", "row", "."])
def test_a_file_in_place_of_a_folder_is_moved_aside(folder: str, tmp_path: Path) -> None:
    ledger = Ledger(tmp_path / "sweep", fingerprints={JOB: PRINT})
    path = {"row": ledger.job_folder(JOB).parent, ".": ledger.root}.get(folder, ledger.root / folder)
    path.parent.mkdir(parents=True)
    path.write_text("mine")
    if folder != ".":
        ledger.root.mkdir(exist_ok=True)
        opened = open_ledger(ledger.folder)
        warn_of_foreign_files(opened)
        assert status(opened)["counts"] == {} and retry(opened)[0] == 0 and collect_garbage(opened) == []
    ledger.note_launch("causalrec train", [JOB])
    finish(ledger)
    assert status(ledger)["counts"] == {"done": 1} and [note["jobs"] for note in launches(ledger)] == [[JOB]]
    (moved,) = aside(ledger)
    assert (ledger.folder / moved).read_text() == "mine"


def test_what_is_moved_aside_twice_is_numbered(tmp_path: Path) -> None:
    for _ in range(2):
        to_full_folder(tmp_path / "resume.ckpt")
        make_way(tmp_path / "resume.ckpt")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["resume.ckpt.damaged-1", "resume.ckpt.damaged-2"]


def test_the_table_of_finished_neighbours_is_printed(ledger: Ledger, capsys: pytest.CaptureFixture[str]) -> None:
    scores = (ScoreRecord("mf", "test", "auc", 0.5, 0.4, 0.6, 9),)
    record = RunRecord(name="mf", status="done", config=SETTINGS, scores=scores)
    finished = record.save(ledger.folder / "mf" / "seed0-1")
    damaged = ledger.folder / "ips" / "seed0-2" / "record.json"
    to_full_folder(damaged)
    for paths in ([damaged], [finished, damaged]):
        print_sweep(ledger.folder, paths)
        out, err = capsys.readouterr()
        assert "mf" in out and "auc" in out and (ledger.folder / "report.html").exists()
        assert err.startswith(f"causalrec: not in the table: {damaged}: ") and err.count("\n") == 1


# What the keeper of a sweep asks.


@pytest.mark.parametrize("name", ["1.5-host-1.json", "notes.json"])
@pytest.mark.parametrize("folder", ["launches", "groups"])
@pytest.mark.parametrize("damage", ALL)
def test_a_damaged_note_is_named_and_left_alone(
    damage: str, folder: str, name: str, ledger: Ledger, capsys: pytest.CaptureFixture[str]
) -> None:
    ledger.note_launch("causalrec train", [JOB])
    finish(ledger)
    path = ledger.root / folder / name
    ALL[damage](path)
    opened = open_ledger(ledger.folder)
    warn_of_foreign_files(opened)
    err = capsys.readouterr().err
    assert err.count("\n") == 1 and err.startswith(f"causalrec: {path}: left alone (")
    assert [note["jobs"] for note in launches(opened)] == [[JOB]] and opened.groups() == {}
    assert status(opened)["launches"] == 1 and retry(opened)[0] == 0
    assert collect_garbage(opened) == [] and os.path.lexists(path)
    assert launch_order(ledger.folder) == {JOB: 0}


def test_empty_notes_and_marks_that_lead_elsewhere_are_named(
    ledger: Ledger, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "checkpoints").mkdir()
    for path in (tmp_path / "record.json", tmp_path / "checkpoints" / "mine.ckpt"):
        path.write_text("mine")
    for name in ("launches/1.5-host-1.json", "done/..~..~ab~1~1", "done/.nfs", "done/junk", "failed/a~b"):
        (ledger.root / name).write_bytes(b"")
    warn_of_foreign_files(ledger)
    assert capsys.readouterr().err.count("left alone") == 3
    assert collect_garbage(ledger) == [] and (tmp_path / "checkpoints" / "mine.ckpt").exists()


def test_many_foreign_files_are_counted(ledger: Ledger, capsys: pytest.CaptureFixture[str]) -> None:
    for k in range(15):
        (ledger.root / "done" / f"junk{k}").touch()
    warn_of_foreign_files(ledger)
    assert "5 more files" in capsys.readouterr().err.splitlines()[-1]


# Links.


@pytest.mark.parametrize("linked", ["checkpoints", "checkpoints/fit", "job", "row", "checkpoints/last.ckpt"])
def test_nothing_behind_a_link_is_removed(
    linked: str, ledger: Ledger, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    job = finish(ledger).parent
    outside = tmp_path / "outside"
    path = {"job": job, "row": job.parent}.get(linked, job / linked)
    if linked in ("job", "row"):
        path.rename(outside)
        mine = outside / ("checkpoints" if linked == "job" else f"{job.name}/checkpoints") / "mine.ckpt"
    else:
        mine = outside / "mine.ckpt"
    mine.parent.mkdir(parents=True)
    mine.write_text("mine")
    path.parent.mkdir(parents=True, exist_ok=True)
    path.symlink_to(mine if linked.endswith(".ckpt") else outside)
    assert collect_garbage(ledger) == [] and mine.read_text() == "mine" and path.is_symlink()
    err = capsys.readouterr().err
    assert err == f"causalrec: {path}: a symbolic link, left alone with what it leads to\n"
    if linked in ("checkpoints", "job", "row"):
        with pytest.raises(DataError, match="a symbolic link, behind which nothing is written or removed"):
            ledger.reset_job(JOB)
        assert mine.exists()
        with pytest.raises(DataError, match="a symbolic link"):
            ledger.claim(JOB)
        assert list(ledger.claims.folder.iterdir()) == []


def test_a_ledger_behind_a_link_is_refused(ledger: Ledger, tmp_path: Path) -> None:
    (ledger.root / "done").rmdir()
    (ledger.root / "done").symlink_to(tmp_path)
    with pytest.raises(DataError, match="done: a symbolic link"):
        open_ledger(ledger.folder)
    with pytest.raises(DataError, match="done: a symbolic link"):
        ledger.note_launch("causalrec train", [])


@pytest.mark.parametrize("folder", ["claims", "done", "failed", "groups", "launches", "started", "."])
def test_behind_a_linked_ledger_nothing_is_written_and_its_status_is_told(
    folder: str, ledger: Ledger, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    ledger.note_launch("causalrec train", [JOB])
    finish(ledger)
    (ledger.root / "claims" / f"{JOB}~1").write_text('{"host": "')  # asked after by the server's clock: a file
    path, outside = ledger.root / folder, tmp_path / "outside"
    path.rename(outside)
    path.symlink_to(outside)
    before = sorted((str(below), below.stat().st_mtime_ns) for below in [outside, *outside.rglob("*")])
    assert main(["sweep", "status", str(ledger.folder)]) == 0
    err = capsys.readouterr().err
    assert err.count("\n") == 1 and err.startswith(f"causalrec: {path}: left alone (a symbolic link, read as empty")
    for verb in ("retry", "gc"):
        assert main(["sweep", verb, str(ledger.folder)]) == 1
    for attempt in (lambda: ledger.claim(JOB), lambda: ledger.note_launch("causalrec train", [JOB])):
        with pytest.raises(DataError, match="a symbolic link, behind which nothing is written"):
            attempt()
    assert ledger.requeue([JOB]) == 0
    assert sorted((str(below), below.stat().st_mtime_ns) for below in [outside, *outside.rglob("*")]) == before


def test_a_sweep_behind_a_link_of_its_users_is_as_any_other(ledger: Ledger, tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(ledger.folder)
    linked = Ledger(tmp_path / "link", fingerprints=ledger.fingerprints)
    (finish(linked).parent / "checkpoints").mkdir()
    (ledger.job_folder(JOB) / "checkpoints" / "resume.ckpt").touch()
    assert [garbage.path.name for garbage in collect_garbage(linked)] == ["resume.ckpt"]
