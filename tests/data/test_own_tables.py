"""Tables as people have them: separators, numbers, dates and gaps, people instead of pairs, columns in the log."""

from __future__ import annotations

import gzip
import json
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

from causalrec.data.arm_probabilities import randomised_probabilities
from causalrec.data.datasets.csv import CsvTables
from causalrec.data.row_levels import row_levels
from causalrec.data.tabular.table_config import EntityTableConfig
from causalrec.errors import DataError, RequestError

NAME = "interactions.csv"


def put(root: Path, text: str | bytes, name: str = NAME) -> Path:
    path = root / "csv" / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(text.encode() if isinstance(text, str) else text)
    return root


def tables(**keys: Any) -> CsvTables:
    return CsvTables(**{"threshold": None, **keys})


def rows(root: Path, **keys: Any) -> list[tuple[str, str, float]]:
    data = tables(**keys).load(root)
    assert data.logged.user is not None
    who, what = data.user_table["user"].gather(data.logged.user), data.item_table["item"].gather(data.logged.item)
    return list(zip(who, what, data.logged.outcome.tolist(), strict=True))


def lines(root: Path, **keys: Any) -> list[str]:
    return [str(problem).replace(f"{root}/csv/", "") for problem in tables(**keys).problems(root)]


PLAIN = [("a", "x::y", 5.0), ("b", 'say "z"', 3.0)]


@pytest.mark.parametrize(
    ("text", "keys"),
    [
        ('user::item::rating\na::"x::y"::5\nb::"say ""z"""::3\n', {"separator": "::"}),
        ('user;item;rating\n"a";"x::y";"5"\n"b";"say \\"z\\"";3\n', {"separator": ";", "escape": "\\"}),
        ('user,item,rating\ra,x::y,5\rb,"say ""z""",3\r', {}),
    ],
)
def test_separators_of_several_characters_escaped_quotes_and_lines_ended_by_cr(
    tmp_path: Path, text: str, keys: dict[str, Any]
) -> None:
    assert rows(put(tmp_path, text), **keys) == PLAIN
    assert (
        rows(put(tmp_path, gzip.compress(text.encode(), mtime=0), "r.csv.gz"), interactions="r.csv.gz", **keys) == PLAIN
    )


def test_a_field_too_many_is_named_under_a_separator_of_two_characters(tmp_path: Path) -> None:
    put(tmp_path, "user::item::rating\na::x::5\nb::y::3::7\n")
    assert lines(tmp_path, separator="::") == [
        f"{NAME}: line 3: has 4 fields, expected 3; quote a field that holds '::'"
    ]
    assert lines(tmp_path) == [
        f"{NAME}: line 1: one column 'user::item::rating': the separator looks like '::'; set separator='::'"
    ]
    put(tmp_path, "a::x::5\n")
    assert lines(tmp_path, separator="::", names=["user", "item"]) == [
        f"{NAME}: line 1: has 3 fields, names has 2; name each column in `names`, in order"
    ]


@pytest.mark.parametrize("array", [False, True])
def test_json_may_begin_with_a_mark_be_an_array_and_have_late_keys(tmp_path: Path, array: bool) -> None:
    objects = [{"user": f"u{k}", "item": "x", "rating": 1 + k % 5} for k in range(1005)]
    text = json.dumps(objects) if array else "\n".join(map(json.dumps, objects))
    put(tmp_path, text.encode("utf-8-sig"), "r.json")
    put(tmp_path, '{"id":"x","note":"<p>Tom &amp; <b>Jo</b></p>"}\n', "i.json")
    items = EntityTableConfig(file="i.json", id="id", columns={"note": "text(html)"})
    data = tables(interactions="r.json", items=items).load(tmp_path)
    assert len(data.logged) == 1005 and data.item_table["note"].to_list() == ["Tom & Jo"]
    put(
        tmp_path, "\n".join([json.dumps({"id": f"i{k}"}) for k in range(1100)] + ['{"id":"x","note":"late"}']), "i.json"
    )
    assert tables(interactions="r.json", items=items).load(tmp_path).item_table["note"].to_list()[-1] == "late"


@pytest.mark.parametrize(
    ("start", "message"),
    [
        (b"\x1f\x8b\x08", f"{NAME}: this is a gzip file; name it {NAME}.gz"),
        (b"PAR1", f"{NAME}: this is a Parquet file; name it interactions.parquet"),
        (b"PK\x03\x04", f"{NAME}: this is a zip archive or an Excel workbook; unpack it, or save the sheet as CSV"),
        ("user,item,ratingü\n".encode("latin-1"), "not utf-8 text (byte 0xfc)"),
    ],
)
def test_a_file_of_another_format_is_told_once_without_its_bytes(tmp_path: Path, start: bytes, message: str) -> None:
    (line,) = lines(put(tmp_path, start + b"\xff\xfe\x00rest\n"))
    assert message in line and line.isprintable()


def test_nested_ids_are_refused_and_spaced_ones_are_warned_of(tmp_path: Path) -> None:
    put(tmp_path, '{"user":{"id":1},"item":"x","rating":1}\n{"user":"{a}","item":"y","rating":1}\n', "r.jsonl")
    (line,) = lines(tmp_path, interactions="r.jsonl")
    assert line == "r.jsonl: line 1: user: the id {'id': 1} is an object or a list; write the id itself there"
    put(tmp_path, "user,item,rating\nu1,x,1\nu1 ,x,2\n")
    (line,) = lines(tmp_path)
    assert line.startswith(f"{NAME}: line 3: user: the id 'u1 ' has spaces around it")
    assert rows(tmp_path) == [("u1", "x", 1.0), ("u1 ", "x", 2.0)], "kept as they are"


def test_numbers_are_read_as_declared_and_a_mend_is_named_else(tmp_path: Path) -> None:
    put(tmp_path, 'user,item,rating\na,x,"$1,234.50"\nb,x,-7\nc,x,USD 3\n')
    keys: dict[str, Any] = {"kind": "reward"}
    assert [row[2] for row in rows(tmp_path, thousands=",", **keys)] == [1234.5, -7, 3]
    assert "set dataset.thousands: ','" in lines(tmp_path, **keys)[0]
    put(tmp_path, "user;item;rating\na;x;1.234,5\nb;x;2,5 €\nc;x;1.5\n")
    semicolon = {"separator": ";", **keys}
    wrong = lines(tmp_path, decimal=",", thousands=".", **semicolon)
    assert wrong == [f"{NAME}: line 4: rating: '1.5' is not a finite number"], "never 15"
    assert lines(tmp_path, **semicolon)[1].endswith("set dataset.decimal: ','")
    with pytest.raises(RequestError, match=r"dataset\.thousands='\.': is dataset\.decimal too"):
        tables(thousands=".")


@pytest.mark.parametrize(
    ("cells", "keys"),
    [
        (["01/02/1970", "03/01/1970"], {"time_format": "%d/%m/%Y"}),
        (["Feb 1, 1970", "Jan 3, 1970"], {"time_format": "%b %d, %Y"}),
        (["1970-02-01T02:00:00+02:00", "1970-01-02 19:00:00-0500"], {"time_unit": "iso"}),
        (["1970-02-01T00:00:00.5Z", "1970-01-03"], {"time_unit": "iso"}),
    ],
)
def test_dates_of_any_form_are_seconds(tmp_path: Path, cells: list[str], keys: dict[str, Any]) -> None:
    put(tmp_path, "user|item|rating|at\n" + "".join(f"u{k}|x|1|{cell}\n" for k, cell in enumerate(cells)))
    time = tables(separator="|", time="at", **keys).load(tmp_path).logged.time
    assert time is not None and time.tolist() == [31 * 86400, 2 * 86400]
    mend = "set dataset.time_unit: iso" if "1970-" in cells[0] else "set dataset.time_format"
    assert mend in lines(tmp_path, separator="|", time="at")[0]


def test_several_files_are_one_log_and_a_problem_names_its_file(tmp_path: Path) -> None:
    put(put(tmp_path, "user,item,rating\na,x,1\nb,x,2\n"), "user,item,rating\nc,x,3\na,x,4\n", "more.csv")
    files = {"interactions": [NAME, "more.csv"]}
    assert rows(tmp_path, repeats="keep_last", **files) == [("b", "x", 2), ("c", "x", 3), ("a", "x", 4)]
    assert lines(tmp_path, **files)[0].startswith(f"{NAME}: line 2: a later row has the same user and item")
    put(tmp_path, "user,item,rating\nc,x,9\n", "more.csv")
    assert lines(tmp_path, **files)[0].startswith("more.csv: line 2: rating: '9' is outside the scale 1..5")


def test_missing_cells_are_filled_marked_or_dropped_as_declared(tmp_path: Path) -> None:
    put(tmp_path, "user,item,rating,hour,shop\na,x,1,2,s\na,y,,4,s\nb,x,3,NA,\nb,y,5,6,t\n")
    put(tmp_path, "who,age,income,town\na,,10,\nb,30,?,rome\nc,50,30,\n", "people.csv")
    people = EntityTableConfig(
        file="people.csv", id="who", columns={"age": "numeric", "income": "numeric", "town": "category"}
    )
    keys: dict[str, Any] = {"users": people, "row_columns": {"hour": "numeric", "shop": "category"}}
    fill = {"rating": "drop", "hour": "indicator", "shop": "other", "age": "median", "income": -1, "town": "unknown"}
    assert [line.partition("; ")[2] for line in lines(tmp_path, **keys)][:2] == [
        "set dataset.fill: {age: mean} (or median, indicator, drop, a number)",
        "set dataset.fill: {income: mean} (or median, indicator, drop, a number)",
    ]
    for _ in ("read", "opened again"):
        data = tables(fill=fill, **keys).load(tmp_path)
        assert data.user_table.rows() == [("a", 40, 10, "unknown"), ("b", 30, -1, "rome"), ("c", 50, 30, "unknown")]
        assert data.logged.outcome.tolist() == [1, 3, 5]
        columns = {name: values.tolist() for name, values in data.logged.columns.items()}
        assert columns == {"hour": [2, 4, 6], "hour_missing": [0, 1, 0], "shop": ["s", "other", "t"]}
        assert [c.name for c in data.card.row_columns] == ["hour", "shop", "hour_missing"]
    assert lines(tmp_path, fill=fill, **keys) == [
        f"{NAME}: 1 of 4 rows is dropped, as a cell is missing or its table lacks the id (dataset.fill: rating)"
    ]


@pytest.mark.parametrize(
    ("fill", "message"),
    [
        ({"hours": 0}, r"dataset\.fill\.hours: no such column; did you mean 'hour'"),
        ({"hour": "often"}, r"give a number, or one of mean, median, indicator, drop"),
        ({"shop": "mean"}, "is for numbers"),
        ({"rating": "mean"}, "give drop"),
    ],
)
def test_a_fill_that_cannot_be_is_refused(fill: dict[str, Any], message: str) -> None:
    with pytest.raises(RequestError, match=message):
        tables(fill=fill, row_columns={"hour": "numeric", "shop": "category"})


def test_rows_of_ids_that_a_table_lacks_can_be_dropped(tmp_path: Path) -> None:
    put(put(tmp_path, "user,item,rating\na,x,1\na,y,2\n"), "id,t\nx,X\n", "items.csv")
    items = EntityTableConfig(file="items.csv", id="id", columns={"t": "text"})
    assert (
        "'y' is not in the table of items; add it there, or set dataset.fill: {item: drop}"
        in lines(tmp_path, items=items)[0]
    )
    assert rows(tmp_path, items=items, fill={"item": "drop"}) == [("a", "x", 1.0)]


def test_rows_that_leave_are_warned_of_and_stand_with_every_result(tmp_path: Path) -> None:
    put(tmp_path, "user,item,rating\na,x,1\na,x,2\na,y,\nb,y,4\na,x,3\n")
    keys: dict[str, Any] = {"repeats": "keep_last", "fill": {"rating": "drop"}}
    gap, repeat = (
        "1 of 5 rows is dropped, as a cell is missing or its table lacks the id (dataset.fill: rating)",
        "2 of 5 rows are left out, as another row of the same user and item is kept (dataset.repeats=keep_last)",
    )
    assert lines(tmp_path, **keys) == [f"{NAME}: {gap}", f"{NAME}: {repeat}"]
    for _ in range(2):  # built, then opened
        assert tables(**keys).load(tmp_path).card.caveat == f"{gap}; {repeat}"
    put(tmp_path, "user,item,rating\na,x,1\n")
    assert tables(**keys).load(tmp_path).card.caveat is None


def test_the_core_leaves_ids_without_a_gap_and_takes_random_rows_along(tmp_path: Path) -> None:
    log = [("a", "x"), ("a", "y"), ("b", "x"), ("b", "y"), ("c", "y"), ("d", "z"), ("d", "x")]
    put(tmp_path, "user,item,rating\n" + "".join(f"{u},{i},1\n" for u, i in log))
    put(tmp_path, "user,item,rating\na,y,1\nd,x,1\n", "random.csv")
    put(tmp_path, "id,n\nz,0\ny,1\nx,2\n", "items.csv")
    items = EntityTableConfig(file="items.csv", id="id", columns={"n": "numeric"})
    keys: dict[str, Any] = {"randomised_interactions": "random.csv", "items": items, "k_core": 2}
    data = tables(**keys).load(tmp_path)
    assert data.randomised is not None and data.logged.user is not None
    assert (data.logged.user.tolist(), data.logged.item.tolist()) == ([0, 0, 1, 1], [1, 0, 1, 0])
    assert (data.user_table["user"].to_list(), data.item_table.rows()) == (["a", "b"], [("y", 1), ("x", 2)])
    assert data.randomised.item.tolist() == [0] and "k_core" in str(data.card.caveat)
    assert "4 of 9 rows are left out" in lines(tmp_path, **keys)[0]
    assert len(tables(**{**keys, "k_core": {"user": 2}}).load(tmp_path).logged) == 6


def test_columns_of_users_and_items_may_stand_in_the_log(tmp_path: Path) -> None:
    put(tmp_path, "user,item,rating,age,title,tags\nb,x,1,30,Up,\"['a', 'b']\"\na,x,2,40,Up,[]\nb,y,3,31,So,[]\n")
    keys: dict[str, Any] = {
        "users": EntityTableConfig(columns={"age": "numeric"}),
        "items": EntityTableConfig(columns={"title": "text", "tags": "multi_hot"}),
    }
    data = tables(**keys).load(tmp_path)
    assert data.user_table.rows() == [("b", 30), ("a", 40)]
    assert data.item_table.rows() == [("x", "Up", ["a", "b"]), ("y", "So", [])]
    assert lines(tmp_path, **keys) == [
        f"{NAME}: line 4: age: '31' is not what an earlier row of this user says, which is taken",
        f"{NAME}: line 3: tags: '[]' is not what an earlier row of this item says, which is taken",
    ]
    with pytest.raises(RequestError, match=r"dataset\.items\.id: is mandatory where the other stands"):
        tables(items=EntityTableConfig(file="items.csv"))


PEOPLE: dict[str, Any] = {
    "user": None,
    "item": None,
    "outcome": "y",
    "kind": "reward",
    "exposure": "t",
    "feedback": "exposure_logged",
    "arms": ["treated"],
    "self_selected": False,
}


def test_a_true_outcome_that_is_text_is_told_by_its_line(tmp_path: Path) -> None:
    put(tmp_path, "t,y,y0,y1\n0,1.5,1,2\n1,2,1,high\n")
    assert lines(tmp_path, **PEOPLE, potential={0: "y0", 1: "y1"}) == [
        f"{NAME}: line 3: y1: 'high' is not a finite number"
    ]


def test_rows_are_people_where_there_is_no_item(tmp_path: Path) -> None:
    put(tmp_path, "t,y,x1,x2,y0,y1\nno,1.5,1,2,1,2\nYES,2,3,4,1,3\nno,,5,6,0,9\n")
    keys = {
        **PEOPLE,
        "exposure_levels": ["no", "yes"],
        "users": EntityTableConfig(columns={"x1": "numeric", "x2": "numeric"}),
        "potential": {0: "y0", 1: "y1"},
        "fill": {"y": "drop"},
    }
    data = tables(**keys).load(tmp_path)
    assert data.logged.user is not None and data.potential is not None
    assert (data.logged.user.tolist(), data.logged.item.tolist(), data.logged.treatment.tolist()) == (
        [0, 1],
        [0, 0],
        [0, 1],
    )
    assert data.user_table.rows() == [("1", 1, 2), ("2", 3, 4)]
    np.testing.assert_array_equal(data.potential.means(data.logged.user, data.logged.item), [[1, 2], [1, 3]])
    assert data.card.known_truth and data.card.unseen == "keep" and [c.name for c in data.card.columns] == ["x1", "x2"]


@pytest.mark.parametrize(
    ("codes", "mend"),
    [
        ("1 2 1", r"has 1, 2; set dataset.exposure_levels: [1, 2] (the first = not exposed)"),
        ("0 1 2", "has 0, 1, 2; name 2 arms in dataset.arms"),
        ("0 0 0", "has 0; add rows of 1"),
        ("0 2 2", "has 0, 2; set dataset.exposure_levels: [0, 2] (the first = not exposed)"),
        ("no yes no", "'no' is not an exposure: 0 = not exposed, 1.. = arms; name what the column holds"),
    ],
)
def test_exposures_that_do_not_run_from_nought_are_one_message_with_its_mend(
    tmp_path: Path, codes: str, mend: str
) -> None:
    put(tmp_path, "t,y\n" + "".join(f"{code},1\n" for code in codes.split()))
    wrong = lines(tmp_path, **PEOPLE)
    assert mend in wrong[0] and wrong[0].startswith(f"{NAME}: line ")
    if "exposure_levels" in mend:
        assert lines(tmp_path, **PEOPLE, exposure_levels=sorted({int(code) for code in codes.split()})) == []


@pytest.mark.parametrize(
    ("keys", "message"),
    [
        ({"item": None, "items": EntityTableConfig(columns={"a": "text"})}, r"dataset\.item: is null"),
        ({"user": None, "item": None, "k_core": 5}, r"dataset\.k_core: counts rows of users and of items"),
        ({**PEOPLE, "item": "item", "potential": {0: "a", 1: "b"}}, r"dataset\.potential: is the truth of people"),
        ({**PEOPLE, "potential": {1: "b"}}, r"dataset\.potential: name a column for each exposure, 0 to 1"),
        ({**PEOPLE, "exposure_levels": ["a"]}, r"dataset\.exposure_levels: has 1, dataset\.arms 1"),
        ({"time": "t", "time_unit": "iso", "time_format": "%Y"}, r"dataset\.time_format: is a form of text"),
    ],
)
def test_keys_of_people_that_contradict_each_other_are_refused(keys: dict[str, Any], message: str) -> None:
    with pytest.raises(RequestError, match=message):
        tables(**keys)


def test_a_file_of_random_rows_may_lack_the_propensity(tmp_path: Path) -> None:
    put(put(tmp_path, "user,item,rating,p\na,x,1,0.5\nb,y,2,0.25\n"), "user,item,rating\na,y,3\n", "random.csv")
    data = tables(propensity="p", randomised_interactions="random.csv").load(tmp_path)
    assert data.randomised is not None and data.randomised.propensity is None
    assert data.logged.propensity is not None and data.logged.propensity.tolist() == [0.5, 0.25]


def test_the_same_fault_is_told_once_and_counted_truly(tmp_path: Path) -> None:
    from causalrec.data.table_problems import count_rows, summarise

    put(tmp_path, "user,item,rating\n1,x,9\n" + "".join(f"{k},x,{k % 12}\n" for k in range(2, 1000)))
    problems = tables().problems(tmp_path)
    outside = sum(not 1 <= rating <= 5 for rating in [9, *(k % 12 for k in range(2, 1000))])
    assert count_rows(problems, "error") == outside
    ((severity, line),) = summarise(problems)
    assert severity == "error" and line.endswith(f"(and {outside - 1:,} more rows: lines 7, 8, 9, ..)")
    assert pl.Series([line]).str.contains(r"set dataset\.scale: \[0, 11\]")[0]


PAIRS: dict[str, Any] = {
    **PEOPLE,
    "user": "u",
    "item": "i",
    "repeats": "allowed",
    "randomised_interactions": "random.csv",
}
LOG = "u,i,t,y,p,site\na,x,0,1,.2,n\nb,x,1,2,.7,n\nc,x,1,2,.5,s\n"


def test_one_logged_propensity_of_exposure_tells_both_arms_and_several_arms_have_one_each(tmp_path: Path) -> None:
    put(tmp_path, LOG)
    keys = {**PEOPLE, "user": "u", "propensity": "p"}
    log = tables(**keys).load(tmp_path).logged
    assert log.propensity is not None and log.arm_probabilities is not None
    np.testing.assert_allclose(log.arm_probabilities, [[0.8, 0.2], [0.3, 0.7], [0.5, 0.5]], rtol=1e-6)
    np.testing.assert_allclose(log.propensity, [0.8, 0.7, 0.5], rtol=1e-6)
    put(tmp_path, "u,t,y,p0,p1,p2\na,0,1,.5,.25,.25\nb,1,2,.2,.6,.2\nc,2,2,.1,.1,.8\n")
    keys |= {"arms": ["mail", "call"], "propensity": ["p0", "p1", "p2"]}
    log = tables(**keys).load(tmp_path).logged
    assert log.propensity is not None and log.propensity.tolist() == pytest.approx([0.5, 0.6, 0.8])
    put(tmp_path, "u,t,y,p0,p1,p2\na,0,1,.5,.25,.25\nb,1,2,.2,.6,.1\nc,2,2,.1,.1,.8\n")
    assert "row 1: the logged propensities of all arms do not sum to 1 (1 such rows)" in lines(tmp_path, **keys)[0]
    put(tmp_path, "u,t,y,p0,p1,p2\na,0,1,.5,.25,.25\nb,1,2,.2,1.6,.1\nc,2,2,.1,.1,.8\n")
    assert lines(tmp_path, **keys) == [f"{NAME}: line 3: p1: propensity '1.6' is outside [0, 1]"]


@pytest.mark.parametrize(
    ("keys", "message"),
    [
        (
            {"propensity": ["p", "q"], "arms": ["a", "b"]},
            "names 2 columns, one for each exposure; csv has 3: not exposed, a",
        ),
        ({"propensity": ["p", "p"]}, "a column is named twice"),
        ({"strata": ["site"]}, r"dataset\.strata: say how the arms of random rows were drawn, which needs"),
        ({"randomised_flag": "r", "strata": ["sight"], "row_columns": {"site": "category"}}, "did you mean 'site'"),
    ],
)
def test_propensities_and_strata_that_do_not_fit_the_arms_are_refused(keys: dict[str, Any], message: str) -> None:
    with pytest.raises(RequestError, match=message):
        tables(**{**PEOPLE, "user": "u", **keys})


def test_a_random_part_may_lack_an_arm_but_has_none_that_the_log_lacks(tmp_path: Path) -> None:
    put(put(tmp_path, LOG), "u,i,t,y,p,site\nd,x,1,3,.5,n\n", "random.csv")
    assert tables(**PAIRS).load(tmp_path).randomised is not None
    put(tmp_path, "u,i,t,y,p,site\nd,x,2,3,.5,n\ne,x,0,3,.5,n\n", "random.csv")
    (line,) = lines(tmp_path, **PAIRS)
    assert "random.csv: line 2: t: exposure '2' is no arm of dataset.arms, which has 1; drop the row" in line
    (line,) = [line for line in lines(tmp_path, **{**PAIRS, "arms": ["mail", "call"]}) if "csv" in line]
    assert (
        "exposures are 0 to 2 without a gap" in line and "add rows of 2, or name the 1 it has in dataset.arms" in line
    )


def test_strata_of_random_rows_weigh_them_by_the_shares_of_the_arms_there(tmp_path: Path) -> None:
    random = "u,i,t,y,p,site\nd,x,1,3,.5,n\ne,x,0,3,.5,n\nf,x,0,3,.5,s\ng,x,0,3,.5,s\nh,x,1,3,.5,s\n"
    put(put(tmp_path, LOG), random, "random.csv")
    data = tables(**PAIRS, row_columns={"site": "category"}, strata=["site"]).load(tmp_path)
    assert data.card.strata == ("site",) and data.randomised is not None
    stratum = row_levels(data, data.randomised, data.card.strata)
    np.testing.assert_allclose(
        randomised_probabilities(data.randomised, 1, stratum)[:, 1], [0.5, 0.5, 1 / 3, 1 / 3, 1 / 3], rtol=1e-6
    )
    assert stratum is not None
    with pytest.raises(DataError, match="1 of 2 strata of the randomised rows lack an arm"):
        randomised_probabilities(data.randomised.take(np.arange(4)), 1, stratum[:4])
