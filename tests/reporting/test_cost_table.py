"""What rows cost: written by runs alone and packed, and shown on request."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from causalrec import cli
from causalrec.records.cost_section import CostSection
from causalrec.records.run_record import RunRecord

ANY = [
    *("task=effect", "dataset.units=300", "logger=none", "evaluation.replicates=10", "metric=[ate_error]"),
    "baseline=[constant_effect,item_effect]",
]
SMALL = [*ANY, "trainer.progress=false", "trainer.max_epochs=2", "selection.candidates=none"]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A network trained alone and packed, and a learner from a table."""
    folder = tmp_path_factory.mktemp("cost")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        assert cli.main(["train", *SMALL, "name=alone"]) == 0
        assert cli.main(["train", "-m", *SMALL, "name=packed", "seed=1,2", "hydra/launcher=packed"]) == 0
        assert cli.main(["train", *ANY, "learner=linear_dml", "name=table"]) == 0
    return folder / "runs"


def records(folder: Path) -> dict[str, list[RunRecord]]:
    by_name: dict[str, list[RunRecord]] = {}
    for path in sorted(folder.glob("*/*/seed*/record.json")):
        record = RunRecord.load(path)
        by_name.setdefault(record.name, []).append(record)
    return by_name


def test_a_speed_is_known_where_rows_were_met_in_some_time() -> None:
    assert CostSection.of(2.0, 1.0, 100).rows_per_second == 50
    assert CostSection.of(2.0, 1.0, 0).rows_per_second is None and CostSection.of(0.0, 1.0, 5).rows_per_second is None


def test_records_hold_what_training_and_scoring_took(folder: Path) -> None:
    by_name = records(folder)
    assert {name: len(runs) for name, runs in by_name.items()} == {"alone": 1, "packed": 2, "table": 1}
    for runs in by_name.values():
        for record in runs:
            cost = record.cost
            assert cost.training_seconds > 0 and cost.scoring_seconds > 0
            if record.execution == "alone":
                assert cost.training_seconds + cost.scoring_seconds < record.seconds
    (alone,), (table,) = by_name["alone"], by_name["table"]
    assert alone.cost.trained_rows == 2 * alone.audit.rows["train"]
    assert alone.cost.rows_per_second == pytest.approx(alone.cost.trained_rows / alone.cost.training_seconds)
    assert {record.cost.trained_rows for record in by_name["packed"]} == {alone.cost.trained_rows}
    assert table.cost.trained_rows == 0 and table.cost.rows_per_second is None


def test_tables_show_it_on_request(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    def read_table(*options: str) -> str:
        assert cli.main(["table", str(folder), *options]) == 0
        return capsys.readouterr().out

    assert "seconds" not in read_table()
    assert "parameters" in read_table("--cost") and "MiB" in read_table("--cost", "--markdown")
    _, cost = json.loads(read_table("--cost", "--json"))
    assert cost["dataset"].startswith("cost: ") and list(cost["rows"]) == ["alone", "packed", "table"]
    assert cost["rows"]["packed"]["rows/s@training"]["seeds"] == 2
    assert "rows/s@training" not in cost["rows"]["table"] and "parameters@model" not in cost["rows"]["table"]
    (_, only) = json.loads(read_table("--cost", "--json", "--rows", "table"))
    assert list(only["rows"]) == ["table"]
    lines = read_table("--cost", "--csv").splitlines()
    assert any(line.startswith('"cost: ') or line.startswith("cost: ") for line in lines)
