"""The way in by Python: what the verbs do, as functions, and a run opened again wherever it lies."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from conftest import FakeML100K

import causalrec
from causalrec.errors import CausalRecError, DataError, RequestError

QUICK = {
    "logger": "none",
    "trainer": "smoke",
    "evaluation": {"replicates": 20},
    "selection": {"candidates": {"optimizer.weight_decay": [0.1]}},
}
ASKED = ["dataset=ml100k", "objective=ips"]


@pytest.fixture
def work(fake_ml100k: FakeML100K, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("CAUSALREC_DATA", str(fake_ml100k(tmp_path / "data", users=60, items=50, ratings=900)))
    monkeypatch.setenv("CAUSALREC_CACHE", str(tmp_path / "cache"))
    (tmp_path / "work").mkdir()
    monkeypatch.chdir(tmp_path / "work")
    return tmp_path / "work"


def trained_folder() -> Path:
    (path,) = Path("runs").rglob("record.json")
    return path.parent


def test_a_data_set_is_loaded_with_its_settings(work: Path) -> None:
    log = causalrec.load_dataset("ml100k", threshold=3).logged
    assert len(log) == 900 and set(np.unique(log.outcome)) == {0, 1}
    with pytest.raises(RequestError, match=r"dataset.treshold: unknown key; did you mean 'threshold'"):
        causalrec.load_dataset("ml100k", treshold=3)
    with pytest.raises(RequestError, match="dataset=ml10k: unknown component"):
        causalrec.load_dataset("ml10k")


def test_a_job_is_the_one_that_the_command_would_make(work: Path, capsys: pytest.CaptureFixture[str]) -> None:
    record = causalrec.train(*ASKED, **QUICK)
    assert record.done and record.name == "mf-ips" and "objective=ips" in record.command
    quoted = "selection.candidates.optimizer.weight_decay" not in record.command
    assert quoted and causalrec.train(*ASKED, **QUICK) == record, "a finished job is not trained again"
    (table,) = causalrec.table("runs", ["auc@logged"])
    assert "| mf-ips |" in str(table) and "auc@logged" in str(table)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"datset": "ml100k"}, "datset: unknown key; did you mean 'dataset'"),
        ({"dataset": "ml10k"}, "dataset=ml10k: unknown component; did you mean 'ml100k'"),
        ({"trainer": {"max_epoch": 3}}, "trainer.max_epoch: unknown key; did you mean 'max_epochs'"),
        ({"seed": object}, "is no setting"),
    ],
)
def test_an_unknown_keyword_is_one_line_before_any_work(settings: dict[str, object], message: str, work: Path) -> None:
    with pytest.raises(RequestError, match=message) as caught:
        causalrec.train(**settings)  # type: ignore[arg-type]
    assert "\n" not in str(caught.value) and not (work / "runs").exists()


def test_settings_as_a_dictionary_are_one_line_too() -> None:
    with pytest.raises(RequestError, match="is no override; write 'key=value', or give keywords"):
        causalrec.train({"dataset": "ml100k"})  # type: ignore[arg-type]


def write_csv(work: Path, *more_rows: str) -> None:
    folder = work.parent / "data" / "csv"
    folder.mkdir(parents=True, exist_ok=True)
    rows = [f"{k % 12},{k % 7},{1 + k * k % 5}" for k in range(80)]
    (folder / "interactions.csv").write_text("\n".join(["user,item,rating", *rows, *more_rows, ""]))


def test_a_moved_run_scores_to_the_last_bit_in_another_process_and_folder(work: Path, tmp_path: Path) -> None:
    write_csv(work)
    record = causalrec.train("dataset.threshold=4", dataset="csv", objective="ips", **QUICK)
    moved = tmp_path / "elsewhere" / trained_folder().name
    shutil.move(trained_folder(), moved)
    code = (
        "import json, sys, causalrec\n"
        "run = causalrec.load(sys.argv[1])\n"
        "pairs = run.predict('3', ['1', '2']).tolist()\n"
        "print(json.dumps([[[s.value, s.low, s.high] for s in run.score()], pairs, run.predict(3, 2).tolist()]))\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, str(moved)], cwd=tmp_path, capture_output=True, text=True, timeout=120, check=False
    )
    assert done.returncode == 0, done.stderr
    scores, pairs, single = json.loads(done.stdout.splitlines()[-1])
    assert scores == [[score.value, score.low, score.high] for score in record.scores]
    assert single == pytest.approx(pairs[1:], abs=1e-6) and pairs[0] != pairs[1]


def test_items_are_recommended_by_raw_ids_and_what_was_met_is_left_out(work: Path) -> None:
    causalrec.train(*ASKED, **QUICK)
    run = causalrec.load(trained_folder())
    every = run.recommend(3, k=50, include_met=True)
    with pytest.raises(RequestError, match=r"top 50: user 3 has \d+ items left to rank; ask for at most") as refused:
        run.recommend("3", k=50)
    best = run.recommend("3", k=int(str(refused.value).split()[5]))
    assert len(run.recommend("3")) == 10
    assert best.columns == ["item", "title", "predicted"] and len(every) == 50 > len(best)
    assert best["predicted"].is_sorted(descending=True)
    assert run.predict("3", best["item"].to_list()) == pytest.approx(best["predicted"].to_numpy(), abs=1e-6)
    with pytest.raises(
        RequestError, match=r"user 61: ml100k has no such user in the part that a smoke run reads; .*; nearest: 60"
    ):
        run.predict(61, 1)
    with pytest.raises(RequestError, match=r"item 0: ml100k has no such item in the part .*; nearest: 1"):
        run.predict(1, ["1", "0"])
    with pytest.raises(RequestError, match="user zz: ml100k has no such user"):
        run.recommend("zz")
    with pytest.raises(RequestError, match="k=0: at least 1"):
        run.recommend("1", k=0)
    assert run.predict(3.0, np.array([1, 2])).tolist() == run.predict("3", [1, 2]).tolist(), (
        "as tables with gaps hold ids"
    )
    for user, item, message in (
        (float("nan"), 1, "user nan: is no id"),
        (None, 1, "user None: is no id"),
        (b"1", 1, "user b'1': is no id"),
        (True, 1, "user True: is no id"),
        ([], [], "0 users and 0 items: give as many of both"),
        ([1, 2, 3], [1, 2], "3 users and 2 items: give as many of both"),
    ):
        with pytest.raises(RequestError, match=message):
            run.predict(user, item)  # type: ignore[arg-type]
    with pytest.raises(RequestError, match="2 users: items are recommended to one user at a time"):
        run.recommend(["1", "2"])  # type: ignore[arg-type]


def test_a_run_is_opened_by_its_record_and_under_any_name(work: Path) -> None:
    record = causalrec.train(*ASKED, **QUICK)
    expected = causalrec.load(record).predict("3", [1, 2])
    renamed = trained_folder().rename(work / "kept for the paper")
    assert causalrec.load(renamed).predict("3", [1, 2]).tolist() == expected.tolist()


def test_a_damaged_command_costs_no_result_and_an_older_configuration_says_run_again(work: Path) -> None:
    causalrec.train(*ASKED, **QUICK)
    path = trained_folder() / "record.json"
    values = json.loads(path.read_text())
    path.write_text(json.dumps({**values, "command": "causalrec train 'x"}))
    assert causalrec.load(path.parent).record.command == ""
    del values["config"]["selection"]["extend"]
    path.write_text(json.dumps(values))
    with pytest.raises(RequestError, match=r"was made by causalrec .*; run it again first: causalrec train [^()]*$"):
        causalrec.load(path.parent)
    values["config"]["choices"]["dataset"] = "mine"  # of a folder that no record holds
    path.write_text(json.dumps(values))
    with pytest.raises(RequestError, match=r"causalrec train .* \(with the --config-dir that holds dataset=mine\)"):
        causalrec.load(path.parent)


def test_text_where_a_list_is_meant_is_one_member(work: Path) -> None:
    with pytest.raises(RequestError, match="--config-dir nowhere: no such folder"):
        causalrec.load_dataset("ml100k", config_dirs="nowhere", threshold=3)
    with pytest.raises(RequestError, match="is no data set; give its name"):
        causalrec.load_dataset(["ml100k"])  # type: ignore[arg-type]


def test_raw_files_that_were_changed_since_are_refused_by_name(work: Path) -> None:
    write_csv(work)
    causalrec.train("dataset.threshold=4", dataset="csv", objective="ips", **QUICK)
    causalrec.load(trained_folder())
    write_csv(work, "new,3,5")
    with pytest.raises(DataError, match=r"csv: interactions.csv: not as the run read it"):
        causalrec.load(trained_folder())


def test_a_user_of_whom_the_model_knows_nothing_is_refused_in_predictions_too(work: Path) -> None:
    edges = "graph.edges=['item -> outcome','user -> outcome','exposure -> outcome']"
    causalrec.train(*ASKED, "split=cold_users", edges, "graph.latent=[]", "graph.assume=true", **QUICK)
    run = causalrec.load(trained_folder())
    is_cold = [not run.is_met(run.user_row(user)) for user in range(1, 61)]
    cold, warm = 1 + is_cold.index(True), 1 + is_cold.index(False)
    assert run.predict(warm, 1).shape == (1,)
    for ask in (lambda: run.predict([warm, cold], 1), lambda: run.recommend(cold)):
        with pytest.raises(RequestError, match=f"user {cold}: has no training row, and the model knows users by"):
            ask()


def test_what_must_be_read_with_a_recommendation_is_said(work: Path, caplog: pytest.LogCaptureFixture) -> None:
    causalrec.train("task=effect", "dataset.units=200", **QUICK)
    run = causalrec.load(trained_folder())
    assert run.recommend(0).columns[0] == "item"
    assert "no interval: this model has none that is valid for a single effect" in caplog.text


def test_a_run_that_cannot_be_opened_says_why_in_one_line(work: Path) -> None:
    causalrec.train(*ASKED, **QUICK)
    folder = trained_folder()
    path = folder / "record.json"
    original = path.read_text()
    edits = {
        "damaged": original[: len(original) // 2],
        "another schema": json.dumps(json.loads(original) | {"schema": 1}),
        "another configuration": original.replace('"width": ', '"width": 1'),
        "a class that is not ours": original.replace("causalrec.encoders.mf.MF", "os.path.join"),
    }
    for edit, text in edits.items():
        assert text != original, edit
        path.write_text(text)
        with pytest.raises(CausalRecError) as caught:
            causalrec.load(folder)
        assert "\n" not in str(caught.value) and "record.json" in str(caught.value), edit
    path.write_text(original)
    for weights in folder.rglob("best.ckpt"):
        weights.unlink()
    with pytest.raises(RequestError, match="the weights are gone; run the job again with --rerun"):
        causalrec.load(folder)
    with pytest.raises(RequestError, match="no record of a run; give the folder of one job"):
        causalrec.load(work)


def test_the_package_and_the_command_start_without_torch() -> None:
    code = "import sys, causalrec\nassert callable(causalrec.train)\nassert 'torch' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], timeout=60, check=True)
    done = subprocess.run(
        [sys.executable, "-m", "causalrec", "--version"], capture_output=True, text=True, timeout=60, check=True
    )
    assert done.stdout.startswith("causalrec 0.") and os.linesep in done.stdout
    with pytest.raises(AttributeError, match="has no attribute 'tarin'"):
        causalrec.tarin  # noqa: B018
