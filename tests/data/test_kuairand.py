"""KuaiRand-Pure: rows, repeats and outcomes as the raw files say, and bad rows refused with their line."""

from __future__ import annotations

import dataclasses
import hashlib
import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from causalrec.config.compose import compose_config, validate_config
from causalrec.data.datasets import kuairand
from causalrec.data.datasets.kuairand import USER_CATEGORIES, KuaiRand
from causalrec.errors import DataError
from causalrec.graph.identify import identify

DATA = Path(os.environ.get("CAUSALREC_DATA", Path.home() / ".cache" / "causalrec" / "data"))
LOG = (
    "user_id,video_id,date,hourmin,time_ms,is_click,is_like,is_follow,is_comment,is_forward,is_hate,long_view,"
    "play_time_ms,duration_ms,profile_stay_time,comment_stay_time,is_profile_enter,is_rand,tab"
)
USERS = ",".join(["user_id", *USER_CATEGORIES[:2], "is_lowactive_period", *USER_CATEGORIES[2:], "onehot_feat3"])
VIDEOS = (
    "video_id,author_id,video_type,upload_dt,upload_type,visible_status,video_duration,server_width,server_height,"
    "music_id,music_type,tag"
)


def row(user: int, video: int, time: int, click: int = 0, view: int = 0, play: int = 500, length: int = 1000) -> str:
    return f"{user},{video},20220422,1900,{time},{click},0,0,0,0,0,{view},{play},{length},0,0,0,0,1"


EARLY = [row(3, 40, 1_649_675_512_388, click=1)]
UNLOGGED_TIME = [
    row(7, 40, 1_650_675_513_999, click=1, play=9000),
    row(3, 20, 1_650_675_512_388, view=1, play=250),
    row(7, 40, 1_650_675_510_000, click=0, play=0),  # older than the first line: the pair's last outcome is a click
    row(3, 40, 1_650_675_519_000, length=0),
]
RANDOM = [row(3, 20, 1_650_900_000_000, click=1), row(9, 60, 1_650_900_000_001)]
Fake = Callable[..., Path]


@pytest.fixture
def fake(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Fake:
    """Write the five files, optionally with one line replaced, and trust their checksums."""

    def write(name: str = "", line: int = 0, text: str = "") -> Path:
        levels = ",".join(["full_active", "0", "0", *["1"] * (len(USER_CATEGORIES) - 2), "5"])
        files = {
            "log_standard_4_08_to_4_21_pure.csv": [LOG, *EARLY],
            "log_standard_4_22_to_5_08_pure.csv": [LOG, *UNLOGGED_TIME],
            "log_random_4_22_to_5_08_pure.csv": [LOG, *RANDOM],
            "user_features_pure.csv": [USERS, f"3,{levels}", f"7,{levels}".replace("full_active", ""), f"5,{levels}"],
            "video_features_basic_pure.csv": [
                VIDEOS,
                '20,33,NORMAL,2022-04-10,LongImport,0.0,87433.0,720.0,1280.0,91,9.0,"12,65"',
                "40,44,AD,2022-04-09,Web,1.0,1000.0,720.0,1280.0,92,4.0,3",
                "50,44,NORMAL,2022-04-09,Web,1.0,,720.0,1280.0,92,,",
            ],
        }
        folder, sums = tmp_path / "kuairand-pure", {}
        folder.mkdir()
        for path, lines in files.items():
            if path == name:
                lines[line - 1] = text
            (folder / path).write_text("\n".join(lines) + "\n")
            sums[path] = hashlib.sha256((folder / path).read_bytes()).hexdigest()
        monkeypatch.setattr(kuairand, "PURE", dataclasses.replace(kuairand.PURE, files=sums))
        return tmp_path

    return write


def test_the_logs_hold_the_rows_in_time_order_and_a_repeated_pair_keeps_its_last(fake: Fake) -> None:
    data = KuaiRand().load(fake())
    log, uniform = data.logged, data.randomised
    assert log.user is not None and log.time is not None and uniform is not None and uniform.user is not None
    # ids: users 3 5 7 9, videos 20 40 50 60, from tables and logs together
    assert (log.num_users, log.num_items) == (4, 4)
    assert log.user.tolist() == [0, 2, 0] and log.item.tolist() == [0, 1, 1]
    assert log.outcome.tolist() == [0, 1, 0]
    assert log.time.tolist() == [1_650_675_512, 1_650_675_513, 1_650_675_519]
    assert uniform.user.tolist() == [0, 3] and uniform.item.tolist() == [0, 3] and uniform.outcome.tolist() == [1, 0]


def test_a_user_or_video_of_one_file_only_is_unknown_not_lost(fake: Fake) -> None:
    data = KuaiRand().load(fake())
    assert data.user_table["user_active_degree"].to_list() == ["full_active", "full_active", "unknown", "unknown"]
    assert data.item_table["music_type"].to_list() == ["9.0", "4.0", "unknown", "unknown"]
    assert data.item_table["video_duration"].to_list() == [87433.0, 1000.0, 44216.5, 44216.5]
    assert data.item_table["tag"].to_list() == [["12", "65"], ["3"], [], []]


def test_outcome_and_period_are_options(fake: Fake) -> None:
    root = fake()
    assert KuaiRand(outcome="long_view").load(root).logged.outcome.tolist() == [1, 0, 0]
    both = KuaiRand(logs=("4_08_to_4_21", "4_22_to_5_08")).load(root).logged
    assert both.user is not None and both.time is not None
    assert len(both) == 3 and both.time.max() == 1_650_675_519  # the early pair (3, 40) was seen again


def test_the_watch_ratio_is_capped_and_rows_without_a_duration_are_dropped(
    fake: Fake, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level("INFO"):
        data = KuaiRand(outcome="watch_ratio", cap=4.0).load(fake())
    assert data.logged.outcome.tolist() == [0.25, 4.0]
    assert (data.card.outcome, data.card.scale) == ("watch_ratio", (0.0, 4.0))
    assert "1 watch ratios capped at 4, 1 rows without duration" in caplog.text


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (row(3, 20, 1_650_675_512_388, play=-1), r"4_22_to_5_08_pure\.csv: line 3: play_time_ms -1 is negative"),
        (row(3, 20, 1_650_675_512_388, length=-5), r"line 3: duration_ms -5 is negative"),
        (row(3, 20, 1_650_675_512_388).replace(",500,", ",,"), r"line 3: play_time_ms is None"),
        (row(3, 20, 1_650_675_512_388).replace(",500,", ",long,"), r"line 3: play_time_ms 'long' is not a Int64"),
        ("3,20", r"line 3: time_ms is None; the row is truncated"),
    ],
)
def test_a_bad_row_is_refused_with_its_line(fake: Fake, text: str, message: str) -> None:
    with pytest.raises(DataError, match=message):
        KuaiRand(outcome="watch_ratio").load(fake("log_standard_4_22_to_5_08_pure.csv", 3, text))


def test_a_click_that_is_neither_is_refused(fake: Fake) -> None:
    root = fake("log_random_4_22_to_5_08_pure.csv", 2, row(3, 20, 1, click=2))
    with pytest.raises(DataError, match=r"log_random.*line 2: is_click 2 is not 0 or 1"):
        KuaiRand().load(root)


def test_a_user_given_twice_is_refused(fake: Fake) -> None:
    levels = ",".join(["x"] * (len(USER_CATEGORIES) + 2))
    with pytest.raises(DataError, match="the table of user_id holds 3 twice"):
        KuaiRand().load(fake("user_features_pure.csv", 4, f"3,{levels}"))


def test_the_random_part_identifies_evaluation_and_training_is_assumed() -> None:
    spec = validate_config(compose_config(["dataset=kuairand"]))
    adjustment = identify(spec.graph.build(), spec.dataset.build().card)
    assert adjustment.evaluation.strategy == "randomised"
    assert adjustment.training.assumed == ("taste is negligible",) and "tag" in adjustment.training.columns


def test_the_real_files_are_whole() -> None:
    if not kuairand.PURE.is_present(DATA):
        pytest.skip(f"KuaiRand-Pure is not in {DATA}")
    data = KuaiRand().load(DATA)
    assert data.randomised is not None
    assert (data.logged.num_users, data.logged.num_items) == (27_285, 7_583)
    assert len(data.logged) <= 295_497 and len(data.randomised) <= 1_186_059
    assert float(data.randomised.outcome.mean()) == pytest.approx(0.176, abs=0.002)
    assert np.isin(data.logged.outcome, [0, 1]).all()
