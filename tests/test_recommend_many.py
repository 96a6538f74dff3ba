"""`causalrec recommend RUN --all` and `causalrec predict`: many users and pairs are answered as one is."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

from causalrec import cli
from causalrec.catalogue.facts import CatalogueFacts
from causalrec.catalogue.lists import Candidates
from causalrec.config.component import ComponentConfig
from causalrec.data import table_parts
from causalrec.data.card import DatasetCard
from causalrec.data.table_parts import write_table
from causalrec.errors import RequestError
from causalrec.rerankers.base import AbstractReranker, Rerank
from causalrec.running import reranker_choice
from causalrec.running.batch_lists import BatchLists
from causalrec.running.trained_run import TrainedRun
from causalrec.tasks.base import AbstractTask
from causalrec.tasks.catalogue_ranking import CatalogueRequest
from causalrec.types import Ints
from tests.shop import CLICKS, ITEMS, QUICK, TRIAL, USERS, blocks, shop_tables, write_shop

Call = Callable[..., tuple[int, str, str]]
TABLE_LEARNER = [each for each in TRIAL if not each.startswith("head.")]


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Train runs of the shop once: `clicks`, `trial` and, by a learner from a table, `table`."""
    folder = tmp_path_factory.mktemp("shop")
    write_shop(folder / "csv")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("CAUSALREC_DATA", str(folder))
        patch.setenv("CAUSALREC_CACHE", str(folder / "cache"))
        patch.chdir(folder)
        for name, request in {
            "clicks": [*QUICK, *CLICKS],
            "trial": [*QUICK, *TRIAL],
            "table": [*QUICK[:2], *TABLE_LEARNER, "learner=linear_dml"],
        }.items():
            assert cli.main(["train", *shop_tables(), *request, f"name={name}"]) == 0
        yield folder


@pytest.fixture
def call(shop: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Call:
    monkeypatch.chdir(tmp_path)
    capsys.readouterr()

    def run(*arguments: str) -> tuple[int, str, str]:
        code = cli.main(list(arguments))
        return code, *capsys.readouterr()

    return run


def folder_of(shop: Path, name: str) -> str:
    (folder,) = (shop / "runs/default" / name).iterdir()
    return str(folder)


@pytest.mark.parametrize(
    ("name", "arm", "options"), [("clicks", 1, []), ("trial", 2, ["--include-seen"]), ("table", 2, [])]
)
def test_the_lists_of_all_are_those_of_each(call: Call, shop: Path, name: str, arm: int, options: list[str]) -> None:
    folder = folder_of(shop, name)
    code, out, err = call("recommend", folder, "--all", "--top", "6", "--arm", str(arm), *options, "--out", "a.parquet")
    assert code == 0, err
    table, run = pl.read_parquet("a.parquet"), TrainedRun.load(Path(folder))
    column = "predicted" if name == "clicks" else "effect"
    assert table.columns == ["user", "item", "rank", column]
    assert f"users: {USERS + 1}" in out and f"rows: {len(table)}" in out, "`new` is known by its columns"
    for user in ("u0", "u17", "new"):
        best, _ = run.rank_items(user, 6, arm, bool(options))
        mine = table.filter(pl.col("user") == user)
        assert mine["rank"].to_list() == [1, 2, 3, 4, 5, 6]
        np.testing.assert_allclose(mine[column], best[column], rtol=1e-5, atol=1e-6)
        assert mine["item"].to_list() == best["item"].to_list()


def test_ties_go_to_the_first_item_and_short_lists_are_counted(call: Call, shop: Path) -> None:
    run = TrainedRun.load(Path(folder_of(shop, "clicks")))
    for parameter in run.predictor.model.parameters():  # type: ignore[attr-defined]
        parameter.data.zero_()
    users = np.arange(USERS)
    lists = BatchLists(run=run, users=users, k=20, memory=20_000)
    tables = dict(lists.blocks())
    assert len(tables) > 1, "several blocks of users"
    table = pl.concat(tables.values())
    for user in ("u0", "u29"):
        left = run.rank_items(user, None, 1)[0]["item"].to_list()
        assert table.filter(pl.col("user") == user)["item"].to_list()[: len(left)] == left
    sizes = table["user"].value_counts(sort=True)["count"]
    assert lists.lengths.sum() == len(table) and sizes.max() < 20, "12 items are met, but for those of the test"
    code, out, _ = call("recommend", folder_of(shop, "clicks"), "--user", "u3", "--top", "20", "--out", "b.csv")
    assert code == 0 and "shorter: 1 lists have fewer than 20 items: no more are left to rank" in out


def test_a_task_that_says_nothing_of_catalogues_ranks_them_pair_by_pair(shop: Path) -> None:
    for name in ("clicks", "trial"):
        run = TrainedRun.load(Path(folder_of(shop, name)))
        request, users = CatalogueRequest(treatment=1, memory=40_000), np.array([0, 5, 30])
        trained = run.config, run.prepared, run.predictor
        quick = run.config.components.task.rank_catalogue(*trained, request)
        default = AbstractTask.rank_catalogue(run.config.components.task, *trained, request)
        assert quick.column == default.column
        np.testing.assert_allclose(quick.score(users).copy(), default.score(users), rtol=1e-5, atol=1e-6)


KILLED = """
import os, signal, sys
from pathlib import Path
from causalrec.data import table_parts
from tests.shop import blocks
table_parts.PART_ROWS = 6
def dying(start):
    for done, table in blocks(9)(start):
        if done == 6:
            os.kill(os.getpid(), signal.SIGKILL)
        yield done, table
table_parts.write_table(Path(sys.argv[1]), "request", dying, 9, "writing", "units")
"""


@pytest.mark.parametrize("ending", [".parquet", ".csv"])
def test_a_killed_process_leaves_no_half_file_and_the_next_goes_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, ending: str
) -> None:
    monkeypatch.setattr(table_parts, "PART_ROWS", 6)
    out = tmp_path / f"a[1]{ending}"
    done = subprocess.run([sys.executable, "-c", KILLED, str(out)], cwd=Path(__file__).parents[1], timeout=60)
    assert done.returncode == -9 and not out.exists()
    (folder,) = tmp_path.iterdir()
    assert folder.name.startswith(f".a[1]{ending}.parts-")
    pieces = sorted(folder.iterdir())
    assert [piece.name[:25] for piece in pieces] == ["000000000000-000000000002", "000000000002-000000000004"]
    pieces[1].write_bytes(pieces[1].read_bytes()[:-1])
    (folder / "complete.parquet").write_text("half")
    begun: list[int] = []
    assert write_table(out, "another", blocks(9, begun), 9, "writing", "units") == 0
    out.unlink()
    assert write_table(out, "request", blocks(9, begun), 9, "writing", "units") == 2
    assert begun == [0, 2], "from the part that was torn on; parts of another request are not taken"
    table = pl.read_csv(out, glob=False) if ending == ".csv" else pl.read_parquet(out, glob=False)
    assert table.equals(pl.concat([rows for _, rows in blocks(9)(0)])), "as if nothing had happened"
    assert [path.name for path in tmp_path.iterdir()] == [out.name]


def test_an_interrupted_batch_goes_on_with_the_same_command_alone(
    call: Call, shop: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(table_parts, "PART_ROWS", 1)
    all_blocks, small = BatchLists.blocks, ["--memory-mb", "0.004"]  # five users at a time

    def interrupt(lists: BatchLists, start: int = 0) -> Iterator[tuple[int, pl.DataFrame]]:
        for done, table in all_blocks(lists, start):
            if done > 5:
                raise KeyboardInterrupt
            yield done, table

    request = ["recommend", folder_of(shop, "clicks"), "--all", "--top", "4", "--out", "a.csv"]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(BatchLists, "blocks", interrupt)
        code, _, err = call(*request, *small)
    assert code == 1 and "interrupted" in err and not Path("a.csv").exists()
    assert "were done before" not in call(*request[:-3], "3", "--out", "a.csv")[2], "another request"
    Path("a.csv").rename("three.csv")
    code, _, err = call(*request)
    assert code == 0 and f"5 of {USERS + 1} users were done before; their lists were taken as they stand" in err
    call(*request[:-1], "b.csv")
    assert Path("a.csv").read_bytes() == Path("b.csv").read_bytes()
    assert sorted(path.name for path in Path().iterdir()) == ["a.csv", "b.csv", "three.csv"]


def test_two_processes_do_not_write_the_same_table(tmp_path: Path) -> None:
    def again(start: int) -> Iterator[tuple[int, pl.DataFrame]]:
        with pytest.raises(RequestError, match="another process is writing it"):
            write_table(tmp_path / "a.csv", "request", blocks(1), 1, "writing", "units")
        yield from blocks(1)(start)

    write_table(tmp_path / "a.csv", "request", again, 1, "writing", "units")
    assert pl.read_csv(tmp_path / "a.csv")["unit"].to_list() == [0, 0, 0]


def test_a_table_that_appears_meanwhile_stops_the_next_before_it_computes(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("of another process")
    with pytest.raises(RequestError, match="has appeared meanwhile"):
        write_table(tmp_path / "a.csv", "request", blocks(1), 1, "writing", "units")
    assert [path.name for path in tmp_path.iterdir()] == ["a.csv"]


def test_what_cannot_be_written_is_one_line(call: Call, shop: Path, tmp_path: Path) -> None:
    Path("there.csv").touch()
    Path("link.csv").symlink_to(tmp_path / "elsewhere.csv")
    folder = folder_of(shop, "clicks")
    for request, message in (
        (["--all", "--out", "there.csv"], "--out there.csv: is there already; name a file that is not"),
        (["--all", "--out", "link.csv"], "--out link.csv: is there already"),
        (["--all", "--out", "a.txt"], "is written as Parquet or CSV; name a file that ends in .parquet or .csv"),
        (["--all", "--out", "there.csv/a.csv"], "cannot be written"),
        (["--all", "--top", "26", "--out", "a.csv"], "top 26: csv has 25 items; ask for at most 25"),
        (["--all", "--arm", "2", "--out", "a.csv"], "arm 2: csv has the treatments 1..1"),
        (["--user", "u1", "--memory-mb", "3"], "--memory-mb: bounds the lists of many users; leave it out"),
        (["--all", "--memory-mb", "0", "--out", "a.csv"], "--memory-mb: '0': give a number above 0"),
        (["--user", "u1", "--reranker", "no"], "--reranker no: no such re-ranker"),
        (["--user", "u1", "--reranker", "mmr", "--set", "curve=[0.1]"], "--set curve: is read by `train` alone"),
        (["--user", "u1", "--set", "weight=1"], "--set: is of a policy or a re-ranker"),
        (["--all", "--user", "u1", "--out", "a.csv"], "recommend: --user and --all; give one of"),
    ):
        code, out, err = call("recommend", folder, *request)
        assert code == 2 and message in err and err.count("\n") == 1 and not out, err
    assert sorted(path.name for path in Path().iterdir()) == ["link.csv", "there.csv"]


@dataclass(frozen=True, kw_only=True)
class Reverse(AbstractReranker):
    """The best items, the last of them first."""

    weight: float = 1.0
    curve: tuple[float, ...] = ()
    candidates: int = 3
    column: str = "genres"

    def check(self, card: DatasetCard) -> None:
        if self.column not in [column.name for column in card.columns]:
            raise RequestError(f"column={self.column}: no such column")

    def bind(self, facts: CatalogueFacts) -> Rerank:
        assert facts.num_items == ITEMS + 1

        def rerank(candidates: Candidates, k: int) -> Ints:
            width = candidates.item.shape[1]
            return np.tile(np.arange(width)[::-1][:k], (len(candidates.user), 1))

        return rerank


def test_a_reranker_orders_the_lists_of_one_and_of_many(
    call: Call, shop: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def component(name: str, settings: list[str]) -> ComponentConfig[AbstractReranker]:
        return ComponentConfig(Reverse, dict(reranker_choice.parse_setting(name, text) for text in settings))

    monkeypatch.setattr(reranker_choice, "reranker_component", component)
    folder = folder_of(shop, "clicks")
    plain, ordered = (
        [
            row["item"]
            for row in json.loads(call("recommend", folder, "--user", "u4", "--top", "3", "--json", *more)[1])["items"]
        ]
        for more in ([], ["--reranker", "reverse"])
    )
    assert ordered == plain[::-1]
    assert call("recommend", folder, "--all", "--top", "2", "--reranker", "reverse", "--out", "a.parquet")[0] == 0
    table = pl.read_parquet("a.parquet").filter(pl.col("user") == "u4")
    assert table["item"].to_list() == plain[:0:-1], "of the best three"
    assert table["predicted"].is_sorted()
    code, _, err = call("recommend", folder, "--user", "u4", "--reranker", "reverse", "--set", "column=x")
    assert code == 2 and "--reranker reverse: column=x: no such column" in err
    assert "order: reverse" in call("recommend", folder, "--user", "u4", "--reranker", "reverse")[1]


PART = " in the part that a smoke run reads"
PAIRS = 'user,item,note\nu1,i3,"a, b"\nu2,i5,\nnew,lonely,=1\n'


def test_pairs_of_a_file_are_predicted_with_their_other_columns(call: Call, shop: Path) -> None:
    Path("pairs.csv").write_text(PAIRS)
    folder = folder_of(shop, "trial")
    run = TrainedRun.load(Path(folder))
    wanted = run.predict(["u1", "u2", "new"], ["i3", "i5", "lonely"], 2)
    code, out, err = call("predict", folder, "--pairs", "pairs.csv", "--arm", "2")
    assert code == 0 and out.startswith('user,item,note,effect\nu1,i3,"a, b",') and err == ""
    document = json.loads(call("predict", folder, "--pairs", "pairs.csv", "--arm", "2", "--json")[1])
    assert document["estimand"] == "effect"
    np.testing.assert_allclose([row["effect"] for row in document["predictions"]], wanted)
    pl.read_csv("pairs.csv").with_columns(weight=pl.Series([1.5, 2.5, 3.5])).write_parquet("pairs.parquet")
    code, out, _ = call("predict", folder, "--pairs", "pairs.parquet", "--arm", "2", "--out", "out.parquet")
    assert code == 0 and "rows: 3" in out and "column: effect" in out
    table = pl.read_parquet("out.parquet")
    assert table.columns == ["user", "item", "note", "weight", "effect"] and table["weight"].dtype == pl.Float64
    np.testing.assert_allclose(table["effect"], wanted)


def test_many_pairs_of_one_user_are_predicted_in_blocks(
    call: Call, shop: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    count, sizes = 300_000, list[int]()
    pl.DataFrame(
        {"user": "u1", "item": pl.Series([f"i{k}" for k in range(ITEMS)] * (count // ITEMS + 1)).head(count)}
    ).write_csv("many.csv")
    predict_rows = TrainedRun.predict_rows

    def predict(run: TrainedRun, user: Ints, item: Ints, treatment: int = 1) -> Any:
        sizes.append(len(user))
        return predict_rows(run, user, item, treatment)

    monkeypatch.setattr(TrainedRun, "predict_rows", predict)
    request = [
        "predict",
        folder_of(shop, "clicks"),
        "--pairs",
        "many.csv",
        "--memory-mb",
        "64",
        "--out",
        "many.parquet",
    ]
    code, out, err = call(*request)
    assert code == 0 and f"rows: {count}" in out, err
    table = pl.read_parquet("many.parquet")
    assert sum(sizes) == len(table) == count and max(sizes) <= 62_500, "a kilobyte a pair"
    assert table["predicted"].round(5).n_unique() <= ITEMS


def test_pairs_that_cannot_be_predicted_are_one_line(call: Call, shop: Path) -> None:
    folder = folder_of(shop, "clicks")
    good = [f"u{k % USERS},i{k % ITEMS}" for k in range(50)]
    for text, message in (
        (
            ["user,item", *good, "u1,i99", "u3,x"],
            f"p.csv: line 52: item i99: csv has no such item{PART} (2 rows name items",
        ),
        (
            ["user,item", *good, "u77,i9"],
            f"p.csv: line 52: user u77: csv has no such user{PART}; the 31 ids run from new",
        ),
        (["user,thing", "u1,i1"], "p.csv: line 1: item: no such column"),
        (["user;item", "u1;i1"], "the separator looks like ';'"),
        ([], "p.csv: line 1: no columns user, item; it is empty"),
        (["user,item"], "p.csv: holds no pair; write one a line below the names of the columns"),
        (["user,item,predicted", "u1,i1,3"], "p.csv: has a column predicted, as the predictions have; rename it"),
        (["user,item", "u1,i1,i3"], "p.csv: line 2"),
        (["user,item", "u1,"], "p.csv: line 2: item"),
    ):
        Path("p.csv").write_text("\n".join(text) + "\n")
        for out in ([], ["--out", "o.csv"]):
            code, printed, err = call("predict", folder, "--pairs", "p.csv", *out)
            assert code == 2 and message in err and err.count("\n") == 1 and not printed, err
    for request, message in (
        (["--pairs", "no.csv"], "--pairs no.csv: there is no such file"),
        (["--pairs", "p.csv", "--out", "p.csv"], "--out p.csv: is there already"),
        (["--pairs", "p.csv", "--arm", "3"], "arm 3: csv has the treatments 1..1"),
    ):
        code, _, err = call("predict", folder, *request)
        assert code == 2 and message in err and err.count("\n") == 1, err
    assert [path.name for path in Path().iterdir()] == ["p.csv"]


def test_a_new_item_is_predicted_as_one_without_rows_of_its_columns(call: Call, shop: Path) -> None:
    Path("things.csv").write_text("item,price,genres,title\ntwin,3,drama,Twin\ndear,7,drama|comedy,Dear\n")
    Path("people.csv").write_text("user,age,job\nsibling,33,baker\n")
    Path("pairs.csv").write_text("user,item\nu1,lonely\nu1,twin\nnew,lonely\nsibling,twin\nu1,dear\nu1,i3\n")
    new = ["--new-items", "things.csv", "--new-users", "people.csv"]
    for name in ("trial", "table"):
        code, out, err = call("predict", folder_of(shop, name), "--pairs", "pairs.csv", *new, "--arm", "2", "--json")
        assert code == 0, err
        value = [row["effect"] for row in json.loads(out)["predictions"]]
        assert value[0] == pytest.approx(value[1], rel=1e-5) and value[2] == pytest.approx(value[3], rel=1e-5)
        assert value[0] != pytest.approx(value[4], rel=1e-5)
        run = TrainedRun.load(Path(folder_of(shop, name)))
        assert value[5] == pytest.approx(run.predict("u1", "i3", 2)[0], rel=1e-5), "old ids as before"
    code, out, err = call("recommend", folder_of(shop, "clicks"), *new, "--top", "30", "--out", "a.parquet")
    assert code == 2 and "top 30: csv has 27 items" in err
    code, out, err = call("recommend", folder_of(shop, "clicks"), *new, "--top", "27", "--out", "a.parquet")
    table = pl.read_parquet("a.parquet")
    assert code == 0 and set(table["user"]) == {"sibling"} and {"twin", "dear", "i0"} < set(table["item"])
    code, out, err = call(
        "recommend",
        folder_of(shop, "clicks"),
        "--user",
        "u1",
        "--new-items",
        "things.csv",
        "--include-seen",
        "--top",
        "27",
        "--json",
    )
    assert {"twin", "dear"} < {row["item"] for row in json.loads(out)["items"]}, err


def test_new_ids_that_cannot_be_read_are_one_line(call: Call, shop: Path) -> None:
    folder = folder_of(shop, "clicks")
    for text, message in (
        ("item,price\ntwin,3\n", "n.csv: has no column genres; it needs item, price, genres"),
        ("thing,price,genres\ntwin,3,drama\n", "n.csv: has no column item"),
        ("item,price,genres\ntwin,dear,drama\n", "n.csv: line 2: price: 'dear' is not a finite number"),
        ("item,price,genres\ntwin,3,dramma\n", "column genres: row 1: the data have no level 'dramma'; did you mean"),
        ("item,price,genres\ni3,3,drama\n", "n.csv: csv has the item i3 (1 such ids); leave it out"),
        ("item,price,genres\na,3,drama\na,4,drama\n", "n.csv: line 3: item: the id 'a' stands in an earlier row"),
        ("item,price,genres\n", "n.csv: has no row; write one for each new item"),
    ):
        Path("n.csv").write_text(text)
        code, printed, err = call("recommend", folder, "--all", "--new-items", "n.csv", "--out", "o.csv")
        assert code == 2 and message in err and err.count("\n") == 1 and not printed, err
    code, _, err = call("recommend", folder, "--all", "--new-items", "no.csv", "--out", "o.csv")
    assert code == 2 and "--new-items no.csv: there is no such file" in err
    assert [path.name for path in Path().iterdir()] == ["n.csv"]
