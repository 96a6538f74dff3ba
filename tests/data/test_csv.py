"""The csv data set: what the user's tables say is what the log says, and every problem has its file and line."""

from __future__ import annotations

import gzip
import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

from causalrec.cli import main
from causalrec.config.component import validate_component
from causalrec.data.datasets.csv import CsvTables
from causalrec.data.log import InteractionLog
from causalrec.data.tabular.table_config import EdgeTableConfig, EntityTableConfig
from causalrec.data.text import texts_of
from causalrec.errors import DataError, RequestError

EXAMPLES = Path(__file__).parents[2] / "examples" / "own_data"
RATINGS = [("b", "i9", 5), ("a", "i10", 1), ("b", "i10", 3), ("ü", "i9", 4)]
RATED = "user,item,rating\n" + "".join(f"{u},{i},{r}\n" for u, i, r in RATINGS)


def put(root: Path, name: str = "interactions.csv", text: str | bytes = RATED) -> Path:
    path = root / "csv" / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(text.encode() if isinstance(text, str) else text)
    return root


def raw_rows(log: InteractionLog, users: pl.DataFrame, items: pl.DataFrame) -> list[tuple[str, str, float]]:
    """The rows of a log in the raw ids."""
    assert log.user is not None
    who, what = users["user"].gather(log.user).to_list(), items["item"].gather(log.item).to_list()
    return list(zip(who, what, log.outcome.tolist(), strict=True))


def rows(root: Path, **keys: Any) -> list[tuple[str, str, float]]:
    data = CsvTables(threshold=None, **keys).load(root)
    return raw_rows(data.logged, data.user_table, data.item_table)


def problem_lines(root: Path, **keys: Any) -> list[str]:
    """The problems as `data check` prints them, the folder cut off."""
    return [str(p).replace(f"{root}/csv/", "") for p in CsvTables(threshold=None, **keys).problems(root)]


def test_the_rows_of_the_file_are_the_rows_of_the_log(tmp_path: Path) -> None:
    assert rows(put(tmp_path)) == RATINGS
    assert rows(tmp_path) == RATINGS, "opened again"
    for opened in (CsvTables(threshold=None).load(tmp_path), CsvTables(threshold=4).load(tmp_path)):
        assert opened.user_ids is not None and opened.item_ids is not None and opened.logged.user is not None
        assert opened.user_ids.gather(opened.logged.user).to_list() == [user for user, _, _ in RATINGS]
        assert opened.item_ids.gather(opened.logged.item).to_list() == [item for _, item, _ in RATINGS]
    assert CsvTables(threshold=4).load(tmp_path).logged.outcome.tolist() == [1, 0, 0, 1]


@pytest.mark.parametrize(
    ("name", "content", "keys"),
    [
        ("interactions.tsv", RATED.replace(",", "\t").encode(), {}),
        ("interactions.csv", RATED.replace(",", "|").encode(), {"separator": "|"}),
        ("interactions.csv", RATED.replace("\n", "\r\n").encode(), {}),
        ("interactions.csv", RATED.encode("utf-8-sig"), {}),
        ("interactions.csv", RATED.encode("latin-1"), {"encoding": "latin-1"}),
        ("interactions.csv", RATED.encode("utf-16"), {"encoding": "utf-16"}),
        ("interactions.csv.gz", gzip.compress(RATED.encode("cp1252"), mtime=0), {"encoding": "cp1252"}),
        ("interactions.csv", RATED.split("\n", 1)[1].encode(), {"names": ["user", "item", "rating"]}),
    ],
)
def test_any_delimited_text_gives_the_same_log(tmp_path: Path, name: str, content: bytes, keys: dict[str, Any]) -> None:
    assert rows(put(tmp_path, name, content), interactions=name, **keys) == RATINGS


@pytest.mark.parametrize("name", ["r.jsonl", "r.jsonl.gz", "r.parquet"])
def test_json_lines_and_parquet_give_the_same_log(tmp_path: Path, name: str) -> None:
    frame = pl.DataFrame(RATINGS, schema=["user", "item", "rating"], orient="row")
    text = "\n".join(json.dumps(row) for row in frame.to_dicts()).encode()
    put(tmp_path, name, gzip.compress(text, mtime=0) if name.endswith(".gz") else text)
    if name.endswith(".parquet"):
        frame.write_parquet(tmp_path / "csv" / name)
    assert rows(tmp_path, interactions=name) == RATINGS


def test_every_column_reaches_its_place(tmp_path: Path) -> None:
    head = "user,item,rating,when,place,shown,chance,random"
    lines = ["u1,7,,1500.5,3,0,0.25,false", "u1,12,2,1600000,1,1,0.5,true", "u2,7,4,2000,2,2,1,0"]
    put(tmp_path, text="\n".join([head, *lines]))
    columns = {"time": "when", "position": "place", "exposure": "shown", "propensity": "chance"}
    data = CsvTables(threshold=3, time_unit="ms", randomised_flag="random", **columns).load(tmp_path)
    logged, random = data.logged, data.randomised
    assert logged.time is not None and logged.position is not None and logged.propensity is not None
    assert (logged.time.tolist(), logged.position.tolist(), logged.treatment.tolist()) == ([1, 2], [3, 2], [0, 2])
    np.testing.assert_array_equal(logged.outcome, [np.nan, 1])
    assert (logged.propensity.tolist(), data.item_table["item"].to_list()) == ([0.25, 1.0], ["7", "12"])
    assert random is not None and random.time is not None
    assert (random.item.tolist(), random.time.tolist(), random.outcome.tolist()) == ([1], [1600], [0])
    assert data.card.randomised and data.card.logged_propensity


def test_columns_of_a_row_are_numbers_and_categories(tmp_path: Path) -> None:
    head, kinds = "user,item,rating,hour,store/week,random", {"hour": "numeric", "store/week": "category"}
    lines = ["u1,7,1,1.5,b-2,0", "u1,12,2,23,a-10,1", "u2,7,4,-1e2,b-2,0", "u2,12,4,0,c,1"]
    put(tmp_path, text="\n".join([head, *lines]))
    for _ in ("read", "opened again"):
        data = CsvTables(threshold=None, randomised_flag="random", row_columns=kinds).load(tmp_path)  # type: ignore[arg-type]
        assert data.randomised is not None
        assert [(c.name, c.entity, c.kind) for c in data.card.row_columns] == [
            ("hour", "row", "numeric"),
            ("store/week", "row", "category"),
        ]
        assert data.logged.columns["hour"].tolist() == [1.5, -100]
        assert data.logged.columns["store/week"].tolist() == ["b-2", "b-2"]
        assert data.randomised.columns["hour"].tolist() == [23, 0]
        assert data.randomised.columns["store/week"].tolist() == ["a-10", "c"]


def test_a_gap_in_a_column_of_a_row_is_named_with_file_and_line(tmp_path: Path) -> None:
    put(tmp_path, text="user,item,rating,hour,store\na,x,1,5,s\na,y,2,soon,s\nb,x,3,,s\nb,y,3,inf,\n")
    kinds = {"hour": "numeric", "store": "category"}
    assert problem_lines(tmp_path, row_columns=kinds) == [
        "interactions.csv: line 3: hour: 'soon' is not a finite number",
        "interactions.csv: line 4: hour: nothing is not a finite number; set dataset.fill: {hour: mean} "
        "(or median, indicator, drop, a number)",
        "interactions.csv: line 5: hour: 'inf' is not a finite number",
        "interactions.csv: line 5: store: no category; set dataset.fill: {store: unknown} (or drop)",
    ]
    with pytest.raises(DataError, match=r"interactions\.csv: line 3: hour: 'soon' is not a finite number"):
        CsvTables(threshold=None, row_columns=kinds).load(tmp_path)  # type: ignore[arg-type]
    wrong = problem_lines(tmp_path, row_columns={"hours": "numeric"})
    assert wrong[0].startswith("interactions.csv: line 1: hours: no such column; did you mean 'hour'?")
    with pytest.raises(RequestError, match="'user' is taken twice"):
        CsvTables(threshold=None, row_columns={"user": "category"})


def test_a_file_of_random_rows_shares_the_ids_of_the_log(tmp_path: Path) -> None:
    put(put(tmp_path), "random.csv", "user,item,rating\na,i8,2\nb,i9,4\n")
    data = CsvTables(threshold=None, randomised_interactions="random.csv").load(tmp_path)
    assert data.randomised is not None
    assert raw_rows(data.randomised, data.user_table, data.item_table) == [("a", "i8", 2), ("b", "i9", 4)]
    assert raw_rows(data.logged, data.user_table, data.item_table) == RATINGS


def test_userless_logs_and_positive_only_logs(tmp_path: Path) -> None:
    put(tmp_path, text="item,click\nx,1\nx,0\ny,true\n")
    data = CsvTables(threshold=None, user=None, outcome="click", kind="click").load(tmp_path)
    assert (data.logged.user, data.logged.item.tolist(), data.logged.outcome.tolist()) == (None, [0, 0, 1], [1, 0, 1])
    put(tmp_path, text="user,item\na,x\nb,y\n")
    bare = CsvTables(threshold=None, outcome=None, kind="click", feedback="positive_only").load(tmp_path)
    assert bare.logged.outcome.tolist() == [1, 1]


def test_times_that_are_places_do_not_compare_between_users(tmp_path: Path) -> None:
    put(tmp_path, text="user,item,rating,at\na,x,1,0\na,y,1,1\nb,y,1,last\n")
    assert problem_lines(tmp_path, time="at", time_unit="place") == [
        "interactions.csv: line 4: at: 'last' is not a place in order"
    ]
    put(tmp_path, text="user,item,rating,at\na,x,1,0\na,y,1,1\n")
    with pytest.raises(
        RequestError, match=r"dataset\.time_unit=place: is a place in a user's sequence; name the users"
    ):
        CsvTables(threshold=None, time="at", time_unit="place", user=None)
    tables = CsvTables(threshold=None, time="at", time_unit="place")
    assert tables.load(tmp_path).logged.time.tolist() == [0, 1] and not tables.card.times_compare  # type: ignore[union-attr]


def test_iso_times_are_seconds(tmp_path: Path) -> None:
    put(tmp_path, text="user,item,rating,at\na,x,1,1970-01-02\na,y,1,1970-01-01T00:01:40Z\nb,y,1,yesterday\n")
    assert problem_lines(tmp_path, time="at", time_unit="iso") == [
        "interactions.csv: line 4: at: 'yesterday' is not a time in iso"
    ]
    put(tmp_path, text="user,item,rating,at\na,x,1,1970-01-02\na,y,1,1970-01-01T00:01:40Z\n")
    time = CsvTables(threshold=None, time="at", time_unit="iso").load(tmp_path).logged.time
    assert time is not None and time.tolist() == [86400, 100]


def test_tables_give_ids_their_order_and_columns_their_kinds(tmp_path: Path) -> None:
    put(put(tmp_path), "people.csv", "id,age\nü,30\nb,20.5\na,40\nzoe,1\n")
    put(tmp_path, "films.jsonl", '{"id":"i10","t":"Up, \\"a\\"","g":["x","y"]}\n{"id":"i9","t":"So","g":[]}\n')
    films = EntityTableConfig(file="films.jsonl", id="id", columns={"t": "text", "g": "multi_hot"})
    data = CsvTables(
        threshold=None, users=EntityTableConfig(file="people.csv", id="id", columns={"age": "numeric"}), items=films,
        item_text={"t": "{}:", "g": "{}"},
    ).load(tmp_path)  # fmt: skip
    assert data.user_table.rows() == [("ü", 30), ("b", 20.5), ("a", 40), ("zoe", 1)]
    assert data.logged.user is not None and data.logged.user.tolist() == [1, 2, 1, 0]
    assert data.item_table["g"].to_list() == [["x", "y"], []]
    assert texts_of(data.item_table, {"t": "{}:", "g": "{}"}, ["t", "g"]) == ('Up, "a": x, y', "So:")
    assert [(c.name, c.entity, c.kind) for c in data.card.columns][2:] == [
        ("age", "user", "numeric"), ("t", "item", "text"), ("g", "item", "multi_hot")]  # fmt: skip


def test_the_pair_column_counts_the_trusted_users_who_met_the_item(tmp_path: Path) -> None:
    put(put(tmp_path), "trust.csv", "user,trusted,w\na,b,2\na,ü,3\nb,b,9\nb,nobody,1\na,b,2\n")
    data = CsvTables(threshold=None, edges=EdgeTableConfig(file="trust.csv", weight="w")).load(tmp_path)
    ids = {name: k for k, name in enumerate(data.user_table["user"])}
    items = {name: k for k, name in enumerate(data.item_table["item"])}
    counts = data.pair_features["trusted_count"]
    met = counts(np.array([ids["a"], ids["a"], ids["b"]]), np.array([items["i9"], items["i10"], items["i9"]]))
    assert met.tolist() == [5, 2, 0]
    assert problem_lines(tmp_path, edges=EdgeTableConfig(file="trust.csv", weight="w")) == [
        "trust.csv: line 5: trusted: 'nobody' is not a known user; the edge is left out",
        "trust.csv: line 6: user: the edge stands in an earlier row already; left out",
    ]


CASES: list[tuple[str, dict[str, Any], list[str]]] = [
    ("user;item;rating\na;x;1\n", {}, ["line 1: one column 'user;item;rating': the separator looks like ';'.*"]),
    ("usr,item,rating\na,x,1\n", {}, ["line 1: user: no such column; did you mean 'usr'.*"]),
    (RATED, {"item": "film"}, [r"line 1: film: no such column; did you mean 'item'\? \(known: item, rating, user\)"]),
    ('user,item,rating\n"a\nb",x,1\nc,x,9\n', {}, [
        r"line 4: rating: '9' is outside the scale 1\.\.5; set dataset\.scale: \[1, 9\] if the file is right"]),
    ("user,item,rating\na,x,nan\nb,x,\nc,x,good\n", {}, [
        "line 2: rating: 'nan' is not a finite number; set dataset.fill: .*",
        r"line 3: rating: nothing is not a finite number; set dataset\.fill: \{rating: drop\} \(or a number\)",
        "line 4: rating: 'good' is not a finite number"]),
    ("user,item,rating\na,x,1\n,x,2\nb,,3\n", {}, ["line 3: user: no id", "line 4: item: no id"]),
    ("user,item,rating\na,x,1\nb,x,1\na,x,2\n", {}, ["line 2: a later row has the same user and item.*"]),
    ("user,item,rating\n1,x,1\n2,x,1\nb,x,2\n", {}, ["line 4: user: mixed ids: 'b' is a word, most are whole numbers"]),
    ("user,item,rating\n1,x,1\n2.0,x,1\nNaN,x,2\n", {}, [
        "line 4: user: the id 'NaN' reads like a missing value",
        "line 3: user: the id '2.0' is a whole number written with decimals"]),
    ("user,item,rating\na,x,1\nb,x,2,7\nc,x\n", {}, [
        "line 3: has 4 fields, expected 3; quote a field that holds ','", "line 4: has 2 fields, expected 3.*"]),
    ('user,item,rating\na,x,1\nb,"x,2\n', {}, ["line 3: a \" that is never closed.*"]),
    ("user,item,w\na,x,-0.5\nb,x,99\nc,x,2\n", {"outcome": "w", "kind": "watch_ratio"}, [
        r"line 2: w: '-0\.5' is outside the scale 0\.\.10; .*", r"line 3: w: '99' is outside the scale 0\.\.10; .*"]),
    ("user,item,n\na,x,-1\nb,x,1e9\n", {"outcome": "n", "kind": "count"}, [
        r"line 2: n: '-1' is outside the scale 0\.\.1e\+06; .*", r"line 3: n: '1e9' is outside.*"]),
    ("user,item,rating,p\na,x,1,0\nb,x,1,1.5\nc,x,1,0.5\nd,x,1,\n", {"propensity": "p"}, [
        r"line 2: p: propensity '0' is outside \(0, 1\]", r"line 3: p: propensity '1\.5' .*", "line 5: p: .*"]),
    ("user,item,rating,f\na,x,1,2\nb,x,1,1\nc,x,1,\n", {"randomised_flag": "f"}, [
        "line 2: f: the flag '2' is neither 0 nor 1", "line 4: f: the flag nothing is neither 0 nor 1"]),
    ("user,item,rating,e\na,x,,1\nb,x,,0\nc,x,1,-1\n", {"exposure": "e"}, [
        "line 2: rating: nothing is not a finite number; .*", "line 4: e: '-1' is not an exposure.*"]),
    ("user,item,rating\na,x,1\n\nb,x,9\n", {}, ["line 3: a blank row; remove it", "line 4: rating: '9' is outside.*"]),
    ("user,item,rating\n", {}, ["has no rows"]),
]  # fmt: skip


@pytest.mark.parametrize(("text", "keys", "expected"), CASES)
def test_every_problem_is_named_with_its_line(
    tmp_path: Path, text: str, keys: dict[str, Any], expected: list[str]
) -> None:
    problems = problem_lines(put(tmp_path, text=text), **keys)
    assert len(problems) == len(expected), problems
    for line, pattern in zip(problems, expected, strict=True):
        assert re.fullmatch(r"interactions\.csv: " + pattern, line), line


def test_all_files_are_judged_in_one_go_and_load_names_the_first(tmp_path: Path) -> None:
    put(put(tmp_path, text=RATED + "b,i11,7\n"), "people.csv", "id,age\na,old\nb,3\nb,4\n")
    keys: dict[str, Any] = {"users": EntityTableConfig(file="people.csv", id="id", columns={"age": "numeric"})}
    keys |= {"items": EntityTableConfig(file="films.csv", id="id"), "edges": EdgeTableConfig(file="trust.csv")}
    assert problem_lines(tmp_path, **keys) == [
        "people.csv: line 4: id: the id 'b' stands in an earlier row already",
        "people.csv: line 2: age: 'old' is not a finite number",
        "films.csv: there is no such file; name it in the YAML",
        "interactions.csv: line 6: rating: '7' is outside the scale 1..5; set dataset.scale: [1, 7] "
        "if the file is right",
        "interactions.csv: line 5: user: 'ü' is not in the table of users; add it there, or set "
        "dataset.fill: {user: drop}",
        "trust.csv: there is no such file; name it in the YAML",
    ]
    with pytest.raises(DataError, match=r"people\.csv: line 4: .* \(the first of 6; `causalrec data check csv`"):
        CsvTables(threshold=None, **keys).load(tmp_path)


def test_the_first_twenty_rows_of_a_kind_are_listed_and_all_are_counted(tmp_path: Path) -> None:
    problems = problem_lines(put(tmp_path, text="user,item,rating\n" + "".join(f"u{k},x,9\n" for k in range(50))))
    assert [line.split(":")[1] for line in problems[:20]] == [f" line {k}" for k in range(2, 22)]
    more = "a value is outside the scale 1..5; set dataset.scale: [1, 9] if the file is right"
    assert problems[20:] == [f"interactions.csv: rating: 30 more rows: {more} (50 in all)"]


@pytest.mark.parametrize(
    ("content", "line", "wanted"),
    [(RATED.encode("latin-1"), 5, "latin-1 or cp1252"), (RATED.encode("utf-16"), 1, "utf-16")],
)
def test_another_encoding_is_found_at_its_line(tmp_path: Path, content: bytes, line: int, wanted: str) -> None:
    first = problem_lines(put(tmp_path, text=content))[0]
    assert re.match(rf"interactions\.csv: line {line}: not utf-8 text \(byte 0x..\); set encoding={wanted}", first), (
        first
    )


def test_broken_and_mixed_json_lines_are_named(tmp_path: Path) -> None:
    good = '{"user":1,"item":"x","rating":1}\n{"user":2,"item":"x","rating":1}\n\n'
    put(tmp_path, "r.jsonl", good + '{"user":"1","item":"y","rating":1}\n')
    assert problem_lines(tmp_path, interactions="r.jsonl") == [
        "r.jsonl: line 4: user: mixed ids: '1' is of another JSON type than most"]  # fmt: skip
    put(tmp_path, "r.jsonl", good + '{"user":\n')
    assert [line.split(" (")[0] for line in problem_lines(tmp_path, interactions="r.jsonl")] == [
        "r.jsonl: line 4: not a JSON object"]  # fmt: skip


def test_a_flag_that_follows_popularity_is_a_warning_and_a_random_one_is_not(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    share = np.arange(1, 41) / np.arange(1, 41).sum()

    def log(random: Any) -> str:
        interactions = [(u, rng.choice(40, p=share), 0) for u in range(400) for _ in range(4)]
        interactions += [(u, i, 1) for u, i in enumerate(random)]
        return "user,item,rating,f\n" + "".join(f"{u},{i},3,{f}\n" for u, i, f in interactions)

    keys: dict[str, Any] = {"randomised_flag": "f", "repeats": "allowed"}
    assert problem_lines(put(tmp_path, text=log(rng.integers(40, size=400))), **keys) == []
    (warned,) = problem_lines(put(tmp_path, text=log(rng.choice(40, p=share, size=400))), **keys)
    assert "f: the randomised rows follow the popularity of items" in warned
    assert CsvTables(threshold=None, **keys).load(tmp_path).randomised is not None, "a warning stops nothing"


def test_repeats_are_kept_last_or_allowed_where_the_yaml_says_so(tmp_path: Path) -> None:
    put(tmp_path, text="user,item,rating\na,x,1\nb,x,2\na,x,3\n")
    assert rows(tmp_path, repeats="keep_last") == [("b", "x", 2), ("a", "x", 3)]
    assert rows(tmp_path, repeats="allowed") == [("a", "x", 1), ("b", "x", 2), ("a", "x", 3)]


@pytest.mark.parametrize(
    ("node", "message"),
    [
        ({}, "dataset.threshold: is mandatory"),
        ({"threshold": 4, "usr": "x"}, "dataset.usr: unknown key; did you mean 'user'"),
        ({"threshold": 4, "separator": "::::"}, r"dataset.separator='::::'"),
        ({"threshold": 4, "items": {"file": "a", "id": "b", "column": {}}}, "dataset.items.column"),
        ({"threshold": 4, "items": {"file": "a", "id": "b", "columns": {"c": "words"}}}, "dataset.items.columns.c"),
    ],
)
def test_yaml_keys_are_checked_before_any_file_is_read(node: dict[str, Any], message: str) -> None:
    with pytest.raises(RequestError, match=message):
        validate_component("dataset", {"_target_": "causalrec.data.datasets.csv.CsvTables", **node})


def test_contradictory_keys_are_refused() -> None:
    both = {"age": "numeric"}
    with pytest.raises(RequestError, match="'age' is taken twice"):
        CsvTables(
            threshold=4,
            users=EntityTableConfig(file="u", id="i", columns=both),
            items=EntityTableConfig(file="i", id="i", columns=both),
        )
    with pytest.raises(RequestError, match="not both"):
        CsvTables(threshold=4, randomised_flag="f", randomised_interactions="r.csv")


@pytest.mark.slow
@pytest.mark.parametrize(("name", "column"), [("trust", "trusted_visits"), ("reviews", "price")])
def test_the_examples_train_from_yaml_alone(
    name: str, column: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(EXAMPLES.parents[1])
    monkeypatch.setenv("CAUSALREC_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("CAUSALREC_DATA", str(tmp_path / "data"))
    chosen = [
        f"dataset={name}",
        "trainer=smoke",
        "selection.folds=1",
        "trainer.progress=false",
        "logger=none",
        f"paths.runs={tmp_path}/runs",
    ]
    assert main(["train", "--config-dir", str(EXAMPLES / name / "conf"), *chosen]) == 0
    (record,) = [json.loads(path.read_text()) for path in tmp_path.rglob("record.json")]
    assert record["status"] == "done" and record["data"]["name"] == name
    assert column in record["adjustment"]["propensity_view"]
    assert not list((EXAMPLES / name).rglob(".causalrec")), "a user's own folder is left as it is"


@pytest.mark.parametrize("name", ["ratings[1].csv", "ratings*.csv", "ratings[1].jsonl", "ratings[1].parquet"])
def test_brackets_in_a_name_are_no_pattern(tmp_path: Path, name: str) -> None:
    frame = pl.DataFrame({"user": ["u", "v"], "item": ["i", "j"], "rating": ["4", "2"]})
    other = frame.with_columns(user=pl.lit("old")).head(1)
    for table, file in ((frame, name), (other, name.replace("[1]", "1").replace("*", "1"))):
        path = tmp_path / "a[b]" / file
        path.parent.mkdir(exist_ok=True)
        if name.endswith("csv"):
            path.write_text(table.write_csv())
        elif name.endswith("jsonl"):
            path.write_text(table.write_ndjson())
        else:
            table.write_parquet(path.open("wb"))
    data = CsvTables(threshold=None, folder=str(tmp_path / "a[b]"), interactions=name).load(tmp_path)
    assert raw_rows(data.logged, data.user_table, data.item_table) == [("u", "i", 4.0), ("v", "j", 2.0)]


def test_the_last_of_repeats_is_the_latest_where_there_are_times(tmp_path: Path) -> None:
    put(tmp_path, text="user,item,rating,time\nu,i,5,2000\nu,j,4,1500\nu,i,1,1000\n")
    assert rows(tmp_path, time="time", repeats="keep_last") == [("u", "i", 5.0), ("u", "j", 4.0)]
    assert rows(tmp_path, repeats="keep_last") == [("u", "j", 4.0), ("u", "i", 1.0)]


def test_elements_of_a_list_are_its_elements(tmp_path: Path) -> None:
    put(tmp_path, text="user,item,rating\nu,i,5\nu,j,4\nu,k,3\n")
    items = ['{"item": "i", "tags": ["Children, Family", "Drama"]}', '{"item": "j", "tags": "[\'a b\', \'c\']"}']
    put(tmp_path, "items.jsonl", "\n".join([*items, '{"item": "k", "tags": "x| y"}']))
    tables = EntityTableConfig(file="items.jsonl", id="item", columns={"tags": "multi_hot"})
    table = CsvTables(threshold=None, items=tables).load(tmp_path).item_table
    assert table["tags"].to_list() == [["Children, Family", "Drama"], ["a b", "c"], ["x", "y"]]


def test_a_click_is_zero_or_one(tmp_path: Path) -> None:
    put(tmp_path, text="user,item,click\nu,i,1\nu,j,0.67\n")
    (line,) = problem_lines(tmp_path, outcome="click", kind="click")
    assert line.startswith("interactions.csv: line 3: click: '0.67' is no click: 0 or 1")
    assert CsvTables(threshold=0.5, outcome="click", kind="click").load(tmp_path).logged.outcome.tolist() == [1.0, 1.0]


@pytest.mark.parametrize(("threshold", "label"), [(6.0, 0), (1.0, 1), (0.5, 1)])
def test_a_threshold_outside_the_scale_is_refused(threshold: float, label: int) -> None:
    message = f"dataset.threshold={threshold:g}: outside the scale 1..5 .* is {label}; choose"
    with pytest.raises(RequestError, match=message):
        CsvTables(threshold=threshold)


def test_a_ragged_row_and_a_stray_quote_are_named(tmp_path: Path) -> None:
    put(tmp_path, text='user,item,note,rating\nu,i,3,1,5\nu,j,a 5" screen,3\n')
    first, second = problem_lines(tmp_path)
    assert first.startswith("interactions.csv: line 2: has 5 fields, expected 4")
    assert second.startswith('interactions.csv: line 3: a " inside a field')
