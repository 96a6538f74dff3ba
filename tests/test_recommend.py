"""`causalrec recommend`: items by what recommending them changes, from a finished run."""

from __future__ import annotations

import json
import os
import re
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from conftest import FakeML100K

from causalrec import cli
from causalrec.errors import RequestError
from causalrec.evaluation.slice.base import SliceData
from causalrec.running.trained_run import TrainedRun
from causalrec.training.checkpoint import read_checkpoint, write_checkpoint
from tests.encoders.tiny_models import write_bert

BUYERS = ("zoé", "ann", "bob")
THINGS = ("tea", "rum", "milk", "beer")
TABLE = ["logger=none", "evaluation.replicates=20"]  # what a learner from a table reads too
MET = r"rank the (\d+) met too: --include-seen \(include_met=True\)"
PART = " in the part that a smoke run reads"
QUICK = [*TABLE, "trainer=smoke", "selection.folds=1", "selection.candidates={optimizer.weight_decay:[0.1]}"]


@pytest.fixture
def call(
    fake_ml100k: FakeML100K, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Any:
    monkeypatch.setenv("CAUSALREC_DATA", str(fake_ml100k(tmp_path / "data", users=60, items=50, ratings=900)))
    monkeypatch.setenv("CAUSALREC_CACHE", str(tmp_path / "cache"))
    (tmp_path / "work").mkdir()
    monkeypatch.chdir(tmp_path / "work")

    def run(*arguments: str) -> tuple[int, str, str]:
        capsys.readouterr()
        code = cli.main(list(arguments))
        return code, *capsys.readouterr()

    return run


def train_run(call: Any, *overrides: str) -> str:
    common = TABLE if "learner=linear_dml" in overrides else QUICK
    code, _, err = call("train", *common, *overrides, "name=run")
    assert code == 0, err
    (folder,) = Path("runs/default/run").iterdir()
    return str(folder)


def test_a_mean_outcome_ranks_what_the_user_has_not_met(call: Any) -> None:
    folder = train_run(call, "dataset=ml100k", "objective=ips")
    code, _, err = call("recommend", folder, "--user", "3", "--top", "50")
    said = re.fullmatch(f".*: top 50: user 3 has (.*) items left to rank; ask for at most (.*), or {MET}\n", err)
    assert code == 2 and said is not None and said[1] == said[2] and int(said[1]) + int(said[3]) == 50
    document = json.loads(call("recommend", folder, "--user", "3", "--top", said[1], "--json")[1])
    every = json.loads(call("recommend", folder, "--user", "3", "--top", "50", "--include-seen", "--json")[1])
    predicted = [row["predicted"] for row in document["items"]]
    assert predicted == sorted(predicted, reverse=True) and all(0 <= value <= 1 for value in predicted)
    assert len(every["items"]) == 50 > len(document["items"]) == int(said[1])
    code, _, err = call("recommend", folder, "--user", "3", "--top", "51", "--include-seen")
    assert code == 2 and err.endswith("top 51: user 3 has 50 items left to rank; ask for at most 50\n")
    at = {row["item"]: row for row in every["items"]}
    for row in document["items"]:
        assert at[row["item"]] == {**row, "predicted": pytest.approx(row["predicted"], abs=1e-6)}
    assert "title" in document["items"][0]
    assert document["estimand"] == "exposed_mean" and document["adjustment"]["strategy"] == "backdoor"
    lines = Path(os.environ["CAUSALREC_DATA"], "ml-100k", "ml-100k.inter").read_text().splitlines()[1:]
    rated = {item for user, item, *_ in (line.split("\t") for line in lines) if user == "3"}
    assert document["user"] == "3" and set(at) == {str(number) for number in range(1, 51)}, "raw ids of the files"
    assert set(at) - {row["item"] for row in document["items"]} <= rated, "only what this very user rated is left out"
    assert at["7"]["title"] == "Café 7, The"
    again = json.loads(call("recommend", folder, "--user", "3", "--top", "2", "--json")[1])
    assert again["items"] == document["items"][:2]


def test_what_a_record_says_of_folders_is_read_alone(call: Any, tmp_path: Path) -> None:
    folder = Path(train_run(call, "dataset=ml100k", "objective=ips"))
    written = (folder / "record.json").read_text()
    data, elsewhere = Path(os.environ["CAUSALREC_DATA"]), tmp_path / "elsewhere"
    copied = shutil.copytree(data, elsewhere / "data")
    other = {"data": str(copied), "cache": str(elsewhere / "cache"), "runs": str(elsewhere / "runs")}
    record = json.loads(written)
    record["config"]["paths"] = other
    (folder / "record.json").write_text(json.dumps(record))
    before = {path: path.stat().st_mtime_ns for path in elsewhere.rglob("*")}
    assert call("recommend", str(folder), "--user", "3")[0] == 0
    assert {path: path.stat().st_mtime_ns for path in elsewhere.rglob("*")} == before, "nothing is written there"
    for path in [*copied.rglob("*.inter"), *copied.rglob("*.item"), *copied.rglob("u.*")]:
        path.unlink()
    left = sorted(elsewhere.rglob("*"))
    code, out, err = call("recommend", str(folder), "--user", "3")
    assert code == 1 and out == "" and err.count("\n") == 1 and "a run that is opened again fetches nothing; " in err
    assert sorted(elsewhere.rglob("*")) == left
    copied.rename(elsewhere / ".hidden")
    record["config"]["paths"] = {**other, "data": str(elsewhere / ".hidden")}
    (folder / "record.json").write_text(json.dumps(record))
    assert call("recommend", str(folder), "--user", "3")[0] == 0, "hidden data are not read, but the environment's"


def test_a_network_of_effects_tells_the_outcome_with_and_without(call: Any) -> None:
    folder = train_run(call, "dataset.units=300", "dataset.arms=2", "head.width=8", "head.arm_width=4", "task=effect")
    for arm in ("1", "2"):
        (row,) = json.loads(call("recommend", folder, "--user", "5", "--arm", arm, "--json")[1])["items"]
        assert row["effect"] == pytest.approx(row["with"] - row["without"], abs=1e-5)
        assert "low" not in row
    code, out, _ = call("recommend", folder, "--user", "5")
    assert code == 0 and "no interval: this model has none" in out and "given x0, x1" in out


def test_an_effect_of_a_second_stage_has_no_outcomes_of_the_first_beside_it(call: Any) -> None:
    folder = train_run(call, "dataset.units=300", "head=t_net", "objective=dr_learner", "task=effect")
    code, out, _ = call("recommend", folder, "--user", "5")
    (row,) = json.loads(call("recommend", folder, "--user", "5", "--json")[1])["items"]
    assert code == 0 and set(row) == {"item", "effect"}
    assert "no outcomes without and with: the effect is of a second stage" in " ".join(out.split())


def test_a_score_that_only_ranks_by_effect_is_not_called_one(call: Any) -> None:
    folder = train_run(
        call, "dataset=ml100k_uplift", "head=dot", "objective=ulrmf", "dataset.recommendations=10", "task=effect"
    )
    code, out, _ = call("recommend", folder, "--user", "5", "--top", "2")
    assert code == 0 and "score: it ranks by effect and is none" in out and "interval" not in out
    rows = json.loads(call("recommend", folder, "--user", "5", "--top", "2", "--json")[1])["items"]
    assert all(set(row) == {"item", "title", "score"} for row in rows) and rows[0]["score"] >= rows[1]["score"]


def test_a_learner_from_a_table_tells_an_interval(call: Any) -> None:
    folder = train_run(call, "dataset.units=500", "learner=linear_dml", "task=effect")
    document = json.loads(call("recommend", folder, "--user", "0", "--json")[1])
    (row,) = document["items"]
    assert row["low"] < row["effect"] < row["high"] and document["note"] is None, "of one item: nothing beside it"
    code, _, err = call("recommend", folder, "--user", "0", "--top", "2")
    assert code == 2 and err.endswith("top 2: user 0 has 1 item left to rank; ask for at most 1\n")


def write_trial(folder: Path, users: int = 300, items: int = 25) -> list[str]:
    """Write a trial in which each user is shown one item or none, and return what reads it."""
    rng, (size, price) = np.random.default_rng(0), np.random.default_rng(1).normal(size=(2, items)).round(2)
    item, shown, age = rng.integers(items, size=users), rng.integers(2, size=users), rng.normal(size=users).round(2)
    spent = (shown * (0.5 + 0.4 * size[item]) + age + rng.normal(size=users)).round(3)
    folder.mkdir(parents=True)
    tables = {
        "rows.csv": ["user,item,shown,spent", *(f"u{k},i{item[k]},{shown[k]},{spent[k]}" for k in range(users))],
        "people.csv": ["id,age", *(f"u{k},{age[k]}" for k in range(users))],
        "things.csv": ["id,size,price", *(f"i{k},{size[k]},{price[k]}" for k in range(items))],
    }
    for name, lines in tables.items():
        (folder / name).write_text("\n".join(lines))
    roles = {"interactions": "rows.csv", "outcome": "spent", "kind": "reward", "threshold": "null", "exposure": "shown"}
    roles |= {"feedback": "exposure_logged", "arms": "[shown]"}
    roles["users"] = "{file: people.csv, id: id, columns: {age: numeric}}"
    roles["items"] = "{file: things.csv, id: id, columns: {size: numeric, price: numeric}}"
    edges = "graph.edges=['age, size, price -> outcome','size -> exposure','exposure -> outcome']"
    columns = [f"dataset.{role}={value}" for role, value in roles.items()]
    return [
        "task=effect",
        "dataset=csv",
        *columns,
        edges,
        "graph.latent=[]",
        "split.unseen=keep",
        "evaluation.cluster=[user]",
    ]


def test_intervals_hold_for_all_items_that_could_have_been_shown(
    call: Any, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    trial = write_trial(Path(os.environ["CAUSALREC_DATA"], "csv"))
    run = TrainedRun.load(Path(train_run(call, *trial, "learner=linear_dml")))
    document = json.loads(call("recommend", str(run.config.folder), "--user", "u3", "--include-seen", "--json")[1])
    note = "all 25 candidates at once, shown or not (the largest |t| of their joint covariance)"
    assert document["note"] == f"intervals hold with 95% for {note}" and len(document["items"]) == 10
    assert note in " ".join(call("recommend", str(run.config.folder), "--user", "u3", "--include-seen")[1].split())
    two = run.recommend("u3", k=2, include_met=True)
    assert two.to_dicts() == document["items"][:2], "however many are shown"
    assert note in caplog.text
    user, item = np.full(25, run.user_row("u3")), np.arange(25)
    candidates = SliceData(name="all", kind="effect", user=user, item=item, label=0 * item, num_users=300, arm=1)
    pointwise = run.predictor.interval(candidates, 0.95)
    assert pointwise is not None
    best = int(two["item"][0].removeprefix("i"))
    width, shown = (pointwise[1] - pointwise[0])[best, 0], float(two["high"][0] - two["low"][0])
    assert 2.2 < 1.96 * shown / width < 2.9, "two columns of items: above the pointwise 1.96, below Scheffe's 2.80"
    monkeypatch.setattr(type(run.predictor), "simultaneous_interval", None)
    assert run.predict("u3", two["item"].to_list()) == pytest.approx(two["effect"].to_numpy()), "which asks for none"
    with pytest.raises(RequestError, match=r"top 26: user u3 has 25 items left to rank; ask for at most 25$"):
        run.recommend("u3", k=26, include_met=True)


def test_what_cannot_be_answered_is_one_line(call: Any) -> None:
    edges = "graph.edges=['item -> outcome','user -> outcome','exposure -> outcome']"
    overrides = ["dataset=ml100k", "objective=naive", "split=cold_users", edges, "graph.latent=[]", "graph.assume=true"]
    folder = train_run(call, *overrides)
    for wrong, said in (
        (
            ["--user", "61"],
            f"user 61: ml100k has no such user{PART}; the 60 ids run from 1 to 60; nearest: 60",
        ),
        (["--user", "0"], f"user 0: ml100k has no such user{PART}; the 60 ids run from 1 to 60; nearest: 1"),
        (["--user", "1", "--top", "0"], "top 0: at least 1"),
        (["--user", "1", "--arm", "2"], "arm 2: ml100k has the treatments 1..1"),
    ):
        code, _, err = call("recommend", folder, *wrong)
        assert code == 2 and err.strip().endswith(said)
    answers = (call("recommend", folder, "--user", str(user)) for user in range(1, 61))
    cold = next(err for code, _, err in answers if code == 2)
    assert "has no training row, and the model knows users by their id alone" in cold
    paths = sorted(Path(folder).rglob("best.ckpt"))
    saved = {path: read_checkpoint(path) for path in paths}
    for change, said in (
        (lambda value: value * float("nan"), "checkpoint holds weights that are not finite"),
        (lambda value: value[:1] if value.ndim else value, "checkpoint of another model (model."),
    ):
        for path, content in saved.items():
            state = {name: change(value) for name, value in content["state_dict"].items()}
            write_checkpoint(path, {**content, "state_dict": state})
        code, _, err = call("recommend", folder, "--user", "1")
        assert code == 1 and said in err and err.endswith("; train it again with --rerun\n") and err.count("\n") == 1
    for path in paths:
        path.unlink()
    code, _, err = call("recommend", folder, "--user", "1")
    assert code == 2 and "best.ckpt: the weights are gone; run the job again with --rerun" in err


SHOP = {
    "rows.csv": "buyer,thing,bought\n"
    + "".join(f"{b},{t},{(k + len(t)) % 2}\n" for k, b in enumerate(BUYERS * 4) for t in THINGS[k % 4 :]),
    "buyers.csv": "id,about\nzoé,likes tea\nann,likes rum\nbob,likes milk\nnew,likes tea\n",
}


def train_on_shop(call: Any, *overrides: str, graph: str = "'item -> outcome','user -> outcome'") -> str:
    """A run on a csv of text ids, whose user table has a text column alone and one user without rows."""
    for name, text in SHOP.items():
        path = Path(os.environ["CAUSALREC_DATA"], "csv", name)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    table = "dataset.users={file: buyers.csv, id: id, columns: {about: text}}"
    roles = ["dataset.interactions=rows.csv", "dataset.user=buyer", "dataset.item=thing", "dataset.outcome=bought"]
    keys = ["dataset.kind=click", "dataset.repeats=keep_last", "dataset.user_text={about: '{}'}", "graph.assume=true"]
    edges = [f"graph.edges=[{graph},'exposure -> outcome']", "graph.latent=[]", "objective=naive"]
    return train_run(call, "dataset=csv", "dataset.threshold=null", table, *roles, *keys, *edges, *overrides)


def answer(folder: str, user: str, capsys: pytest.CaptureFixture[str]) -> tuple[dict[str, Any], str]:
    from causalrec.commands.parser import parser
    from causalrec.commands.recommend import recommend

    capsys.readouterr()
    assert recommend(parser().parse_args(["recommend", folder, "--user", user, "--include-seen", "--json"])) == 0
    out, err = capsys.readouterr()
    return json.loads(out), err


def test_users_and_items_are_known_by_the_words_of_the_files(call: Any, capsys: pytest.CaptureFixture[str]) -> None:
    folder = train_on_shop(call)
    document = answer(folder, "zoé", capsys)[0]
    assert document["user"] == "zoé" and {row["item"] for row in document["items"]} == set(THINGS)
    assert set(document["items"][0]) == {"item", "predicted"}, "without a text there is none to tell"
    assert document["items"] != answer(folder, "ann", capsys)[0]["items"]
    with pytest.raises(RequestError, match=r"user zoe: csv has no such user.*; the 4 ids .* ann to zoé; nearest: zoé"):
        answer(folder, "zoe", capsys)
    with pytest.raises(RequestError, match="user new: has no training row, and the model knows users by their id"):
        answer(folder, "new", capsys)


@pytest.mark.parametrize("read", [True, False])
def test_a_user_without_history_is_known_by_its_text_if_that_is_read(
    call: Any, capsys: pytest.CaptureFixture[str], tmp_path: Path, read: bool
) -> None:
    edges = "'item -> outcome','user -> outcome','about -> outcome'"
    reader = [
        "encoder=bert",
        f"encoder.model={write_bert(tmp_path / 'model')}",
        "encoder.item=[id]",
        "encoder.max_tokens=30",
    ]
    folder = (
        train_on_shop(call, *reader, "encoder.user=[id,profile]", graph=edges)
        if read
        else train_on_shop(call, graph=edges)
    )
    if not read:
        with pytest.raises(RequestError, match="user new: has no training row, and the model knows users by their"):
            answer(folder, "new", capsys)
        return
    document, err = answer(folder, "new", capsys)
    assert document["user"] == "new" and "user new has no training row: what follows rests on the columns" in err


def test_where_files_name_no_users_the_row_is_the_id(call: Any) -> None:
    folder = train_run(call, "dataset.units=60", "learner=linear_dml", "task=effect")
    document = json.loads(call("recommend", folder, "--user", "59", "--json")[1])
    assert (document["user"], document["items"][0]["item"]) == ("59", "0")
    code, _, err = call("recommend", folder, "--user", "60")
    assert code == 2
    assert "user 60: effect_simulation has no such user; its files name no users, so give a row number, 0..59" in err
