"""One source of names: every surface shows the fields of config and record, so that a renamed one is renamed on all."""

from __future__ import annotations

import ast
import csv
import dataclasses
import json
from collections.abc import Iterator
from pathlib import Path

import causalrec
from causalrec.ids import (
    JobId,
    folder_name,
    job_folder,
    job_id,
    job_id_of,
    job_path,
    parse_score_key,
    score_key,
)
from causalrec.records import names
from causalrec.records.overlap_sections import OverlapSection
from causalrec.records.run_folder import RunFolder
from causalrec.records.run_record import RunRecord
from causalrec.records.sections import CandidateRecord, DataSection, EpochRecord, ScoreRecord, SelectionSection
from causalrec.reporting.html.protocol import COST, SELECTION
from causalrec.reporting.score_table import Cell, ScoreTable
from causalrec.reporting.table import tables

DECAY = {"optimizer.weight_decay": 0.1}
SCORE = ScoreRecord("mf-ips", "randomised", "auc", 0.7, 0.6, 0.8, 9)
CONFIG = {
    "name": "mf-ips",
    "sweep": "s",
    "seed": 1,
    "choices": {"dataset": "coat", "encoder": "mf", "objective": "ips", "effect": "network"},
    "optimizer": {"lr": 0.1},
    "evaluation": {"level": 0.95},
}
FIT = CandidateRecord(
    fit="wd=0.1", settings=DECAY, criterion=0.5, best_epoch=0, epochs=1, curve=(EpochRecord(0, 0.7, 0.5),)
)
RECORD = RunRecord(
    name="mf-ips",
    status="done",
    seconds=2.0,
    peak_bytes=3,
    config=CONFIG,
    data=DataSection(name="coat", caveat="simulated"),
    overlap=OverlapSection(clipped=0.1, effective_rows=9.0, inverse_sum=1.0, ece=0.1),
    selection=SelectionSection(chosen=DECAY, fit="wd=0.1", candidates=(FIT,)),
    scores=(SCORE,),
    baselines=(dataclasses.replace(SCORE, model="constant"),),
)


def test_wandb_shows_these_names() -> None:
    assert names.searchable_settings(CONFIG).keys() == {
        "dataset",
        "encoder",
        "objective",
        "effect",
        "model",
        "estimator",
        "row",
        "seed",
        "sweep",
        "optimizer.lr",
        "evaluation.level",
    }
    assert list(names.record_summary(RECORD)) == [
        "best/auc@randomised",
        "best/auc@randomised/low",
        "best/auc@randomised/high",
        "baseline/constant/auc@randomised/low",
        "baseline/constant/auc@randomised/high",
        "baseline/constant/auc@randomised",
        "status",
        "seconds",
        "cost/training_seconds",
        "cost/scoring_seconds",
        "peak_bytes",
        "data/caveat",
        "overlap/clipped",
        "overlap/effective_rows",
        "overlap/inverse_sum",
        "overlap/ece",
        "selection/fit",
        "selection/chosen/optimizer.weight_decay",
    ]
    assert set(names.PINNED_KEYS) <= names.searchable_settings(CONFIG).keys()
    assert names.SCORE_COLUMNS == (
        "model",
        "slice",
        "metric",
        "value",
        "low",
        "high",
        "n",
        "absolute",
        "higher_is_better",
        "note",
        "kind",
        "better special case",
    )
    assert [row[-2:] for row in names.score_rows(RECORD)] == [["score", ""], ["baseline", ""]]
    marked = names.score_rows(RECORD, {"auc@randomised": "mf-naive-biases"})
    assert [row[-1] for row in marked] == ["▽ mf-naive-biases", ""]


def test_every_name_of_a_summary_or_a_head_is_a_field_of_the_record() -> None:
    for path in (*names.SUMMARY, *SELECTION, *COST):
        value: object = RECORD
        for name in path.split("."):
            assert dataclasses.is_dataclass(value) and name in {field.name for field in dataclasses.fields(value)}, path
            value = getattr(value, name)


def test_tables_show_these_names() -> None:
    (table,) = tables([RunFolder(Path("x"), RECORD, {})])
    shown = json.loads(json.dumps(table.as_json()))
    assert list(shown) == [field.name for field in dataclasses.fields(ScoreTable)]
    assert list(shown["rows"]["mf-ips"]["auc@randomised"]) == [field.name for field in dataclasses.fields(Cell)]
    assert [field.name for field in dataclasses.fields(Cell)] == [
        *("mean", "low", "high", "sd", "seeds", "n", "loses_to", "note"),
    ]
    assert table.columns == (names.column_of(SCORE),) == ("auc@randomised",)
    assert [names.label_of(path) for path in SELECTION] == [
        "criterion",
        "folds",
        "chosen",
        "candidates",
        "randomised rows",
        "randomised rows for",
    ]


def test_a_csv_file_has_these_columns(tmp_path: Path) -> None:
    from causalrec.tracking.loggers import Csv, LoggedJob

    Csv().replay(LoggedJob("mf-ips", "s", 0, "k", tmp_path, (), {}), RECORD, "done")
    with (tmp_path / "curves" / "metrics.csv").open() as file:
        head = set(csv.DictReader(file).fieldnames or ())
    assert head == {"step", "epoch", "train/loss", "validation/criterion", "best/auc@randomised"}


def test_ids_are_read_as_they_were_written() -> None:
    assert job_id("mf-ips", 3, "1f") == "mf-ips~seed3-1f"
    assert JobId.parse(job_id("mf-ips", 3, "1f")) == JobId("mf-ips", 3, "1f")
    folder = job_folder(Path("runs/s"), "mf-ips", 3, "1f")
    assert folder == Path("runs/s/mf-ips/seed3-1f") == Path("runs/s") / job_path(job_id_of(folder))
    assert folder.name == folder_name(3, "1f")
    assert (
        parse_score_key(score_key("a|b", "test", "auc")) == ("a|b", "test", "auc")
        and SCORE.key == "mf-ips|randomised|auc"
    )


def subscripts(source: str) -> Iterator[int]:
    """The lines where a record, or its configuration, is read by a string."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Subscript):
            key, owner = node.slice, node.value
        elif (
            isinstance(node, ast.Call)
            and isinstance(node.func, ast.Attribute)
            and node.func.attr == "get"
            and node.args
        ):
            key, owner = node.args[0], node.func.value
        else:
            continue
        held = owner.attr if isinstance(owner, ast.Attribute) else owner.id if isinstance(owner, ast.Name) else ""
        if isinstance(key, ast.Constant) and isinstance(key.value, str) and held in ("record", "config"):
            yield node.lineno


def test_at_most_ten_string_subscripts_of_a_record_are_left() -> None:
    assert list(subscripts('record["a"]\none.record.get("b")\nconfig["c"]\nrecord.scores\nrecord[0]')) == [1, 2, 3]
    package = Path(causalrec.__file__).parent
    locations = [f"{path}:{line}" for path in sorted(package.rglob("*.py")) for line in subscripts(path.read_text())]
    assert len(locations) <= 10, locations


def test_record_json_is_read_and_written_in_one_room_only() -> None:
    package = Path(causalrec.__file__).parent
    spelled = [
        path.relative_to(package).parts[0] for path in package.rglob("*.py") if '"record.json"' in path.read_text()
    ]
    assert set(spelled) <= {"records"}
