"""`causalrec export`: a folder that scores in a process without causalrec, and refusals in one line."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from shutil import copytree, rmtree
from urllib.request import urlopen

import numpy as np
import polars as pl
import pytest

import causalrec
from causalrec import cli
from causalrec.errors import CausalRecError, RequestError
from causalrec.export import packages
from causalrec.export.folder import export_folder
from causalrec.export.scorer import Scorer
from causalrec.records.run_record import RunRecord

QUICK = ["trainer=smoke", "selection.folds=1", "evaluation.replicates=20", "logger=none", "optimizer.weight_decay=1"]
ALONE = """
import json, sys
sys.modules["causalrec"] = None
sys.path.insert(0, sys.argv[1])
from scorer import Scorer
scores, outside = Scorer()(["3", "3", "nobody"], ["7", "9", "7"])
print(json.dumps([[float(score) for score in scores], outside, "torch" in sys.modules, Scorer().card["ids"]]))
"""


def export(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, str, str]:
    capsys.readouterr()
    code = cli.main(["export", *arguments])
    return code, *capsys.readouterr()


def test_an_exported_folder_scores_without_the_package(newcomer: Path, capsys: pytest.CaptureFixture[str]) -> None:
    record = causalrec.train(*QUICK, dataset="ml100k", encoder="mf", objective="ips")
    folder = str(record.folder)
    code, out, err = export(capsys, folder, "--to", "onnx", "--out", "out/onnx", "--json")
    assert code == 0, err
    document = json.loads(out)
    assert document["ids"] == "hashed", "GroupLens forbids redistribution"
    assert document["graph"] == "model.onnx" and document["largest_difference"] <= 1e-5
    command = [sys.executable, "-P", "-c", ALONE, "out/onnx"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    scores, outside, has_torch, ids = json.loads(done.stdout)
    run = causalrec.load(record)
    assert scores[:2] == pytest.approx(run.predict("3", ["7", "9"]).tolist(), abs=1e-5) and np.isnan(scores[2])
    assert outside[2] == "unknown id: user nobody, item 7" and not has_torch
    assert ids["form"] == "hashed" and ids["salt"] == record.key
    table = pl.read_parquet("out/onnx/ids.parquet")
    assert table.columns == ["side", "row", "id"] and len(table) == 60 + 110 and "3" not in set(table["id"])
    _check_card(Path("out/onnx"), record)
    _check_changed_files(Path("out/onnx"))
    _check_command(Path("out/onnx"))
    _check_server("out/onnx", scores[0])
    _check_rows(record)
    rmtree("data")
    with pytest.raises(CausalRecError, match="ml-100k"):  # what it was trained on, histories too, is read from there
        export_folder(causalrec.load(record), Path("out/late"), "pt2")
    assert not Path("out/late").exists()


def _check_card(folder: Path, record: RunRecord) -> None:
    card, page = json.loads((folder / "card.json").read_text()), (folder / "README.md").read_text()
    assert set(card["files"]) == {"README.md", "ids.parquet", "model.onnx", "scorer.py", "support.npz"}
    assert card["score"]["name"] == "predicted" and card["data"]["redistribution"] == "forbidden"
    assert "paths" not in card["settings"] and card["graph"]["edges"]
    assert [score["value"] for score in card["scores"]] == [score.value for score in record.scores]
    auc = next(score for score in record.scores if score.metric == "auc")
    assert auc.value is not None and f"| auc@{auc.slice} | {auc.value:.4f} | [" in page
    for title in ("Intended use", "Data", "What it assumes", "Test scores", "Warnings", "Not to be used for"):
        assert f"## {title}\n" in page
    assert "no redistribution (GroupLens README)" in page and "three columns or more" in page


def _check_changed_files(folder: Path) -> None:
    for name, change in (("card.json", b" "), ("support.npz", b"x"), ("model.onnx", b"x"), ("scorer.py", b"\n#")):
        copy = folder.with_name("changed")
        copytree(folder, copy)
        (copy / name).write_bytes((copy / name).read_bytes() + change)
        with pytest.raises(ValueError, match=f"{name}: is not as it was exported"):
            Scorer(copy)
        rmtree(copy)


def _check_server(folder: str, score: float) -> None:
    """The example that serves a folder answers with scores, and with what lies outside."""
    script = Path(causalrec.__file__).parents[1] / "examples" / "serve.py"
    command = [sys.executable, "-P", str(script), folder, "0"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as server:
        try:
            assert server.stdout is not None
            address = server.stdout.readline().strip()
            with urlopen(f"{address}/?user=3&item=7&item=none", timeout=60) as answer:
                first, second = json.load(answer)
        finally:
            server.terminate()
    assert first == {"item": "7", "score": pytest.approx(score, abs=1e-5), "outside": first["outside"]}
    assert second == {"item": "none", "score": None, "outside": "unknown id: user 3, item none"}


def _check_rows(record: RunRecord) -> None:
    """Without ids, pairs are rows: those of users 3 and 5, items 7 and 1; and one beyond."""
    causalrec.export_run(record, "rows", to="pt2", ids="none")
    assert not Path("rows/ids.parquet").exists()
    scores, outside = Scorer("rows")(np.array([2, 4, 60]), np.array([6, 0, 0]))
    assert scores[:2] == pytest.approx(causalrec.load(record).predict(["3", "5"], ["7", "1"]), abs=1e-5)
    assert np.isnan(scores[2]) and outside[2] == "unknown id: user 60, item 0"
    scores, outside = Scorer("rows")(["2", "x"], ["6", "-1"])  # rows as text, and what is none
    assert not np.isnan(scores[0]) and np.isnan(scores[1]) and outside[1] == "unknown id: user x, item -1"


def _check_command(folder: Path) -> None:
    """By the shell, what the scorer refuses is one line."""
    changed = folder.with_name("edited")
    copytree(folder, changed)
    (changed / "card.json").write_text("{}")
    for where, ids, message in (
        (folder, ["1"], "usage: python scorer.py USER ITEM"),
        (changed, ["1", "2"], "is not as"),
    ):
        done = subprocess.run(
            [sys.executable, "-I", str(where / "scorer.py"), *ids], capture_output=True, text=True, timeout=120
        )
        assert done.returncode == 1 and message in done.stderr and done.stderr.count("\n") == 1, done.stderr


def refuse(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    code, out, err = export(capsys, *arguments)
    assert code == 2 and not out and err.count("\n") == 1
    return err


def test_refusals_are_one_line_and_write_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("there").mkdir()
    Path("file").write_text("x")
    settings = {"seed": 0, "evaluation": {"level": 0.95}}
    for folder, choices in (("econml", {"learner": "linear_dml"}), ("policy", {"task": "policy_value"})):
        RunRecord(name="a", status="done", config={**settings, "choices": choices}).save(Path(folder))
    to = ("--to", "pt2", "--out")
    assert "--out there: is there already" in refuse(capsys, "econml", *to, "there")
    assert "--out=file: cannot be written" in refuse(capsys, "econml", *to, "file/new")
    assert "learner=linear_dml has no network to export" in refuse(capsys, "econml", *to, "new")
    assert "task=policy_value has no network to export" in refuse(capsys, "policy", *to, "new")
    assert "no record of a run" in refuse(capsys, "nothing", *to, "new")
    assert "did you mean 'onnx'" in refuse(capsys, "econml", "--to", "onx", "--out", "new")
    assert "did you mean 'hashed'" in refuse(capsys, "econml", *to, "new", "--ids", "hash")
    monkeypatch.setattr(packages, "find_spec", lambda name: None if name == "onnxscript" else object())
    assert "needs onnxscript; pip install 'causalrec[export]'" in refuse(
        capsys, "econml", "--to", "onnx", "--out", "new"
    )
    with pytest.raises(RequestError, match="to='onx'"):
        causalrec.export_run("econml", "new", to="onx")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["econml", "file", "policy", "there"]
