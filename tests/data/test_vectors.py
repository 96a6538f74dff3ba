"""Vectors from files: what is read is what was saved, in item order, and everything else is refused in one line."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
from test_csv import put

from causalrec import cli
from causalrec.data.card import Column
from causalrec.data.corner import corner
from causalrec.data.dataset import CausalDataset
from causalrec.data.datasets.coat import Coat
from causalrec.data.datasets.csv import CsvTables
from causalrec.data.tabular.table_config import EntityTableConfig
from causalrec.data.vectors import VectorFile, read_vectors
from causalrec.errors import DataError, RequestError
from causalrec.features.views import feature_matrix

IDS = ["i9", "i10", "i3"]
VALUES = np.array([[1, 2], [np.nan, np.nan], [0.5, -1]], np.float32)


def save(folder: Path, values: Any, name: str = "v.npy", **options: Any) -> Path:
    np.save(folder / name, values, **options)
    return folder / name


@pytest.mark.parametrize("dtype", ["float16", "float32", "float64", ">f4"])
def test_an_array_is_read_as_it_was_saved(tmp_path: Path, dtype: str) -> None:
    vectors = read_vectors(save(tmp_path, VALUES.astype(dtype)), IDS, "poster")
    assert vectors.dtype == np.dtype(dtype).newbyteorder("=") and np.array_equal(vectors, VALUES, equal_nan=True)


def test_an_array_is_mapped_and_never_written(tmp_path: Path) -> None:
    path = save(tmp_path, VALUES)
    before, vectors = path.read_bytes(), read_vectors(path, IDS, "poster")
    assert isinstance(vectors, np.memmap)
    vectors[0] = 9
    del vectors
    assert path.read_bytes() == before


@pytest.mark.parametrize("kind", [pl.List(pl.Float32), pl.Array(pl.Float64, 2)], ids=["list", "array"])
def test_a_column_of_lists_is_read_in_order_or_by_id(tmp_path: Path, kind: pl.DataType) -> None:
    rows = pl.Series("poster", [[0.5, -1.0], None, [1.0, 2.0]], dtype=kind)
    path = tmp_path / "v.parquet"
    pl.DataFrame({"film": ["i3", "other", "i9"], "poster": rows}).write_parquet(path)
    assert np.array_equal(read_vectors(path, IDS, "poster")[::-1], VALUES, equal_nan=True)
    by_id = read_vectors(path, IDS, "p", column="poster", id="film")
    assert np.array_equal(by_id, VALUES, equal_nan=True), "i10 has no row"


OBJECTS = np.array([[1.0, None]] * 3, dtype=object)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        (VALUES[:2], "2 rows, but there are 3 items; give one per item, in item order"),
        (VALUES[:, 0], r"has shape \(3,\); save a two-dimensional array"),
        (VALUES[:, :0], r"has shape \(3, 0\)"),
        (VALUES[None], r"has shape \(1, 3, 2\)"),
        (np.ones((3, 2), np.int64), "holds int64; save"),
        (np.ones((3, 2), complex), "holds complex128"),
        (np.ones((3, 2), np.longdouble), "holds float128"),
        (OBJECTS, "no array of numbers .*; save a two-dimensional array"),
        (np.array([[1, 2], [3, 4], [np.nan, 5]]), "row 2 is partly NaN or infinite; mend it"),
        (np.array([[1, 2], [np.inf, np.inf], [3, 4]]), "row 1 is partly NaN or infinite"),
        (np.full((3, 2), np.nan), "every row of poster is NaN"),
    ],
)
def test_what_is_wrong_with_an_array_is_one_line(tmp_path: Path, values: Any, message: str) -> None:
    path = save(tmp_path, values, allow_pickle=values is OBJECTS)
    with pytest.raises(DataError, match=rf"v\.npy: {message}") as caught:
        read_vectors(path, IDS, "poster")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("gone.npy", None, "there is no such file; name the file of the vectors poster"),
        ("v.pkl", b"x", r"vectors are read from \.npy or \.parquet, not \.pkl"),
        ("v.npy", b"\x80\x04N.", "no array of numbers"),
        ("v.npy", b"", "no array of numbers"),
        ("v.parquet", b"PAR1", "no Parquet table"),
    ],
)
def test_a_file_that_is_none_of_ours_is_one_line(
    tmp_path: Path, name: str, content: bytes | None, message: str
) -> None:
    if content is not None:
        (tmp_path / name).write_bytes(content)
    with pytest.raises(DataError, match=message) as caught:
        read_vectors(tmp_path / name, IDS, "poster")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("columns", "options", "message"),
    [
        ({"posters": [[1.0]] * 3}, {}, "no column poster; did you mean 'posters'"),
        ({"poster": [[1.0]] * 3}, {"id": "film"}, "no column film"),
        ({"poster": [[1.0], [1.0, 2.0], [3.0]]}, {}, "differ in length"),
        ({"poster": [[], [], []]}, {}, "holds List"),
        ({"poster": [1.0, 2.0, 3.0]}, {}, "holds Float64; give lists of"),
        ({"poster": [[1], [2], [3]]}, {}, r"holds List\(Int64\)"),
        ({"poster": [[1.0, None], [1.0, 2.0], [1.0, 2.0]]}, {}, "row 0 is partly NaN"),
        ({"poster": [[1.0]] * 3, "film": ["i9", "i3", "i9"]}, {"id": "film"}, "row 0: the id 'i9' stands in several"),
        ({"poster": [[1.0]] * 3, "film": ["a", "b", "c"]}, {"id": "film"}, "every row of poster is NaN.*check the ids"),
    ],
)
def test_what_is_wrong_with_a_table_is_one_line(tmp_path: Path, columns: Any, options: Any, message: str) -> None:
    pl.DataFrame(columns).write_parquet(tmp_path / "v.parquet")
    with pytest.raises(DataError, match=message) as caught:
        read_vectors(tmp_path / "v.parquet", IDS, "poster", **options)
    assert "\n" not in str(caught.value)


def test_rows_are_put_in_the_order_of_the_ids_beside_them(tmp_path: Path) -> None:
    path = save(tmp_path, VALUES[::-1])
    np.save(tmp_path / "ids.npy", np.array(["i3", "other", "i9"]))
    file = VectorFile(file="v.npy", ids="ids.npy")
    assert np.array_equal(file.read(tmp_path, tmp_path, IDS, "poster"), VALUES, equal_nan=True), "i10 has no row"
    assert np.array_equal(VectorFile(file=str(path), ids="ids.npy").read(Path(), tmp_path, IDS, "p")[0], VALUES[0])


@pytest.mark.parametrize(
    ("ids", "message"),
    [
        (np.array(["i3", "i9"]), r"ids\.npy: 2 ids, but v\.npy has 3 rows; name one of each"),
        (np.array(["i3", "i3", "i9"]), r"ids\.npy: row 0: the id 'i3' stands in several rows; keep one"),
        (np.array([1, 2, 3]), r"ids\.npy: holds int64 of shape \(3,\); save one text per row by numpy\.save"),
        (np.array(["i3", None, "i9"], dtype=object), r"ids\.npy: no array of ids .*; save text by numpy\.save"),
        (np.array(["a", "b", "c"]), r"every row of poster is NaN, so that no item has a vector; check the ids"),
    ],
)
def test_what_is_wrong_with_the_ids_is_one_line(tmp_path: Path, ids: Any, message: str) -> None:
    save(tmp_path, VALUES)
    np.save(tmp_path / "ids.npy", ids)
    with pytest.raises(DataError, match=message) as caught:
        VectorFile(file="v.npy", ids="ids.npy").read(tmp_path, tmp_path, IDS, "poster")
    assert "\n" not in str(caught.value)


def test_ids_stand_beside_an_array_alone() -> None:
    with pytest.raises(RequestError, match=r"vectors of v\.parquet: ids stand beside a \.npy array; name the table's"):
        VectorFile(file="v.parquet", ids="ids.npy")


# --- from one's own tables to a run

CAUSES = [(cause, effect) for effect in ("exposure", "outcome") for cause in ("user", "item", "taste")]
EDGES = [*(f"'{cause} -> {effect}'" for cause, effect in CAUSES), "'exposure -> outcome'", "'poster -> outcome'"]
LOGGED = "user,item,rating\n" + "".join(f"u{u},i{i},{1 + (u * i + u) % 5}\n" for u in range(12) for i in range(10))


@pytest.fixture
def shop(tmp_path: Path) -> Path:
    put(put(tmp_path, text=LOGGED), "items.csv", "id\n" + "".join(f"i{i}\n" for i in range(10)))
    save(tmp_path / "csv", np.random.default_rng(0).normal(size=(10, 4)).astype(np.float32), "posters.npy")
    return tmp_path


def csv(file: str = "posters.npy") -> CsvTables:
    return CsvTables(
        threshold=4, items=EntityTableConfig(file="items.csv", id="id"), vectors={"poster": VectorFile(file=file)}
    )


def test_vectors_are_a_column_of_the_card_that_no_table_holds(shop: Path) -> None:
    data = csv().load(shop)
    assert data.card.columns[-1] == Column("poster", "item", "vector") and "poster" not in data.item_table.columns
    assert data.item_vectors["poster"].shape == (10, 4)
    assert feature_matrix(data, ("item", "poster")).names == (), "left to encoders that read vectors"
    before = csv().identity(shop)
    save(shop / "csv", np.ones((10, 4), np.float32), "posters.npy")
    assert csv().identity(shop) != before, "another file is another data set"


def test_users_have_vectors_too_and_a_file_of_other_users_is_refused(shop: Path) -> None:
    np.save(shop / "csv" / "people.npy", np.ones((12, 2), np.float32))
    tables = CsvTables(threshold=4, user_vectors={"taste": VectorFile(file="people.npy")})
    data, before = tables.load(shop), tables.identity(shop)
    assert data.card.columns[-1] == Column("taste", "user", "vector") and data.user_vectors["taste"].shape == (12, 2)
    assert corner(data, 3, 10).user_vectors["taste"].shape == (12, 2), "too few rows to cut"
    np.save(shop / "csv" / "people.npy", np.ones((11, 2), np.float32))
    assert tables.identity(shop) != before
    with pytest.raises(DataError, match="11 rows, but there are 12 users; give one per user, in user order"):
        tables.load(shop)
    with pytest.raises(RequestError, match=r"dataset\.user: is null"):
        CsvTables(threshold=4, user=None, user_vectors={"taste": VectorFile(file="people.npy")})


def test_coat_reads_vectors_by_row_number_and_names_each_column_once() -> None:
    coat = Coat(
        threshold=3, vectors={"look": VectorFile(file="v.npy")}, user_vectors={"taste": VectorFile(file="u.npy")}
    )
    assert coat.card.columns[-2:] == (Column("look", "item", "vector"), Column("taste", "user", "vector"))
    with pytest.raises(RequestError, match="'user_age' is taken twice; call the vectors by another name"):
        Coat(threshold=3, vectors={"user_age": VectorFile(file="v.npy")})


def test_a_wrong_file_is_a_problem_of_the_data_set(shop: Path) -> None:
    assert [problem.severity for problem in csv().problems(shop) if problem.severity == "error"] == []
    assert "there is no such file" in str(csv("gone.npy").problems(shop)[-1])
    with pytest.raises(DataError, match="no such file"):
        csv("gone.npy").load(shop)
    with pytest.raises(RequestError, match="'item' is taken twice"):
        CsvTables(threshold=4, vectors={"item": VectorFile(file="posters.npy")})


def test_a_data_set_whose_vectors_are_not_one_per_item_is_refused(shop: Path) -> None:
    data = csv().load(shop)
    arguments = {"card": data.card, "logged": data.logged, "user_table": data.user_table, "item_table": data.item_table}
    with pytest.raises(DataError, match="poster has 3 rows of vectors, but there are 10 items"):
        CausalDataset(**arguments, item_vectors={"poster": VALUES})


def test_the_graph_chooses_whether_vectors_are_read(
    shop: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("CAUSALREC_DATA", str(shop))
    monkeypatch.setenv("CAUSALREC_CACHE", str(shop / "cache"))
    monkeypatch.chdir(shop)
    command = [
        "train",
        "dataset=csv",
        "trainer=smoke",
        "selection.folds=1",
        "trainer.progress=false",
        "logger=none",
        "objective=naive",
    ]
    command += [
        "selection.candidates={optimizer.weight_decay:[0.1]}",
        "evaluation.replicates=20",
        "propensity=popularity",
        "encoder=hybrid",
    ]
    command += ["+dataset.vectors.poster.file=posters.npy", "+dataset.items={file:items.csv,id:id}"]
    command += ["encoder.item=[id,vectors]"]
    assert cli.main(command) == 2, "the graph does not name it"
    assert "no vectors of the item; name a file under dataset.vectors, and its node" in capsys.readouterr().err
    assert cli.main([*command, f"graph.edges=[{','.join(EDGES)}]"]) == 0, capsys.readouterr().err
