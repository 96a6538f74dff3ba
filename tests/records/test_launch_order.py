"""Rows stand in the order in which their jobs were first launched, other records after them, numbers as numbers."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from causalrec.records.launch_order import launch_order, sort_by_launch
from causalrec.records.run_folder import record_paths

ROWS = ("mf-dr~seed0-a", "mf-naive~seed0-b", "few-16~seed0-c", "few-256~seed0-d", "few-64~seed0-e")


@pytest.fixture
def sweep(tmp_path: Path) -> Path:
    """A sweep of five jobs whose two launches name three of them."""
    for job in ROWS:
        path = tmp_path / "s" / job.replace("~", "/") / "record.json"
        path.parent.mkdir(parents=True)
        path.write_text("{}")
    launches = tmp_path / "s" / ".ledger" / "launches"
    launches.mkdir(parents=True)
    (launches / "1.json").write_text(json.dumps({"jobs": ["mf-naive~seed0-b"]}))
    (launches / "2.json").write_text(json.dumps({"jobs": ["few-64~seed0-e", "mf-naive~seed0-b", "mf-dr~seed0-a"]}))
    return tmp_path / "s"


def rows(paths: list[Path]) -> list[str]:
    return [path.parent.parent.name for path in paths]


def test_records_stand_as_launched_and_others_follow_by_number(sweep: Path) -> None:
    assert rows(record_paths(sweep)) == ["mf-naive", "few-64", "mf-dr", "few-16", "few-256"]


@pytest.mark.parametrize("damaged", ["", "[1, 2]", '{"jobs": 3}', '{"no": "jobs"}', "\x00"])
def test_a_damaged_note_only_loses_its_order(sweep: Path, damaged: str) -> None:
    (sweep / ".ledger" / "launches" / "0.json").write_text(damaged)
    assert list(launch_order(sweep))[:2] == ["mf-naive~seed0-b", "few-64~seed0-e"]
    (sweep / ".ledger" / "launches" / "1.json").write_text(damaged)
    (sweep / ".ledger" / "launches" / "2.json").write_text(damaged)
    assert rows(sort_by_launch(list(sweep.rglob("record.json")))) == [
        "few-16",
        "few-64",
        "few-256",
        "mf-dr",
        "mf-naive",
    ]
