"""Upworthy: arms, rates and chances as the raw file says, whole tests held out, and bad rows refused."""

from __future__ import annotations

import csv
import dataclasses
import gzip
import hashlib
import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from conftest import require

from causalrec.config.compose import compose_config, validate_config
from causalrec.data.datasets import upworthy
from causalrec.data.datasets.upworthy import Upworthy, strip_html
from causalrec.errors import DataError
from causalrec.graph.identify import identify

DATA = Path(os.environ.get("CAUSALREC_DATA", Path.home() / ".cache" / "causalrec" / "data"))
HEADER = [
    *("clickability_test_id", "headline", "lede", "excerpt", "impressions", "clicks", "significance", "winner"),
    *("first_place", "test_week", "eyecatcher_id", "winner_count_anomaly", "ctr"),
]
Fake = Callable[..., Path]


def arm(
    test: str, headline: str, impressions: object, clicks: object, week: int = 201446, image: str = "e1"
) -> list[str]:
    return [
        test,
        headline,
        "<p>A, lede</p>",
        "Not shown",
        *map(str, (impressions, clicks, 100.0, True, True, week)),
        image,
        "False",
        "0.1",
    ]


ARMS = [
    arm("t1", "Watch <strong>this</strong> &amp; <br>think", 1000, 20),
    arm("t2", "Pillow <— 'Cause", 500, 5, week=201300, image=""),
    arm("t1", "Watch that", 2000, 10),
    arm("t3", "Doubted", 100, 1, week=201402),
    arm("t3", "Doubted too", 100, 2, week=201403),  # one arm in the doubted weeks taints its test
    arm("t2", "Pillow", 500, 6, week=201300),
    arm("t2", "Pillow", 500, 7, week=201300),  # a repeat of headline and image is an arm of its own
    arm("t4", "Edge", 100, 3, week=201324),
    arm("t4", "Edges", 100, 4, week=201403),
]


@pytest.fixture
def fake(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Fake:
    """Write the quoted, gzipped file, or the owner's plain one, optionally with one line replaced."""

    def write(line: int = 0, row: list[str] | None = None, *, official: bool = False) -> Path:
        rows = [HEADER, *ARMS]
        if row is not None:
            rows[line - 1] = row
        source = upworthy.OFFICIAL if official else upworthy.COMPACT
        path = tmp_path / "upworthy" / next(iter(source.files))
        path.parent.mkdir(exist_ok=True)
        with (path.open if official else lambda *a, **k: gzip.open(path, *a, **k))("wt", newline="") as stream:
            writer = csv.writer(stream, quoting=csv.QUOTE_MINIMAL if official else csv.QUOTE_ALL, lineterminator="\n")
            writer.writerows([[str(k), *r] for k, r in enumerate(rows)] if official else rows)
        if not official:
            sums = {path.name: hashlib.sha256(path.read_bytes()).hexdigest()}
            monkeypatch.setattr(upworthy, "COMPACT", dataclasses.replace(source, files=sums))
        return tmp_path

    return write


def rows(root: Path, **options: object) -> dict[int, tuple[float, float, bool]]:
    """Item -> (outcome, propensity, held out)."""
    data = Upworthy(**options).load(root)  # type: ignore[arg-type]
    assert data.randomised is not None
    sides = [(data.logged, False), (data.randomised, True)]
    return {
        int(i): (float(y), float(p), held)
        for log, held in sides
        for i, y, p in zip(log.item, log.outcome, log.propensity, strict=True)  # type: ignore[arg-type]
    }


def test_each_arm_is_a_row_with_its_rate_and_the_chance_within_its_test(fake: Fake) -> None:
    by_item = rows(fake())
    assert [by_item[k][0] for k in range(7)] == pytest.approx([0.02, 0.01, 0.005, 0.012, 0.014, 0.03, 0.04])
    assert [by_item[k][1] for k in range(7)] == pytest.approx([1 / 2, 1 / 3, 1 / 2, 1 / 3, 1 / 3, 1 / 2, 1 / 2])


def test_tests_of_the_doubted_weeks_are_left_out_unless_asked_for(fake: Fake, caplog: pytest.LogCaptureFixture) -> None:
    root = fake()
    with caplog.at_level("INFO"):
        assert len(rows(root)) == 7
    assert "1 tests, 2 arms of doubted weeks left out" in caplog.text
    assert len(rows(root, keep_unreliable=True)) == 9
    assert rows(root, keep_unreliable=True)[3][1] == pytest.approx(0.5)


@pytest.mark.parametrize("seed", range(6))
def test_arms_of_one_test_never_straddle(fake: Fake, seed: int) -> None:
    root = fake()
    tests = np.array(Upworthy().load(root).item_table["test"].to_list())
    held = np.array([rows(root, test_share=0.34, seed=seed)[k][2] for k in range(7)])
    assert held.any() and not held.all()
    assert len(set(tests[held]) & set(tests[~held])) == 0
    assert len(set(tests[held])) == 1


def test_the_seed_chooses_the_held_out_tests(fake: Fake) -> None:
    root = fake()
    choices = {tuple(rows(root, test_share=0.34, seed=seed)[k][2] for k in range(7)) for seed in range(12)}
    assert len(choices) == 3
    assert rows(root, seed=5) == rows(root, seed=5)


def test_the_item_table_holds_the_headline_shown_and_no_lede(fake: Fake) -> None:
    data = Upworthy().load(fake())
    table = data.item_table
    assert table["headline"].to_list()[:2] == ["Watch this & think", "Pillow <— 'Cause"]
    assert table["eyecatcher"].to_list()[:3] == ["e1", "unknown", "e1"]
    assert table["week"].to_list()[:2] == [98.0, 0.0] and table["impressions"].to_list()[:2] == [1000.0, 500.0]
    assert set(table.columns) == {c.name for c in data.card.columns if c.kind != "id"}
    assert data.logged.user is None and not {"lede", "excerpt"} & set(table.columns)


def test_the_owner_s_file_gives_the_same_arms(fake: Fake) -> None:
    compact = rows(fake())
    (fake() / "upworthy" / next(iter(upworthy.COMPACT.files))).unlink()
    assert rows(fake(official=True)) == compact


def test_absent_files_are_asked_for_with_the_owner_s_page(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"packages-03\.12\.2020\.csv from https://osf\.io/jd64p/ into"):
        Upworthy().load(tmp_path)


@pytest.mark.parametrize(
    ("row", "message"),
    [
        (arm("t1", "x", 0, 0), r"line 4: impressions below 1 \(test t1\)"),
        (arm("t1", "x", 10, 11), r"line 4: clicks outside 0\.\.impressions"),
        (arm("t1", "x", 10, -1), r"line 4: clicks outside 0\.\.impressions"),
        (arm("t9", "x", 10, 1), r"line 2: a test of a single arm \(test t1\)"),
        (arm("t1", "x", "many", 1), r"line 4: impressions 'many' is not a Int64"),
        (arm("t1", "x", "", 1), r"line 4: impressions .* is not a Int64|line 4: impressions is None"),
    ],
)
def test_a_bad_row_is_refused_with_its_line(fake: Fake, row: list[str], message: str) -> None:
    with pytest.raises(DataError, match=message):
        Upworthy().load(fake(4, row))


def test_a_lone_test_cannot_be_split(fake: Fake, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("test_upworthy.ARMS", [ARMS[0], ARMS[2]])
    with pytest.raises(DataError, match="1 tests are left"):
        Upworthy().load(fake())


def test_tags_leave_no_double_space_and_an_arrow_stays() -> None:
    assert strip_html("<span></span> a<br/>b &lt; c") == "a b < c"
    assert strip_html("x <3 y") == "x <3 y"


def test_training_is_identified_by_randomisation() -> None:
    spec = validate_config(compose_config(["dataset=upworthy"]))
    adjustment = identify(spec.graph.build(), spec.dataset.build().card)
    assert (adjustment.training.strategy, adjustment.evaluation.strategy) == ("randomised", "randomised")


@pytest.mark.long
def test_the_real_file_is_whole() -> None:
    require(upworthy.COMPACT)
    everything, reliable = Upworthy(keep_unreliable=True).load(DATA), Upworthy().load(DATA)
    assert reliable.randomised is not None
    assert (everything.logged.num_items, reliable.logged.num_items) == (22_666, 22_666 - 4_490)
    assert (everything.item_table["test"].n_unique(), reliable.item_table["test"].n_unique()) == (4_873, 4_873 - 1_102)
    assert int(everything.item_table["impressions"].sum()) == 81_024_151
    assert len(reliable.randomised) == pytest.approx(0.2 * reliable.logged.num_items, rel=0.03)
