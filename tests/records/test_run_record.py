"""A record is whole or absent, plain JSON, and read back as written."""

from __future__ import annotations

import dataclasses
import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from causalrec.errors import DataError, RequestError
from causalrec.records.estimation_record import EstimateRecord, EstimationRecord
from causalrec.records.run_folder import EstimationFolder, RunFolder, load_folder, load_folders
from causalrec.records.run_record import RunRecord
from causalrec.records.sections import AuditSection, ScoreRecord
from causalrec.records.versions import PACKAGES, git_sha, versions


def record(**changes: Any) -> RunRecord:
    return RunRecord(
        **{
            "name": "mf-ips",
            "status": "done",
            "config": {"seed": 0, "evaluation": {"level": 0.95}},
            "command": "causalrec train seed=0",
            **changes,
        }
    )


def test_a_record_is_read_back_as_it_was_with_its_replicates(tmp_path: Path) -> None:
    score = ScoreRecord("mf-ips", "randomised", "auc", 0.5, None, None, 3)
    written = record(scores=(score,), audit=AuditSection(rows={"train": 3}, bin_edges=(3.0, 4.0)))
    path = written.save(tmp_path / "a" / "b", {"m|s|auc": np.array([0.25, 0.5])})
    assert path == tmp_path / "a" / "b" / "record.json"
    folder = RunFolder.load(path)
    assert folder.folder == path.parent and folder.record == written == RunRecord.load(path)
    assert list(json.loads(path.read_text())) == [field.name for field in dataclasses.fields(RunRecord)]
    assert folder.replicates["m|s|auc"].tolist() == [0.25, 0.5]
    assert folder.replicates["m|s|auc"].dtype == np.float64


def test_a_record_without_replicates_has_none(tmp_path: Path) -> None:
    assert RunFolder.load(record().save(tmp_path)).replicates == {}


def test_what_json_cannot_hold_becomes_null_and_the_rest_stays_plain(tmp_path: Path) -> None:
    config = {"value": math.nan, "low": -math.inf, "n": np.int64(3), "mean": np.float32(0.5), "on": np.bool_(True)}
    path = record(config={**config, "parts": ("a", Path("b"))}, peak_bytes=np.int64(2)).save(tmp_path)

    def refuse(constant: str) -> None:
        raise AssertionError(f"{constant} is not JSON")

    loaded = json.loads(path.read_text(), parse_constant=refuse)
    assert loaded["config"] == {"value": None, "low": None, "n": 3, "mean": 0.5, "on": True, "parts": ["a", "b"]}
    assert loaded["peak_bytes"] == 2


def interrupt_writing(monkeypatch: pytest.MonkeyPatch) -> None:
    real = Path.write_text

    def crash(self: Path, data: str, *args: Any, **kwargs: Any) -> int:
        real(self, data[: len(data) // 2], *args, **kwargs)
        raise KeyboardInterrupt

    monkeypatch.setattr(Path, "write_text", crash)


def test_a_crash_in_the_middle_leaves_no_record(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    interrupt_writing(monkeypatch)
    with pytest.raises(KeyboardInterrupt):
        record().save(tmp_path, {"a": np.zeros(2)})
    assert [path.name for path in tmp_path.iterdir()] == ["replicates.npz"], "no record, no half-written leftover"


def test_a_crash_while_the_replicates_are_written_leaves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def crash(self: Path, data: bytes) -> int:
        raise OSError("disk full")

    monkeypatch.setattr(Path, "write_bytes", crash)
    with pytest.raises(OSError, match="disk full"):
        record().save(tmp_path, {"a": np.zeros(2)})
    assert list(tmp_path.iterdir()) == []


def test_a_crash_while_overwriting_keeps_the_old_record(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = record(name="old").save(tmp_path)
    interrupt_writing(monkeypatch)
    with pytest.raises(KeyboardInterrupt):
        record(name="new").save(tmp_path)
    monkeypatch.undo()
    assert RunRecord.load(path).name == "old"
    assert [p.name for p in tmp_path.iterdir()] == ["record.json"]


@pytest.mark.parametrize("keep", [0, 1, 40, -3])
def test_a_truncated_record_is_one_line_that_names_the_file(tmp_path: Path, keep: int) -> None:
    path = record().save(tmp_path)
    path.write_text(path.read_text()[:keep])
    with pytest.raises(DataError) as caught:
        RunRecord.load(path)
    assert str(caught.value).startswith(f"{path}: not a whole record (")
    assert "\n" not in str(caught.value)
    with pytest.raises(DataError, match="not a whole record"):
        load_folders(tmp_path)


@pytest.mark.parametrize("text", ["[]", "3", "null"])
def test_json_that_is_no_record_is_refused(tmp_path: Path, text: str) -> None:
    (tmp_path / "record.json").write_text(text)
    with pytest.raises(DataError, match="not a whole record"):
        RunRecord.load(tmp_path / "record.json")


@pytest.mark.parametrize(
    ("schema", "said"), [(None, "no schema"), (1, "schema 1"), (4, "schema 4"), (True, "schema True")]
)
def test_a_record_of_another_schema_is_one_line_that_says_how_to_run_it_again(
    tmp_path: Path, schema: object, said: str
) -> None:
    path = tmp_path / "record.json"
    path.write_text(json.dumps({"name": "x", "schema": schema, "command": "causalrec train seed=3"}))
    again = "run the job again: causalrec train seed=3"
    message = f"{path}: written by another version of causalrec ({said}, this one reads 6); {again}"
    for load in (RunRecord.load, RunFolder.load, load_folder, EstimationRecord.load):
        with pytest.raises(DataError) as caught:
            load(path)
        assert str(caught.value) == message


@pytest.mark.parametrize(
    "lost", ["selection", "scores", "audit.hashes", "selection.randomised_rows.used", "task.summary"]
)
def test_a_record_that_lacks_a_field_is_one_line_that_names_it(tmp_path: Path, lost: str) -> None:
    values = json.loads((path := record().save(tmp_path)).read_text())
    section: dict[str, Any] = values
    *sections, name = lost.split(".")
    for section_name in sections:
        section = section[section_name]
    del section[name]
    path.write_text(json.dumps(values))
    with pytest.raises(DataError) as caught:
        RunRecord.load(path)
    assert str(caught.value) == f"{path}: no `{lost}` in it; remove it and run the job again"


@pytest.mark.parametrize(
    ("field", "value", "said"),
    [
        ("scores", [{"metric": "auc"}], "no `scores.0.model` in it"),
        ("seconds", "long", "seconds='long'"),
        ("audit", 3, "audit=3"),
        ("status", "perhaps", "status='perhaps'"),
    ],
)
def test_a_field_that_holds_something_else_is_one_line_that_names_it(
    tmp_path: Path, field: str, value: object, said: str
) -> None:
    path = record().save(tmp_path)
    path.write_text(json.dumps({**json.loads(path.read_text()), field: value}))
    with pytest.raises(DataError) as caught:
        RunRecord.load(path)
    assert str(caught.value).startswith(f"{path}: ") and said in str(caught.value) and "\n" not in str(caught.value)


def test_settings_are_read_by_their_dotted_key() -> None:
    run = record(config={"seed": 3, "choices": {"encoder": "mf"}, "metric": {"mine@.5": {"_target_": "m.Mine"}}})
    assert (run.seed, run.choice("encoder"), run.choice("head"), run.setting("seed.x")) == (3, "mf", None, None)
    assert run.target("metric", "mine@.5") == "m.Mine" and run.target("metric", "auc") is None
    with pytest.raises(DataError, match=r"config\.evaluation\.level=None is no number"):
        _ = run.level


def test_a_folder_tells_which_kind_of_record_it_holds(tmp_path: Path) -> None:
    record().save(tmp_path / "a")
    estimate = EstimateRecord(row="r", column="c", truth=None, value=0.5, sd=None, low=None, high=None, draws=3)
    written = EstimationRecord(name="e", status="done", estimates=(estimate,))
    written.save(tmp_path / "b")
    run, estimation = load_folders(tmp_path)
    assert isinstance(run, RunFolder) and isinstance(estimation, EstimationFolder)
    assert estimation.record == written


@pytest.mark.parametrize("keep", [0, 30, 200])
def test_truncated_replicates_are_one_line_that_names_the_file(tmp_path: Path, keep: int) -> None:
    path = record().save(tmp_path, {"a": np.arange(100.0)})
    sidecar = tmp_path / "replicates.npz"
    sidecar.write_bytes(sidecar.read_bytes()[:keep])
    with pytest.raises(DataError) as caught:
        RunFolder.load(path)
    assert str(caught.value).startswith(f"{sidecar}: not readable")
    assert "\n" not in str(caught.value)


def test_all_records_below_a_folder_are_read_in_order(tmp_path: Path) -> None:
    for name in ("b", "a"):
        record(name=name).save(tmp_path / name / "seed0")
    assert [folder.record.name for folder in load_folders(tmp_path)] == ["a", "b"]


def test_a_folder_without_records_is_named(tmp_path: Path) -> None:
    with pytest.raises(RequestError, match=r"no record\.json below it"):
        load_folders(tmp_path)


def test_versions_name_every_package_that_a_result_depends_on(monkeypatch: pytest.MonkeyPatch) -> None:
    package_versions = versions()
    assert set(package_versions) == set(PACKAGES)
    assert package_versions["numpy"] == np.__version__
    monkeypatch.setattr("causalrec.records.versions.PACKAGES", ("no-such-package",))
    assert versions.__wrapped__() == {"no-such-package": "not installed"}


def test_outside_a_checkout_there_is_no_commit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("causalrec.records.versions.__file__", str(tmp_path / "causalrec" / "records" / "versions.py"))
    assert git_sha.__wrapped__() is None
