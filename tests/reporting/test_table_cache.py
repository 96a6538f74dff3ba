"""Tables are looked up where no record has changed, and never taken from the folder of records."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest
from report_records import study, write_runs

from causalrec.errors import RequestError
from causalrec.reporting import table_cache
from causalrec.reporting.folder_tables import folder_tables
from causalrec.reporting.table_cache import Tables, cached_tables


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of a few records, where as few are kept."""
    monkeypatch.setattr(table_cache, "LEAST_RECORDS", 1)
    monkeypatch.setenv("CAUSALREC_CACHE", str(tmp_path / "cache"))
    write_runs(tmp_path / "runs", study())
    return tmp_path / "runs"


def ask(folder: Path, *columns: str) -> Tables:
    return cached_tables(folder, columns, (), False)


def entries(folder: Path) -> list[Path]:
    return sorted((folder.parent / "cache" / "records").iterdir())


def forbid_making(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> Tables:
        raise AssertionError("made again")

    monkeypatch.setattr(table_cache, "folder_tables", refuse)


def test_tables_come_back_as_they_were_made(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    expected = folder_tables(folder, (), (), False)
    assert list(map(str, ask(folder)[0])) == list(map(str, expected[0]))
    forbid_making(monkeypatch)
    assert repr(ask(folder)) == repr(expected)
    with pytest.raises(AssertionError, match="made again"):
        ask(folder, "auc@randomised")


@pytest.mark.parametrize("name", ["record.json", "replicates.npz", "jackknife.npz"])
def test_whatever_changes_beside_a_record_makes_them_again(name: str, folder: Path) -> None:
    before = ask(folder)
    path = next(folder.rglob("record.json")).with_name(name)
    status = path.stat()
    if name == "record.json":
        record = json.loads(path.read_text())
        record["scores"][0].update(value=0.875, low=0.75, high=1.0)
        path.write_text(json.dumps(record, indent=1))
    else:
        path.unlink()
    if path.exists():
        os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))  # as old as it was
    after = ask(folder)
    assert repr(after) == repr(folder_tables(folder, (), (), False))
    assert len(entries(folder)) == 1, "those made of records of before are gone"
    assert name != "record.json" or repr(after) != repr(before)


def test_a_cache_of_other_content_or_that_cannot_be_written_is_passed_over(
    folder: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    expected = ask(folder)
    entries(folder)[0].write_bytes(b"[[], []]")
    assert repr(ask(folder)) == repr(expected)
    monkeypatch.setenv("CAUSALREC_CACHE", "/proc/nowhere")
    assert repr(ask(folder)) == repr(expected)


def test_a_folder_without_records_is_refused_in_the_same_line(folder: Path, tmp_path: Path) -> None:
    with pytest.raises(RequestError, match="no such folder"):
        ask(tmp_path / "none")
    with pytest.raises(RequestError, match="column ndgc@5: no record has it"):
        ask(folder, "ndgc@5")
