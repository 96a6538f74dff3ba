"""Loaders: what the raw files say is what the log says, and bad files are refused with place and mend."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Callable
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from conftest import Edit, FakeCoat, FakeML100K
from polars.testing import assert_frame_equal

from causalrec.data.datasets.coat import Coat
from causalrec.data.datasets.ml100k import ML100K
from causalrec.data.delimited_text import indices, numbers, read_delimited
from causalrec.data.sources import sha256_of
from causalrec.data.text import texts_of
from causalrec.errors import DataError

SetLine = Callable[[int, str], Edit]


def test_both_ml100k_formats_give_the_same_log_and_tables(fake_ml100k: FakeML100K, tmp_path: Path) -> None:
    recbole = ML100K(threshold=None).load(fake_ml100k(tmp_path / "a"))
    official = ML100K(threshold=None).load(fake_ml100k(tmp_path / "b", official=True))
    for name in ("user", "item", "treatment", "outcome", "time"):
        np.testing.assert_array_equal(getattr(recbole.logged, name), getattr(official.logged, name))
    assert_frame_equal(recbole.user_table, official.user_table)
    assert_frame_equal(recbole.item_table, official.item_table)
    assert set(recbole.raw_sha256) != set(official.raw_sha256)


def test_ml100k_log_holds_the_rows_of_the_raw_file(fake_ml100k: FakeML100K, tmp_path: Path) -> None:
    data = ML100K(threshold=None).load(fake_ml100k(tmp_path))
    lines = (tmp_path / "ml-100k" / "ml-100k.inter").read_text().splitlines()[1:]
    user, item, rating, time = np.array([line.split("\t") for line in lines]).astype(int).T
    assert data.logged.user is not None
    assert (data.logged.num_users, data.logged.num_items, len(data.logged)) == (30, 40, 400)
    np.testing.assert_array_equal(data.logged.user, user - 1)
    np.testing.assert_array_equal(data.logged.item, item - 1)
    np.testing.assert_array_equal(data.logged.outcome, rating)
    np.testing.assert_array_equal(data.logged.time, time)


def test_raw_ids_are_those_of_the_tables_in_the_order_of_the_log(
    fake_ml100k: FakeML100K, fake_coat: FakeCoat, set_line: SetLine, tmp_path: Path
) -> None:
    data = ML100K(threshold=None).load(
        fake_ml100k(
            tmp_path,
            edit={
                "ml-100k.user": lambda text: text.replace("\n30\t", "\n0\t"),
                "ml-100k.inter": lambda text: text.replace("\n30\t", "\n0\t"),
            },
        )
    )
    assert data.user_ids is not None and data.item_ids is not None and data.logged.user is not None
    assert data.user_ids.to_list() == [*map(str, range(1, 30)), "0"]
    lines = (tmp_path / "ml-100k" / "ml-100k.inter").read_text().splitlines()[1:]
    raw = [line.split("\t")[:2] for line in lines]
    assert data.user_ids.gather(data.logged.user).to_list() == [user for user, _ in raw]
    assert data.item_ids.gather(data.logged.item).to_list() == [item for _, item in raw]
    coat = Coat(threshold=None).load(fake_coat(tmp_path))
    assert (coat.user_ids, coat.item_ids) == (None, None), "the matrices name none"


@pytest.mark.parametrize(
    ("ids", "message"),
    [
        (["a", "b"], "ml100k: user_ids has 2 raw ids, but there are 30 users; give each user one, in order"),
        (["a"] * 30, "ml100k: user_ids: row 0: 'a' is missing or not the only one; give each user its own"),
        ([*"abcdefghijklmnopqrstuvwxyzABC", None], "row 29: None is missing or not the only one"),
    ],
)
def test_raw_ids_that_are_not_one_for_each_are_refused(
    fake_ml100k: FakeML100K, tmp_path: Path, ids: list[str | None], message: str
) -> None:
    data = ML100K(threshold=None).load(fake_ml100k(tmp_path))
    with pytest.raises(DataError, match=re.escape(message)):
        dataclasses.replace(data, user_ids=pl.Series(ids))


def test_ml100k_threshold_binarises_and_changes_the_outcome_kind(fake_ml100k: FakeML100K, tmp_path: Path) -> None:
    root = fake_ml100k(tmp_path)
    stars, clicks = ML100K(threshold=None).load(root), ML100K(threshold=4.0).load(root)
    np.testing.assert_array_equal(clicks.logged.outcome, (stars.logged.outcome >= 4).astype(np.float32))
    assert (stars.card.outcome, clicks.card.outcome) == ("rating", "click")


def test_the_item_without_title_and_year_gets_empty_text_and_the_median_year(
    fake_ml100k: FakeML100K, tmp_path: Path
) -> None:
    items = ML100K(threshold=None).load(fake_ml100k(tmp_path)).item_table
    years = items["year"].to_list()
    assert items["title"][1] == ""
    assert years[1] == np.median(years[:1] + years[2:])
    assert items["genre"][1].to_list() == ["unknown"]
    assert items["title"][0] == "Café 1, The"


def test_recorded_checksums_are_those_of_the_files_read(fake_ml100k: FakeML100K, tmp_path: Path) -> None:
    data = ML100K(threshold=None).load(fake_ml100k(tmp_path))
    assert data.raw_sha256 == {p.name: sha256_of(p) for p in (tmp_path / "ml-100k").iterdir()}


def test_wrong_checksum_names_the_file_and_both_sums(fake_ml100k: FakeML100K, tmp_path: Path) -> None:
    root = fake_ml100k(tmp_path)
    path = root / "ml-100k" / "ml-100k.inter"
    expected = sha256_of(path)
    path.write_bytes(path.read_bytes()[:-9])
    with pytest.raises(DataError, match="wrong checksum") as caught:
        ML100K(threshold=None).load(root)
    for fragment in (str(path), expected, sha256_of(path)):
        assert fragment in str(caught.value)


@pytest.mark.parametrize(("official", "name"), [(False, "ml-100k.inter"), (True, "u.data")])
@pytest.mark.parametrize(
    ("row", "message"),
    [
        ("1\t2\t3", r"{name}: line 7 has 3 fields, expected 4 \(user, item, rating, time\).*truncated"),
        ("1\t2\tnan\t881250949", r"{name}: line 7: rating 'nan' is not a finite number"),
        ("1\t2\tgood\t881250949", r"{name}: line 7: rating 'good' is not a finite number"),
        ("1\t2\t6\t881250949", r"{name}: line 7: rating 6 is outside 1\.\.5"),
        ("1\t2\t0\t881250949", r"{name}: line 7: rating 0 is outside 1\.\.5"),
        ("999\t2\t3\t881250949", r"{name}: line 7: user '999' is not in its table"),
        ("1\t998\t3\t881250949", r"{name}: line 7: item '998' is not in its table"),
        ("1\t2\t3\t", r"{name}: line 7: time '' is not a finite number"),
        ("", r"{name}: line 7 has 1 fields, expected 4"),
    ],
)
def test_a_bad_rating_row_is_refused_with_its_line(
    fake_ml100k: FakeML100K, set_line: SetLine, tmp_path: Path, official: bool, name: str, row: str, message: str
) -> None:
    root = fake_ml100k(tmp_path, official=official, edit={name: set_line(7, row)})
    with pytest.raises(DataError, match=message.format(name=re.escape(name))):
        ML100K(threshold=None).load(root)


def test_a_file_cut_inside_its_last_row_is_refused(fake_ml100k: FakeML100K, tmp_path: Path) -> None:
    root = fake_ml100k(tmp_path, edit={"ml-100k.inter": lambda text: text[: text.rstrip().rindex("\t")]})
    with pytest.raises(DataError, match="line 401 has 3 fields"):
        ML100K(threshold=None).load(root)


def test_a_bad_age_names_the_user_file_and_line(fake_ml100k: FakeML100K, set_line: SetLine, tmp_path: Path) -> None:
    root = fake_ml100k(tmp_path, edit={"ml-100k.user": set_line(3, "2\told\tM\twriter\t10002")})
    with pytest.raises(DataError, match=r"ml-100k\.user: line 3: age 'old'"):
        ML100K(threshold=None).load(root)


def test_an_id_that_occurs_twice_in_its_table_is_refused(
    fake_ml100k: FakeML100K, set_line: SetLine, tmp_path: Path
) -> None:
    root = fake_ml100k(tmp_path, edit={"ml-100k.user": set_line(3, "1\t20\tM\twriter\t10002")})
    with pytest.raises(DataError, match="the table of user holds an id twice"):
        ML100K(threshold=None).load(root)


def test_a_duplicate_interaction_is_refused_where_the_card_forbids_repeats(
    fake_ml100k: FakeML100K, tmp_path: Path
) -> None:
    def duplicate_line(text: str) -> str:
        return text + text.split("\n")[5] + "\n"

    root = fake_ml100k(tmp_path, edit={"ml-100k.inter": duplicate_line})
    user, item = ((root / "ml-100k" / "ml-100k.inter").read_text().split("\n")[5]).split("\t")[:2]
    with pytest.raises(DataError, match=f"1 duplicate .*first user {int(user) - 1}, item {int(item) - 1};.*keep_last"):
        ML100K(threshold=None).load(root)


def test_undecodable_text_is_refused_with_the_byte(tmp_path: Path) -> None:
    path = tmp_path / "x.tsv"
    path.write_bytes(b"a\tb\ncaf\xe9\t1\n")
    with pytest.raises(DataError, match=r"x\.tsv: not utf-8 text \(byte 7\)"):
        read_delimited(path, "\t", ["a", "b"], header=True)


def test_only_newlines_end_a_row_and_quotes_are_ordinary(tmp_path: Path) -> None:
    path = tmp_path / "x.dat"
    path.write_bytes('1|say "\x85hi|5\r\n2|b|6\r\n'.encode("latin-1"))
    table = read_delimited(path, "|", ["id", "title", "n"], header=False, encoding="latin-1")
    assert table["title"].to_list() == ['say "\x85hi', "b"]
    assert numbers(table, "n", path, 1).tolist() == [5.0, 6.0]
    assert indices(table, "id", ["2", "1"], path, 1).tolist() == [1, 0]


def test_coat_log_holds_the_matrices(fake_coat: FakeCoat, tmp_path: Path) -> None:
    data = Coat(threshold=None).load(fake_coat(tmp_path))
    for log, name in ((data.logged, "train"), (data.randomised, "test")):
        assert log is not None and log.user is not None
        matrix = np.loadtxt(tmp_path / "coat" / f"{name}.ascii")
        rebuilt = np.zeros_like(matrix)
        rebuilt[log.user, log.item] = log.outcome
        np.testing.assert_array_equal(rebuilt, matrix)
        assert len(log) == (matrix > 0).sum()
    assert data.randomised is not None and data.randomised.user is not None
    assert np.bincount(data.randomised.user).tolist() == [4] * 12
    assert data.card.self_selected and data.card.randomised is not None


def test_coat_tables_turn_one_hot_rows_into_the_categories_of_the_map(fake_coat: FakeCoat, tmp_path: Path) -> None:
    root = fake_coat(tmp_path)
    data = Coat(threshold=4.0).load(root)
    flags = np.loadtxt(root / "coat" / "user_item_features" / "user_features.ascii")
    assert data.user_table["user_gender"].to_list() == ["men" if row[0] else "women" for row in flags]
    assert data.user_table["user_fashioninterest"].to_list() == ["never" if row[6] else "often" for row in flags]
    texts = texts_of(data.user_table, Coat(threshold=None).user_text, ["user_gender", "user_fashioninterest"])
    gender, interest = data.user_table["user_gender"][0], data.user_table["user_fashioninterest"][0]
    assert texts[0] == f"Gender: {gender}. Interest in fashion: {interest}."
    tables = {*data.user_table.columns, *data.item_table.columns}
    assert tables == {column.name for column in data.card.columns if column.kind != "id"}
    assert set(np.unique(data.logged.outcome)) == {0.0, 1.0}


@pytest.mark.parametrize(
    ("name", "line", "message"),
    [
        ("train.ascii", "1 2 3", r"train\.ascii: line 4: 3 numbers, expected 15; truncated\?"),
        ("train.ascii", " ".join(["x"] * 15), r"train\.ascii: line 4: not integers"),
        ("train.ascii", " ".join(["1.5"] * 15), r"train\.ascii: line 4: not integers"),
        ("train.ascii", " ".join(["0", "7"] + ["1"] * 13), r"train\.ascii: line 4, column 2: rating 7 is off 1\.\.5"),
        ("test.ascii", " ".join(["-1"] + ["1"] * 14), r"test\.ascii: line 4, column 1: rating -1 is off 1\.\.5"),
        (
            "user_item_features/user_features.ascii",
            "1 1 1 0 1 0 1 0",
            r"user_features\.ascii: line 4: gender is not one-hot",
        ),
        (
            "user_item_features/item_features.ascii",
            "1 0 1 0 0 0 1 0",
            r"item_features\.ascii: line 4: color is not one-hot",
        ),
    ],
)
def test_a_bad_coat_matrix_is_refused_with_its_line(
    fake_coat: FakeCoat, set_line: SetLine, tmp_path: Path, name: str, line: str, message: str
) -> None:
    root = fake_coat(tmp_path, edit={name: set_line(4, line)})
    with pytest.raises(DataError, match=message):
        Coat(threshold=None).load(root)


def test_coat_tables_of_another_length_than_the_log_are_refused(fake_coat: FakeCoat, tmp_path: Path) -> None:
    def drop_first_line(text: str) -> str:
        return text[text.index("\n") + 1 :]

    root = fake_coat(tmp_path, edit={"user_item_features/user_features.ascii": drop_first_line})
    with pytest.raises(DataError, match="tables have 11 users and 15 items, the log 12 and 15"):
        Coat(threshold=None).load(root)
