"""`data new` looks at a table and writes YAML that loads; `data check` then judges the request, not the files alone."""

from __future__ import annotations

import json
import shlex
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
import yaml

from causalrec.cli import main
from causalrec.data.tabular.role_guesses import guess_roles
from causalrec.data.tabular.sniff import look_at
from causalrec.features import row_columns

RNG = np.random.default_rng(0)
Capture = pytest.CaptureFixture[str]


def ratings(separator: str, header: str = "") -> str:
    pairs = RNG.permutation(40 * 30)[:600]
    cells = [(f"{p // 30}", f"{p % 30}", f"{1 + int(p) * 7 % 5}", f"{10**9 + k * 86400}") for k, p in enumerate(pairs)]
    return header + "".join(separator.join(row) + "\n" for row in cells)


def people() -> str:
    x, t = RNG.normal(size=200), RNG.integers(2, size=200)
    rows = [
        f"{k + 1},{'TRUE' if t[k] else 'FALSE'},{x[k]:.3f},{'' if k % 9 == 0 else k % 5},{x[k] + t[k]:.3f}"
        for k in range(200)
    ]
    return '"","treat","age","kids","re78"\n' + "\n".join(rows) + "\n"


def reviews() -> str:
    def review(k: int) -> dict[str, Any]:
        item, day = k * 7 % 40, f"{1 + k % 28:02d}/{1 + k % 12:02d}/2014"
        about = {"asin": f"B{item}", "title": f"The long name of {item}", "genres": [f"g{item % 3}", "all"]}
        return {"reviewerID": f"A{k % 50}", "overall": 1.0 + k % 5, "reviewTime": day, **about}

    return "\n".join(json.dumps(review(k)) for k in range(600))


@pytest.fixture
def work(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("CAUSALREC_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("CAUSALREC_DATA", str(tmp_path / "data"))
    return tmp_path


def call(capsys: Capture, *arguments: str) -> tuple[int, str, str]:
    code = main(arguments)
    captured = capsys.readouterr()
    return code, captured.out, captured.err


def next_commands(out: str) -> list[list[str]]:
    return [shlex.split(line)[1:] for line in out.partition("next:\n")[2].splitlines()]


NEW: list[tuple[str, Callable[[], str], dict[str, Any]]] = [
    ("ratings.dat", lambda: ratings("::"), {
        "separator": "::", "names": ["user", "item", "rating", "time"], "scale": [1, 5], "time": "time"}),
    ("ratings.tsv", lambda: ratings("\t", "userId\tmovieId\trating\ttimestamp\n"), {
        "user": "userId", "item": "movieId", "time": "timestamp", "kind": "rating"}),
    ("People of 1978.csv", people, {
        "user": None, "item": None, "exposure": "treat", "exposure_levels": ["false", "true"], "outcome": "re78",
        "users": {"columns": {"age": "numeric", "kids": "numeric"}}, "fill": {"kids": "mean"}, "kind": "reward"}),
    ("reviews.json", reviews, {
        "user": "reviewerID", "item": "asin", "outcome": "overall", "time_format": "%d/%m/%Y", "repeats": "keep_last",
        "items": {"columns": {"title": "category", "genres": "multi_hot"}}}),
]  # fmt: skip


@pytest.mark.parametrize(("name", "text", "keys"), NEW)
def test_the_first_yaml_says_what_the_table_holds_and_checks_as_printed(
    name: str, text: Callable[[], str], keys: dict[str, Any], work: Path, capsys: Capture
) -> None:
    (work / name).write_text(text(), encoding="utf-8")
    code, out, _ = call(capsys, "data", "new", name)
    assert code == 0 and max(map(len, out.partition("next:")[0].splitlines())) <= 80
    (path,) = (work / "conf" / "dataset").glob("*.yaml")
    written = yaml.safe_load(path.read_text())
    assert {key: written[key] for key in keys} == keys
    check, train = next_commands(out)
    assert train[0] == "train" and f"dataset={path.stem}" in train
    code, out, err = call(capsys, *check)
    assert code == 0 and ": 0 errors, " in err, err
    assert call(capsys, "data", "new", name)[0] == 2, "nothing is overwritten"


@pytest.mark.slow
def test_the_train_command_that_is_printed_trains(work: Path, capsys: Capture) -> None:
    (work / "shop.csv").write_text(ratings(",", "customer,product,stars,bought at\n"))
    _, out, _ = call(capsys, "data", "new", "shop.csv", "--config-dir", "my conf")
    assert call(capsys, *next_commands(out)[1], "trainer.progress=false")[0] == 0
    (record,) = [json.loads(path.read_text()) for path in work.rglob("record.json")]
    assert record["status"] == "done" and record["data"]["name"] == "shop"


def test_tables_beside_the_log_are_joined_by_the_ids_they_hold(work: Path, capsys: Capture) -> None:
    (work / "log.csv").write_text(ratings(",", "customer,product,stars,at\n"))
    people = [f'{k};"1.{k:03d},5";{"" if k % 7 == 0 else k}' for k in range(40)]
    (work / "people.txt").write_text("\n".join(["number;wage;age", *people]), encoding="utf-8")
    films = [
        {"key": k, "about": f"<p>The film no. {k} of &amp; all</p>", "tags": ["a", "b"][: k % 3]} for k in range(28)
    ]
    (work / "films.json").write_text(json.dumps(films))
    code, out, _ = call(capsys, "data", "new", "log.csv", "--users", "people.txt", "--items", "films.json")
    assert code == 0
    written = yaml.safe_load((work / "conf" / "dataset" / "log.yaml").read_text())
    columns = {"wage": "numeric", "age": "numeric"}
    numbers = {"decimal": ",", "thousands": "."}
    assert written["users"] == {"file": "people.txt", "id": "number", "separator": ";", **numbers, "columns": columns}
    assert written["items"] == {
        "file": "films.json",
        "id": "key",
        "columns": {"about": "text(html)", "tags": "multi_hot"},
    }
    assert written["fill"] == {"age": "mean", "product": "drop"} and written["item_text"] == {"about": "{}"}
    assert call(capsys, *next_commands(out)[0])[0] == 0
    code, _, err = call(capsys, "data", "new", "log.csv", "--users", "films.json", "--name", "other")
    assert code == 0 or "is it the table of users?" in err
    code, _, err = call(capsys, "data", "new", "log.csv", "--items", "nowhere.csv", "--name", "third")
    assert code == 2 and "nowhere.csv: there is no such file" in err


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((), "data new: name one table"),
        (("nowhere.csv",), "nowhere.csv: there is no such file"),
        (("coat.csv",), "dataset=coat is one of causalrec's own; give another --name"),
        (("coat.csv", "--name", "../x"), "--name '../x': use letters, digits, _ and -"),
    ],
)
def test_a_table_that_cannot_be_named_is_refused(
    arguments: Sequence[str], message: str, work: Path, capsys: Capture
) -> None:
    (work / "coat.csv").write_text("user,item,rating\n1,2,3\n")
    code, out, err = call(capsys, "data", "new", *arguments)
    assert (code, out) == (2, "") and message in err and err.count("\n") == 1
    assert not (work / "conf").exists()


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "is empty"),
        (b"PK\x03\x04", "this is a zip archive"),
        (b"user,item\n", "has no rows"),
        (b"user,item,rating,rating\n1,2,3,4\n", "2 columns are named 'rating'"),
        (b"import os\n\nx = f(1, 2)\ny = f(1, 2, 3, 4, 5)\n" * 3, "its lines are no rows of one table"),
    ],
)
def test_what_is_no_table_is_one_line(content: bytes, message: str, work: Path, capsys: Capture) -> None:
    (work / "t.csv").write_bytes(content)
    code, _, err = call(capsys, "data", "new", "t.csv")
    assert code == 2 and message in err and err.count("\n") == 1


def test_options_of_new_are_refused_elsewhere_and_roles_are_taken_as_said(work: Path, capsys: Capture) -> None:
    assert "--name is of `data new` alone" in call(capsys, "data", "list", "--name", "x")[2]
    (work / "t.csv").write_text("a,b,c\n" + "".join(f"{k % 9},{k % 7},{k % 2}\n" for k in range(90)))
    code, _, _ = call(capsys, "data", "new", "t.csv", "user=b", "item=a", "outcome=c")
    written = yaml.safe_load((work / "conf" / "dataset" / "t.yaml").read_text())
    assert code == 0 and [written[key] for key in ("user", "item", "outcome", "kind")] == ["b", "a", "c", "click"]
    for role, message in (("usr=b", "no role of a column; did you mean 'user'"), ("user=d", "no such column")):
        assert message in call(capsys, "data", "new", "t.csv", role, "--name", "other")[2]


def test_repeated_impressions_are_kept_and_repeated_ratings_are_said(work: Path, capsys: Capture) -> None:
    for name, outcome, rule in (("shown", "clicked", "allowed"), ("rated", "stars", "keep_last")):
        rows = [f"v{k % 40},i{k % 25},{k % 2 if name == 'shown' else 1 + k % 5}" for k in range(600)]
        (work / f"{name}.csv").write_text(f"visitor,item,{outcome}\n" + "\n".join(rows))
        out = call(capsys, "data", "new", f"{name}.csv")[1]
        assert f"repeats: {rule}: 400 rows" in out
        assert yaml.safe_load((work / "conf" / "dataset" / f"{name}.yaml").read_text())["repeats"] == rule


def experiment(work: Path) -> None:
    rows = [f"{k},{1000 - k},{'AB'[k % 2]},{20 + k * 7 % 50},{k * 3 % 11}.5,{k % 2}" for k in range(300)]
    (work / "ab.csv").write_text("id,customer_no,cell,age,spend,churned\n" + "\n".join(rows))


def test_rows_of_people_are_no_pairs_and_what_names_the_rows_is_no_number(work: Path, capsys: Capture) -> None:
    experiment(work)
    assert call(capsys, "data", "new", "ab.csv")[0] == 0
    written = yaml.safe_load((work / "conf" / "dataset" / "ab.yaml").read_text())
    assert [written[role] for role in ("user", "item", "exposure", "outcome")] == ["customer_no", None, "cell", "spend"]
    assert written["users"] == {"columns": {"age": "numeric", "churned": "numeric"}}


def test_people_of_several_rows_keep_their_user_and_columns_that_change_within_one_are_of_the_row(
    work: Path, capsys: Capture
) -> None:
    rows = [f"{k // 6},{k // 6 % 2},{20 + k // 6},{k % 6},{RNG.normal():.3f}" for k in range(360)]
    (work / "visits.csv").write_text("user,treat,age,hour,y\n" + "\n".join(rows))
    code, out, _ = call(capsys, "data", "new", "visits.csv", "exposure=treat", "outcome=y", "user=user")
    assert code == 0 and "repeats: allowed: 300 rows have the user of another and all are kept" in out
    written = yaml.safe_load((work / "conf" / "dataset" / "visits.yaml").read_text())
    assert [written[key] for key in ("user", "item", "repeats")] == ["user", None, "allowed"]
    assert [written["users"]["columns"], written["row_columns"]] == [{"age": "numeric"}, {"hour": "numeric"}]
    assert call(capsys, *next_commands(out)[0])[0] == 0


def test_kinds_roles_that_nobody_plays_and_columns_left_out_are_taken_as_said(work: Path, capsys: Capture) -> None:
    experiment(work)
    said = ("user=null", "item=null", "age=category", "spend=out", "outcome=churned")
    code, _, _ = call(capsys, "data", "new", "ab.csv", *said)
    written = yaml.safe_load((work / "conf" / "dataset" / "ab.yaml").read_text())
    assert code == 0 and (written["user"], written["outcome"]) == (None, "churned")
    assert written["users"] == {"columns": {"age": "category"}}


@pytest.mark.parametrize(
    ("said", "message"),
    [
        ("outcome=cell", "outcome=cell: the column holds words; the outcome is a number"),
        ("exposure=id", "exposure=id: the column has 300 values; an exposure has 2 to 100"),
        ("time=spend", "time=spend: the column goes from 0.5 to 10.5 with fractions"),
        ("propensity=age", "the column goes from 20 to 69; a propensity is a probability"),
        ("user=spend", "an id is a whole number or words"),
        ("user=id item=id", "user=id item=id: says two things of the column id; leave one"),
        ("cell=numeric", "cell=numeric: the column holds words, as A, B"),
        ("cel=out", "cel=out: no such column; did you mean 'cell'"),
    ],
)
def test_what_is_said_against_the_column_is_refused(said: str, message: str, work: Path, capsys: Capture) -> None:
    experiment(work)
    code, out, err = call(capsys, "data", "new", "ab.csv", *said.split())
    assert (code, out) == (2, "") and message in err and err.count("\n") == 1


def test_a_list_that_changes_within_pairs_is_left_out(work: Path, capsys: Capture) -> None:
    rows = [{"visitor": k % 40, "item": k % 25, "clicked": k % 2, "tags": ["a", "b"][: k % 3]} for k in range(300)]
    (work / "log.jsonl").write_text("\n".join(map(json.dumps, rows)))
    code, _, _ = call(capsys, "data", "new", "log.jsonl")
    assert code == 0 and "row_columns" not in (work / "conf" / "dataset" / "log.yaml").read_text()
    code, _, err = call(capsys, "data", "new", "log.jsonl", "tags=multi_hot", "--name", "other")
    assert code == 2 and "such a column is numeric or category" in err
    said = "+dataset.row_columns={tags: multi_hot}"
    code, _, err = call(capsys, "data", "check", "log", "--config-dir", "conf", said)
    assert code == 2 and "dataset.row_columns.tags='multi_hot': input should be 'numeric' or 'category'" in err


@pytest.mark.parametrize("folder", ["afile", "afile/sub", "/proc/conf"])
def test_a_folder_that_cannot_be_written_is_one_line(folder: str, work: Path, capsys: Capture) -> None:
    experiment(work)
    (work / "afile").write_text("")
    code, _, err = call(capsys, "data", "new", "ab.csv", "--config-dir", folder)
    assert code == 2 and f"--config-dir={folder}: cannot be written" in err and err.count("\n") == 1


@pytest.mark.parametrize("out", ["afile/g.svg", "nowhere/g.svg", "/proc/g.svg"])
def test_a_drawing_makes_no_folder(out: str, work: Path, capsys: Capture) -> None:
    (work / "afile").write_text("")
    code, _, err = call(capsys, "graph", "show", "--out", out)
    assert code == 2 and "--out" in err and err.count("\n") == 1 and not (work / "nowhere").exists()


def test_what_the_cells_leave_open_is_marked_and_what_is_left_out_has_a_reason(work: Path, capsys: Capture) -> None:
    def log(day: Callable[[int], int], price: str) -> str:
        dates = [f"{day(k):02d}/{1 + k % 12:02d}/2020" for k in range(300)]
        rows = [f'u{k % 9},i{k % 70},{1 + k % 5},{date},"{price}",s{k}' for k, date in enumerate(dates)]
        return "user,item,stars,day,price,slip\n" + "\n".join(rows)

    (work / "open.csv").write_text(log(lambda k: 1 + k % 12, "1,960"))
    out = call(capsys, "data", "new", "open.csv")[1]
    assert "\n? numbers: '.' stands before" in out and "\n? time: day is read as %d/%m/%Y; every cell fits" in out
    assert "\n? outcome: stars, on the scale 1 to 5, is 1 from 4 on" in out
    assert "; slip (300 different words: an id or a name)" in out.replace("\n  ", " ")
    (work / "told.csv").write_text(log(lambda k: 1 + k % 28, "1,960.5"))
    out = call(capsys, "data", "new", "told.csv")[1]
    assert "\nnumbers: '.' stands before" in out and "\ntime: day is read as %d/%m/%Y\n" in out
    experiment(work)
    out = call(capsys, "data", "new", "ab.csv")[1]
    assert "\n? exposure: cell: 'A' is taken for not exposed, 'B' for exposed\n" in out
    code, _, err = call(capsys, "data", "new", "conf")
    assert code == 2 and "conf: is a folder" in err
    assert "there is no data set 'nope'; known: " in call(capsys, "data", "check", "nope")[2]
    assert call(capsys, "data", "fetch", "yahoo_r3")[0] == 2


def test_clicks_at_places_of_a_list_are_read_as_such(work: Path, capsys: Capture) -> None:
    rows = [f"v{k % 40},i{k % 25},{k % 2},{1 + k % 4}" for k in range(600)]
    (work / "log.csv").write_text("visitor,item,clicked,rank\n" + "\n".join(rows))
    check, train = next_commands(call(capsys, "data", "new", "log.csv")[1])
    assert {"objective=position_ips", "propensity=position"} <= set(train)
    assert call(capsys, *check)[0] == 0


def test_the_look_tells_encoding_quotes_numbers_and_dates(tmp_path: Path) -> None:
    rows = [f'"u{k % 9}";"say \\"hé\\" {k}";"1.{k:03d},50";"{1 + k % 28}.02.2020"' for k in range(300)]
    (tmp_path / "t.csv").write_bytes(("who;note;price;day\n" + "\n".join(rows)).encode("cp1252"))
    look = look_at(tmp_path / "t.csv")
    raw = look.raw
    assert (raw.encoding, raw.separator, raw.escape, raw.names) == ("cp1252", ";", "\\", None)
    assert (raw.numbers.decimal, raw.numbers.thousands) == (",", ".")
    assert [(c.name, c.holds, c.form) for c in look.columns] == [
        ("who", "words", None),
        ("note", "text", None),
        ("price", "number", None),
        ("day", "time", "%d.%m.%Y"),
    ]
    assert look.column("price").high == 1299.5 and look.rows == 300


def test_ids_without_names_are_known_by_their_repeats_and_parquet_is_looked_at(tmp_path: Path) -> None:
    frame = pl.DataFrame(
        {
            "s": [str(k % 60) for k in range(900)],
            "d": [k * 11 % 50 for k in range(900)],
            "y": [k % 5 + 1 for k in range(900)],
        }
    )
    frame.write_parquet(tmp_path / "t.parquet")
    guesses = guess_roles(look_at(tmp_path / "t.parquet"))
    assert guesses.columns == {"user": "s", "item": "d", "outcome": "y"} and guesses.scale == (1, 5)


def write_conf(work: Path, edges: list[str], **keys: Any) -> None:
    rows = [f"u{k % 30},i{k * 7 % 20},{1 + k % 5},{k * 7 % 20 % 6}" for k in range(600)]
    (work / "r.csv").write_text("user,item,rating,x1\n" + "\n".join(rows))
    dataset = {
        "_target_": "causalrec.data.datasets.csv.CsvTables",
        "name": "mine",
        "folder": ".",
        "interactions": "r.csv",
        "threshold": 4,
        "repeats": "keep_last",
        "items": {"columns": {"x1": "numeric"}},
        **keys,
    }
    graph = {"_target_": "causalrec.graph.causal_graph.CausalGraph", "edges": edges, "assume": True}
    for group, node in (("dataset", dataset), ("graph", graph)):
        (work / "conf" / group).mkdir(parents=True, exist_ok=True)
        (work / "conf" / group / "mine.yaml").write_text(yaml.safe_dump(node))


EDGES = ["user, item -> exposure, outcome", "x* -> outcome", "exposure -> outcome"]


def check(capsys: Capture, *overrides: str) -> tuple[int, list[str]]:
    code, _, err = call(capsys, "data", "check", "mine", "--config-dir", "conf", *overrides)
    return code, [line.removeprefix("causalrec: ") for line in err.splitlines()]


@pytest.mark.parametrize(
    ("edges", "keys", "message"),
    [
        (["z* -> outcome", "exposure -> outcome"], {}, "no column of mine is like 'z*'; it has x1"),
        (["age -> outcome", "exposure -> outcome"], {}, "unknown node 'age' for dataset mine"),
        (EDGES, {"item_text": {"x2": "{}"}}, "dataset.item_text.x2: no such item column"),
    ],
)
def test_check_judges_graph_and_texts_too(
    edges: list[str], keys: dict[str, Any], message: str, work: Path, capsys: Capture
) -> None:
    write_conf(work, edges, **keys)
    code, (*_, error, counts) = check(capsys)
    assert code == 2 and error.startswith("error: mine: ") and message in error
    assert counts.startswith("mine: 1 error, ")


def test_check_judges_the_split_and_the_levels(work: Path, capsys: Capture, monkeypatch: pytest.MonkeyPatch) -> None:
    write_conf(work, EDGES)
    assert check(capsys)[0] == 0
    _, (*_, warning, _) = check(capsys, "split=temporal")
    assert warning.startswith("warning: mine: split=temporal needs the time of each row")
    rows = [f"u{k},i{k % 20},{1 + k % 5},z{k}" for k in range(1500)]
    (work / "r.csv").write_text("user,item,rating,zip\n" + "\n".join(rows))
    edges = ["zip, item -> exposure, outcome", "exposure -> outcome"]
    (work / "r2.csv").write_text((work / "r.csv").read_text())
    write_conf(work, edges, items=None, users={"columns": {"zip": "category"}}, interactions="r2.csv")
    assert check(capsys)[0] == 0  # a level for each user
    monkeypatch.setattr(row_columns, "MOST_LEVELS", 1_000)
    code, errors = check(capsys)
    assert code == 2 and "column zip: 1,500 levels in 1,500 rows, at most 1,000 become numbers" in " ".join(errors)


def test_an_arm_that_no_training_row_has_is_told(work: Path, capsys: Capture) -> None:
    rows = [f"u{k % 20},{k % 20},{k},{2 if k >= 180 else k % 2},{k % 3}" for k in range(200)]
    (work / "r2.csv").write_text("user,item,time,t,y\n" + "\n".join(rows))
    keys: dict[str, Any] = {"interactions": "r2.csv", "outcome": "y", "kind": "reward", "threshold": None}
    keys |= {"time": "time", "exposure": "t", "feedback": "exposure_logged", "arms": ["a", "late"], "items": None}
    keys |= {"self_selected": False, "repeats": "allowed"}
    write_conf(work, ["user, item -> exposure, outcome", "exposure -> outcome"], **keys)
    _, err = check(capsys, "split=temporal", "split.cut=global")
    assert any("no training row has exposure 2 (late), as the test holds" in line for line in err), err


def test_cells_that_a_terminal_or_yaml_would_obey_are_written_out(work: Path, capsys: Capture) -> None:
    rows = [f'"\x1b[31mu{k // 30}","i{k % 30}\u202e",{1 + k % 5}' for k in range(600)]
    (work / "odd.csv").write_text("user,item,rating\n" + "\n".join(rows) + "\n", encoding="utf-8")
    assert call(capsys, "data", "new", "odd.csv")[0] == 0
    written = (work / "conf" / "dataset" / "odd.yaml").read_text(encoding="utf-8")
    assert "\\x1b[31mu0" in written and "\x1b" not in written and "\u202e" not in written
    assert yaml.safe_load(written)["user"] == "user"
    assert call(capsys, "data", "check", "odd", "--config-dir", "conf")[0] == 0


@pytest.mark.parametrize(
    "arguments", [["{secret}.csv"], ["{secret}.csv", "--name", "mine"], ["a.csv", "--name", "{secret}"]]
)
def test_no_file_is_named_by_a_secret(
    work: Path, capsys: Capture, monkeypatch: pytest.MonkeyPatch, arguments: list[str]
) -> None:
    secret = "ghp_0123456789abcdefghij"
    monkeypatch.setenv("GITHUB_TOKEN", secret)
    arguments = [word.format(secret=secret) for word in arguments]
    (work / arguments[0]).write_text(ratings(",", "user,item,rating,time\n"))
    code, out, err = call(capsys, "data", "new", *arguments)
    assert (code, out, err.count("\n")) == (2, "", 1) and "holds a secret of the environment" in err
    assert secret not in err and not (work / "conf").exists()


def test_a_cell_that_is_a_secret_is_written_neither_complete_nor_cut(
    work: Path, capsys: Capture, monkeypatch: pytest.MonkeyPatch
) -> None:
    secret = "ghp_0123456789abcdefghijklmnopqrstuvwxyzA"
    monkeypatch.setenv("GITHUB_TOKEN", secret)
    rows = "".join(f"{k % 20},{secret if k % 7 == 0 else f'item{k % 7}'},{1 + k % 5}\n" for k in range(200))
    (work / "ratings.csv").write_text("user,item,rating\n" + rows)
    code, out, err = call(capsys, "data", "new", "ratings.csv")
    written = "".join(path.read_text() for path in (work / "conf").rglob("*.yaml"))
    assert code == 0, err
    assert "redacted.." in written and secret[:12] not in written + out + err
