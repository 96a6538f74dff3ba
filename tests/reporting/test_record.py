"""A record is whole or absent, plain JSON, and read back as written."""

from __future__ import annotations

import dataclasses
import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from causalrec.errors import DataError
from causalrec.reporting.record import PACKAGES, RunRecord, git_sha, read, read_all, versions

EMPTY: dict[str, Any] = {
    "name": "mf-ips",
    "config": {"seed": 0},
    "versions": {},
    "git_sha": None,
    "data": {},
    "audit": {},
    "adjustment": {},
    "overlap": {},
    "selection": {},
    "parameters": {},
    "scores": [],
    "baselines": [],
    "seconds": 1.0,
    "peak_bytes": 2,
    "status": "done",
}


def record(**changes: Any) -> RunRecord:
    return RunRecord(**{**EMPTY, **changes})


def test_a_record_is_read_back_with_its_replicates(tmp_path: Path) -> None:
    path = record(scores=[{"metric": "auc", "value": 0.5}]).save(
        tmp_path / "a" / "b", {"m|s|auc": np.array([0.25, 0.5])}
    )
    assert path == tmp_path / "a" / "b" / "record.json"
    saved = read(path)
    assert saved.folder == path.parent
    assert saved.record["scores"] == [{"metric": "auc", "value": 0.5}]
    assert set(saved.record) == {field.name for field in dataclasses.fields(RunRecord)}
    assert saved.replicates["m|s|auc"].tolist() == [0.25, 0.5]
    assert saved.replicates["m|s|auc"].dtype == np.float64


def test_a_record_without_replicates_has_none(tmp_path: Path) -> None:
    assert read(record().save(tmp_path)).replicates == {}


def test_what_json_cannot_hold_becomes_null_and_the_rest_stays_plain(tmp_path: Path) -> None:
    score = {"value": math.nan, "low": -math.inf, "high": math.inf, "n": np.int64(3), "mean": np.float32(0.5)}
    path = record(
        scores=[score], audit={"part": ("a", Path("b")), "bad": np.float64("nan"), "on": np.bool_(True)}
    ).save(tmp_path)

    def refuse(constant: str) -> None:
        raise AssertionError(f"{constant} is not JSON")

    loaded = json.loads(path.read_text(), parse_constant=refuse)
    assert loaded["scores"] == [{"value": None, "low": None, "high": None, "n": 3, "mean": 0.5}]
    assert loaded["audit"] == {"part": ["a", "b"], "bad": None, "on": True}


def half_written(monkeypatch: pytest.MonkeyPatch) -> None:
    real = Path.write_text

    def crash(self: Path, data: str, *args: Any, **kwargs: Any) -> int:
        real(self, data[: len(data) // 2], *args, **kwargs)
        raise KeyboardInterrupt

    monkeypatch.setattr(Path, "write_text", crash)


def test_a_crash_in_the_middle_leaves_no_record(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    half_written(monkeypatch)
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
    half_written(monkeypatch)
    with pytest.raises(KeyboardInterrupt):
        record(name="new").save(tmp_path)
    monkeypatch.undo()
    assert read(path).record["name"] == "old"
    assert [p.name for p in tmp_path.iterdir()] == ["record.json"]


@pytest.mark.parametrize("keep", [0, 1, 40, -3])
def test_a_truncated_record_is_one_line_that_names_the_file(tmp_path: Path, keep: int) -> None:
    path = record().save(tmp_path)
    path.write_text(path.read_text()[:keep])
    with pytest.raises(DataError) as caught:
        read(path)
    assert str(caught.value).startswith(f"{path}: not a whole record (")
    assert "\n" not in str(caught.value)
    with pytest.raises(DataError, match="not a whole record"):
        read_all(tmp_path)


@pytest.mark.parametrize("text", ["[]", "{}", "3", "null"])
def test_json_that_is_no_record_is_refused(tmp_path: Path, text: str) -> None:
    (tmp_path / "record.json").write_text(text)
    with pytest.raises(DataError, match="not a whole record"):
        read(tmp_path / "record.json")


@pytest.mark.parametrize("keep", [0, 30, 200])
def test_truncated_replicates_are_one_line_that_names_the_file(tmp_path: Path, keep: int) -> None:
    path = record().save(tmp_path, {"a": np.arange(100.0)})
    sidecar = tmp_path / "replicates.npz"
    sidecar.write_bytes(sidecar.read_bytes()[:keep])
    with pytest.raises(DataError) as caught:
        read(path)
    assert str(caught.value).startswith(f"{sidecar}: not readable")
    assert "\n" not in str(caught.value)


def test_all_records_below_a_folder_are_read_in_order(tmp_path: Path) -> None:
    for name in ("b", "a"):
        record(name=name).save(tmp_path / name / "seed0")
    assert [saved.record["name"] for saved in read_all(tmp_path)] == ["a", "b"]


def test_a_folder_without_records_is_named(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"no record\.json below it"):
        read_all(tmp_path)


def test_versions_name_every_package_that_a_result_depends_on(monkeypatch: pytest.MonkeyPatch) -> None:
    found = versions()
    assert set(found) == set(PACKAGES)
    assert found["numpy"] == np.__version__
    monkeypatch.setattr("causalrec.reporting.record.PACKAGES", ("no-such-package",))
    assert versions.__wrapped__() == {"no-such-package": "not installed"}


def test_outside_a_checkout_there_is_no_commit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("causalrec.reporting.record.__file__", str(tmp_path / "causalrec" / "reporting" / "record.py"))
    assert git_sha.__wrapped__() is None
