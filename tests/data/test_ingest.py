"""Ingest: the store is whole or absent, keyed by what it depends on, and the same in batches of any size."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

from causalrec.data.checked_folder import META, open_sealed
from causalrec.data.datasets.csv import CsvTables
from causalrec.data.tabular import ingest
from causalrec.data.tabular.ingest import last_of_repeats
from causalrec.data.tabular.npy import ArrayWriter
from causalrec.data.tabular.store import scratch_folder, store_folder
from causalrec.errors import DataError

LARGE = 60_000


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A log of more rows than a reader takes at once, with string ids in no order."""
    rng = np.random.default_rng(1)
    frame = pl.DataFrame(
        {
            "user": [f"u{k:x}" for k in rng.integers(5_000, size=LARGE) * 7919 % 5_003],
            "item": rng.integers(300, size=LARGE),
            "rating": rng.integers(1, 6, size=LARGE),
            "time": rng.integers(10**9, size=LARGE),
        }
    )
    (tmp_path / "csv").mkdir()
    frame.write_csv(tmp_path / "csv" / "interactions.csv")
    return tmp_path


def load(root: Path, **keys: Any) -> Any:
    return CsvTables(threshold=None, time="time", repeats="allowed", **keys).load(root)


def stores(root: Path) -> list[Path]:
    return sorted(path for path in (root / "csv" / ".causalrec").iterdir())


def raw(root: Path) -> pl.DataFrame:
    return pl.read_csv(root / "csv" / "interactions.csv")


def matches_file(root: Path, data: Any) -> bool:
    frame, log = raw(root), data.logged
    return (
        data.user_table["user"].gather(log.user).to_list() == frame["user"].to_list()
        and data.item_table["item"].gather(log.item).cast(pl.Int64).to_list() == frame["item"].to_list()
        and log.outcome.tolist() == frame["rating"].to_list()
        and log.time.tolist() == frame["time"].to_list()
    )


@pytest.mark.parametrize("rows", [999, 25_000, ingest.ROWS])
def test_batches_of_any_size_give_the_rows_of_the_file(root: Path, rows: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ingest, "ROWS", rows)
    data = load(root)
    assert matches_file(root, data)
    assert data.user_table["user"].to_list() == sorted(set(raw(root)["user"])), "ids in order, not as threads met them"
    assert data.item_table["item"].to_list() == [str(k) for k in range(300)], "whole numbers in the order of numbers"


def test_arrays_are_memory_mapped_and_opened_again_without_the_raw_file_being_read(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = load(root)
    monkeypatch.setattr("causalrec.data.tabular.open_store.Build", None)
    again = load(root)
    assert isinstance(again.logged.user.base, np.memmap) or isinstance(again.logged.user, np.memmap)
    assert again.logged.user.tolist() == first.logged.user.tolist()
    assert again.raw_sha256 == first.raw_sha256 != {}


def test_a_changed_file_or_key_is_read_anew(root: Path) -> None:
    assert len(load(root).logged) == LARGE
    path = root / "csv" / "interactions.csv"
    with path.open("a") as out:
        out.write("new,1,5,7\n")
    assert len(load(root).logged) == LARGE + 1
    assert len(stores(root)) == 2
    load(root, scale=(0.0, 5.0))
    assert len(stores(root)) == 3
    CsvTables(threshold=4, time="time", repeats="allowed").load(root)
    assert len(stores(root)) == 3, "the threshold is applied on loading"


@pytest.mark.parametrize("damage", ["cut", "gone", "meta", "no meta"])
def test_a_damaged_store_is_made_again(root: Path, damage: str) -> None:
    load(root)
    (store,) = stores(root)
    array = store / "logged" / "item.npy"
    if damage == "cut":
        array.write_bytes(array.read_bytes()[:-8])
    elif damage == "gone":
        array.unlink()
    else:
        (store / META).write_text("{") if damage == "meta" else (store / META).unlink()
    assert open_sealed(store) is None
    assert matches_file(root, load(root))


def test_a_failed_build_leaves_nothing(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupt(*_: Any, **__: Any) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("causalrec.data.tabular.build.write_rows", interrupt)
    with pytest.raises(KeyboardInterrupt):
        load(root)
    assert stores(root) == []


def test_two_processes_at_once_make_one_store(root: Path) -> None:
    code = (
        "import sys; from pathlib import Path; from causalrec.data.datasets.csv import CsvTables;"
        "d = CsvTables(threshold=None, time='time', repeats='allowed').load(Path(sys.argv[1]));"
        "print(len(d.logged), int(d.logged.user.sum()), int(d.logged.item.sum()))"
    )
    both = [subprocess.Popen([sys.executable, "-c", code, str(root)], stdout=subprocess.PIPE) for _ in range(2)]
    said = [process.communicate(timeout=120)[0] for process in both]
    assert [process.returncode for process in both] == [0, 0]
    log = load(root).logged
    assert said == [f"{LARGE} {int(log.user.sum())} {int(log.item.sum())}\n".encode()] * 2
    assert len(stores(root)) == 1


def test_the_store_lies_below_paths_data_only_where_the_files_do(
    root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CAUSALREC_CACHE", str(tmp_path / "cache"))
    assert store_folder(root / "csv", root) == root / "csv" / ".causalrec"
    assert store_folder(root / "csv", root / "other") == tmp_path / "cache" / "tables"
    monkeypatch.setattr(os, "access", lambda *_: False)
    assert store_folder(root / "csv", root) == tmp_path / "cache" / "tables"
    assert matches_file(root, load(root))
    assert not (root / "csv" / ".causalrec").exists()


def test_a_store_that_another_process_finished_first_is_kept(root: Path) -> None:
    load(root)
    (store,) = stores(root)
    mark = json.loads((store / META).read_text())["content"]
    ours = root / "ours"
    shutil.copytree(store, ours)
    (ours / META).unlink()
    from causalrec.data.tabular.store import keep_store

    assert keep_store(ours, store, {k: v for k, v in mark.items() if k != "sums"})["sums"] == mark["sums"]
    assert open_sealed(store) == mark


def test_an_array_written_in_chunks_is_a_plain_npy_file(tmp_path: Path) -> None:
    with ArrayWriter(tmp_path / "a.npy", np.float32) as out:
        for chunk in np.array_split(np.arange(1000, dtype=np.float64), 7):
            out.append(chunk)
    array = np.load(tmp_path / "a.npy", mmap_mode="r", allow_pickle=False)
    assert array.dtype == np.float32 and array.tolist() == list(range(1000))


def test_the_last_of_each_repeated_code_is_kept() -> None:
    assert last_of_repeats(np.array([3, 1, 3, 2, 1])).tolist() == [False, False, True, True, True]  # type: ignore[union-attr]
    assert last_of_repeats(np.array([3, 1, 2])) is None


@pytest.mark.parametrize("kind", ["a link", "a file"])
def test_nothing_is_written_or_removed_where_a_linked_store_leads(
    kind: str, root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("CAUSALREC_CACHE", str(tmp_path / "cache"))
    elsewhere, inside = tmp_path / "elsewhere", root / "csv" / ".causalrec"
    (elsewhere / ".making-old").mkdir(parents=True)
    os.utime(elsewhere / ".making-old", (0, 0))
    inside.symlink_to(elsewhere) if kind == "a link" else inside.touch()
    assert store_folder(root / "csv", root) == tmp_path / "cache" / "tables"
    assert capsys.readouterr().err == (
        f"causalrec: {inside}: {kind}, not a folder, so the cache folder is used; remove it\n"
    )
    (tmp_path / "cache").mkdir()
    (tmp_path / "cache" / "tables").symlink_to(elsewhere)
    with pytest.raises(DataError, match="tables: a symbolic link"), scratch_folder(tmp_path / "cache/tables/x"):
        pass
    assert [path.name for path in elsewhere.iterdir()] == [".making-old"]
