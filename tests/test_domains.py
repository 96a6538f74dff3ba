"""`causalrec train` end to end on each kind of log: formats whose files are not free, and positive-only logs."""

from __future__ import annotations

import dataclasses
import hashlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from conftest import last_of_each

from causalrec import cli
from causalrec.data.datasets import kuairand, ml1m, yahoo_r3
from causalrec.data.popularity import LEVELS
from causalrec.evaluation import catalogue_scores
from causalrec.training.module import CausalRecModule

USERS, ITEMS = 20, 16
QUICK = [
    "trainer=smoke",
    "selection.folds=1",
    "logger=none",
    "selection.candidates={optimizer.weight_decay:[0.1]}",
    "trainer.progress=false",
]
QUICK += ["evaluation.replicates=20", "split.unseen=drop", "propensity=popularity", "objective=ips"]
Run = Callable[..., dict[str, Any]]


def pairs(count: int, seed: int) -> list[tuple[int, int, int]]:
    """Distinct (user, item, stars) rows, ids from 1, better items rated more often."""
    rng = np.random.default_rng(seed)
    pull = np.tile(np.linspace(1, 4, ITEMS), USERS)
    codes = rng.choice(USERS * ITEMS, count, replace=False, p=pull / pull.sum())
    stars = np.clip(np.round(1 + 4 * (codes % ITEMS) / ITEMS + rng.normal(size=count)), 1, 5).astype(int)
    return [(int(c // ITEMS) + 1, int(c % ITEMS) + 1, int(s)) for c, s in zip(codes, stars, strict=True)]


LOGGED, RANDOM = pairs(200, 0), pairs(60, 1)


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Run:
    """Train one job on files below `data` through the command and return its record."""
    monkeypatch.setenv("CAUSALREC_DATA", str(tmp_path / "data"))
    monkeypatch.setenv("CAUSALREC_CACHE", str(tmp_path / "cache"))
    monkeypatch.chdir(tmp_path)

    def call(*overrides: str, code: int = 0) -> dict[str, Any]:
        capsys.readouterr()
        assert cli.main(last_of_each("train", "--json", *QUICK, *overrides)) == code, capsys.readouterr().err
        (record,) = json.loads(capsys.readouterr().out)
        assert isinstance(record, dict)
        return record

    return call


def write(folder: Path, files: dict[str, list[str]], encoding: str = "utf-8") -> dict[str, str]:
    """Write the files and return their checksums."""
    folder.mkdir(parents=True)
    for name, lines in files.items():
        (folder / name).write_text("\n".join(lines) + "\n", encoding=encoding)
    return {name: hashlib.sha256((folder / name).read_bytes()).hexdigest() for name in files}


def values(record: dict[str, Any], metric: str) -> dict[str, float]:
    return {score["slice"]: score["value"] for score in record["scores"] if score["metric"] == metric}


def auc_slices(record: dict[str, Any]) -> set[str]:
    """The slices that an AUC stands on, without their parts by popularity."""
    return {name for name in values(record, "auc") if not name.endswith(tuple(f"_{level}" for level in LEVELS))}


def test_yahoo_r3(run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    ratings = {yahoo_r3.TRAIN: LOGGED, yahoo_r3.TEST: RANDOM}
    files = {name: ["\t".join(map(str, row)) for row in rows] for name, rows in ratings.items()}
    write(tmp_path / "data" / "yahoo_r3", files)
    monkeypatch.setattr(yahoo_r3, "ROWS", {name: len(lines) for name, lines in files.items()})
    record = run("dataset=yahoo_r3")
    assert record["audit"]["test"].startswith("randomised") and 0 <= values(record, "auc")["randomised"] <= 1


TEMPORAL = "causalrec.data.split.temporal.Temporal"


def test_ml1m(run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    files = {
        "ratings.dat": [f"{u}::{i}::{r}::{978300000 + 7 * k}" for k, (u, i, r) in enumerate(LOGGED)],
        "users.dat": [f"{u}::{'FM'[u % 2]}::{(1, 18, 56)[u % 3]}::{u % 20}::{10000 + u}" for u in range(1, USERS + 1)],
        "movies.dat": [f"{i}::Café {i} (19{60 + i})::Drama|War" for i in range(1, ITEMS + 1)],
    }
    sums = write(tmp_path / "data" / "ml-1m", files, "latin-1")
    monkeypatch.setattr(ml1m, "ML1M_FILES", dataclasses.replace(ml1m.ML1M_FILES, files=sums))
    record = run("dataset=ml1m", "split=temporal")
    assert auc_slices(record) == {"logged"} and record["config"]["split"]["_target_"] == TEMPORAL


def test_kuairand(run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    head = "user_id,video_id,date,hourmin,time_ms,is_click,is_like,is_follow,is_comment,is_forward,is_hate,long_view,"
    head += "play_time_ms,duration_ms,profile_stay_time,comment_stay_time,is_profile_enter,is_rand,tab"

    def log(rows: list[tuple[int, int, int]]) -> list[str]:
        lines = (
            f"{u},{i},20220422,1900,{1_650_000_000_000 + 1000 * k},{int(r > 3)},0,0,0,0,0,0,500,1000,0,0,0,0,1"
            for k, (u, i, r) in enumerate(rows)
        )
        return [head, *lines]

    people = ",".join(["user_id", *kuairand.USER_CATEGORIES[:2], "is_lowactive_period", *kuairand.USER_CATEGORIES[2:]])
    levels = ",".join(["full_active", *["0"] * len(kuairand.USER_CATEGORIES)])
    videos = "video_id,author_id,video_type,upload_dt,upload_type,visible_status,video_duration,server_width,"
    videos += "server_height,music_id,music_type,tag"
    files = {
        "log_standard_4_08_to_4_21_pure.csv": log(LOGGED[:3]),
        "log_standard_4_22_to_5_08_pure.csv": log(LOGGED),
        "log_random_4_22_to_5_08_pure.csv": log(RANDOM),
        "user_features_pure.csv": [people, *(f"{u},{levels}" for u in range(1, USERS + 1))],
        "video_features_basic_pure.csv": [
            videos,
            *(f"{i},3,NORMAL,2022-04-10,Web,0.0,{900 + i}.0,720.0,1280.0,9,9.0,{i % 3}" for i in range(1, ITEMS + 1)),
        ],
    }
    sums = write(tmp_path / "data" / "kuairand-pure", files)
    monkeypatch.setattr(kuairand, "PURE", dataclasses.replace(kuairand.PURE, files=sums))
    assert "randomised" in values(run("dataset=kuairand"), "auc")


def test_kuairec_names_its_block_fully_observed(run: Run, tmp_path: Path) -> None:
    from causalrec.data.datasets.kuairec import USER_CATEGORIES

    head = "user_id,video_id,play_duration,video_duration,time,date,timestamp,watch_ratio"

    def matrix(rows: list[tuple[int, int, int]]) -> list[str]:
        return [head, *(f"{u},{i},9,9,t,20200705,{1593878903 + k}.5,{r / 2}" for k, (u, i, r) in enumerate(rows))]

    folder = tmp_path / "data"
    levels = ",".join(["full_active", *["0"] * (len(USER_CATEGORIES) - 1)])
    files = {
        "big_matrix.csv": matrix(LOGGED),
        "small_matrix.csv": matrix(RANDOM),
        "user_features.csv": [",".join(["user_id", *USER_CATEGORIES]), *(f"{u},{levels}" for u in range(1, USERS + 1))],
        "item_categories.csv": ["video_id,feat", *(f'{i},"[{i % 3}, 9]"' for i in range(1, ITEMS + 1))],
    }
    write(folder / "kuairec", files)
    record = run("dataset=kuairec", "dataset.captions=false")
    assert auc_slices(record) == {"fully_observed"}
    assert record["audit"]["test"].startswith("fully observed")
    assert record["adjustment"]["evaluation"]["strategy"] == "fully observed"


@pytest.fixture
def shop(tmp_path: Path) -> list[str]:
    """The overrides of a positive-only log of one's own."""
    lines = [f"{u},{i},1" for u, i, _ in LOGGED]
    write(tmp_path / "data" / "csv", {"interactions.csv": ["user,item,rating", *lines]})
    return ["dataset=csv", "dataset.feedback=positive_only", "dataset.threshold=1", "dataset.kind=click"]


@pytest.mark.parametrize("objective", ["bpr", "rel_mf", "pda", "macr", "dice"])
def test_positive_only_logs_are_ranked_in_full(objective: str, run: Run, shop: list[str]) -> None:
    record = run(*shop, f"objective={objective}", "propensity=relative_popularity")
    assert (record["status"], record["error"]) == ("done", None)
    slices = {score["slice"] for score in record["scores"]}
    assert "full_ranking" in slices and slices <= {"full_ranking", *(f"full_ranking_{level}" for level in LEVELS)}
    assert {score["metric"] for score in record["scores"]} >= {"ndcg@5", "recall@5"}
    assert "mse" not in {score["metric"] for score in record["scores"]}, "a score has no unit"
    assert {score["model"] for score in record["baselines"]} >= {"popularity", "constant"}


class GoneError(BaseException):
    """Ends a process as nothing that it catches does."""


def test_a_job_killed_while_it_scores_goes_on_at_scoring(
    run: Run, shop: list[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    request = [*shop, "objective=bpr", "propensity=relative_popularity"]

    def end(*_: object) -> None:
        raise GoneError

    with monkeypatch.context() as patch, pytest.raises(GoneError):
        patch.setitem(catalogue_scores.UPDATES, "ranking", end)
        cli.main(last_of_each("train", *QUICK, *request))
    assert not list((tmp_path / "runs").rglob("record.json"))
    monkeypatch.setattr(CausalRecModule, "training_step", lambda *_: pytest.fail("it was trained again"))
    assert run(*request)["status"] == "done"


def test_a_bound_too_small_for_one_user_is_refused_before_any_fit(
    run: Run, shop: list[str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(CausalRecModule, "training_step", lambda *_: pytest.fail("it was trained"))
    request = [*shop, "objective=bpr", "propensity=relative_popularity", "evaluation.memory_mb=0.0001"]
    assert cli.main(last_of_each("train", *QUICK, *request)) == 2
    assert "evaluation.memory_mb=0.0001: on full_ranking one user's" in capsys.readouterr().err


def test_an_objective_of_two_outcome_classes_is_refused_on_a_positive_only_log(
    run: Run, shop: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.main(last_of_each("train", *QUICK, *shop, "objective=dr")) == 2
    assert "objective=dr: undefined for the positive_only feedback" in capsys.readouterr().err
