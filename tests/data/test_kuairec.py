"""KuaiRec: the log and the block observed whole, as the raw files say, and bad rows refused with their line."""

from __future__ import annotations

import dataclasses
import hashlib
import os
from collections.abc import Callable
from pathlib import Path

import pytest

from causalrec.config.compose import compose_config, validate_config
from causalrec.data.datasets import kuairec
from causalrec.data.datasets.kuairand import USER_CATEGORIES
from causalrec.data.datasets.kuairec import KuaiRec
from causalrec.errors import DataError, RequestError
from causalrec.graph.identify import identify

DATA = Path(os.environ.get("CAUSALREC_DATA", Path.home() / ".cache" / "causalrec" / "data"))
MATRIX = "user_id,video_id,play_duration,video_duration,time,date,timestamp,watch_ratio"
BIG = [
    "0,3649,13838,10867,2020-07-05 00:08:23.438,20200705,1593878903.438,1.2733965215790926",
    "14,9598,13665,10984,2020-07-05 00:13:41.297,20200705,1593879221.297,2.0",
    "0,3649,99,10867,2020-07-04 00:08:23.438,20200704,1593792503.438,9.5",  # older: the pair keeps the first line's
    "3,148,99,7000,2020-07-04 00:08:24.438,20200704,1593792504.438,573.46",
]
SMALL = [
    "14,148,4381,6067,2020-07-05 05:27:48.378,20200705,1593898068.378,0.7221",
    "14,3649,100,10867,,,,3.0",  # some pairs of the block have no time
]
CAPTIONS = (
    "video_id,manual_cover_text,caption,topic_tag,first_level_category_id,first_level_category_name,"
    "second_level_category_id,second_level_category_name,third_level_category_id,third_level_category_name"
)
Fake = Callable[..., Path]


@pytest.fixture
def fake(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Fake:
    """Write the five files, optionally with one line replaced; no sum of them is published, so none is checked."""

    def write(name: str = "", line: int = 0, text: str = "") -> Path:
        levels = ",".join(["full_active", *["0"] * (len(USER_CATEGORIES) - 1)])
        files = {
            "kuairec/big_matrix.csv": [MATRIX, *BIG],
            "kuairec/small_matrix.csv": [MATRIX, *SMALL],
            "kuairec/user_features.csv": [",".join(["user_id", *USER_CATEGORIES]), f"0,{levels}", f"14,{levels}"],
            "kuairec/item_categories.csv": ["video_id,feat", "148,[8]", '3649,"[27, 9]"', "5,[1]"],
            "kuairec-captions/kuairec_caption_category.csv": [
                CAPTIONS,
                '148,UNKNOWN,"精神小伙, 路\n难走",[],8,颜值,673,颜值随拍,-124,UNKNOWN',
                "3649,UNKNOWN,a caption",
                "broken off,[],27,高新数码,-124",
                "5,UNKNOWN,UNKNOWN,[],9,喜剧,727,搞笑互动,-124,UNKNOWN",
            ],
        }
        for path, lines in files.items():
            if path == name:
                lines[line - 1] = text
            (tmp_path / path).parent.mkdir(exist_ok=True)
            (tmp_path / path).write_text("\n".join(lines) + "\n", encoding="utf-8")
        return tmp_path

    return write


def test_the_logs_hold_the_rows_in_time_order_and_a_repeated_pair_keeps_its_last(fake: Fake) -> None:
    data = KuaiRec(threshold=2.0).load(fake())
    log, block = data.logged, data.randomised
    assert log.user is not None and log.time is not None and block is not None and block.user is not None
    # ids: users 0 3 14, videos 5 148 3649 9598
    assert (log.num_users, log.num_items) == (3, 4)
    assert log.user.tolist() == [1, 0, 2] and log.item.tolist() == [1, 2, 3]
    assert log.outcome.tolist() == [1, 0, 1]
    assert log.time.tolist() == [1593792504, 1593878903, 1593879221]
    assert block.time is None and sorted(zip(block.item.tolist(), block.outcome.tolist(), strict=True)) == [
        (1, 0),
        (2, 1),
    ]


def test_without_a_threshold_the_outcome_is_the_capped_watch_ratio(
    fake: Fake, caplog: pytest.LogCaptureFixture
) -> None:
    root = fake()
    with caplog.at_level("INFO"):
        data = KuaiRec(threshold=None, cap=5.0).load(root)
    assert data.logged.outcome.tolist() == pytest.approx([5.0, 1.2733965, 2.0])
    assert "kuairec: 2 watch ratios capped at 5" in caplog.text  # before repeats are settled
    assert (data.card.outcome, data.card.scale) == ("watch_ratio", (0.0, 5.0))
    # a threshold above the cap still tells the views apart
    assert KuaiRec(threshold=6.0, cap=5.0).load(root).logged.outcome.tolist() == [1, 0, 0]


def test_items_hold_categories_length_and_caption(fake: Fake) -> None:
    data = KuaiRec(threshold=2.0).load(fake())
    items = data.item_table
    assert items["feat"].to_list() == [["1"], ["8"], ["27", "9"], []]
    assert items["caption"].to_list() == ["", "精神小伙, 路 难走", "a caption", ""]
    assert items["first_level_category_name"].to_list() == ["喜剧", "颜值", "unknown", "unknown"]
    assert items["video_duration"].to_list() == [10867.0, 6533.5, 10867.0, 10984.0]  # no exposure: the median
    assert data.user_table["user_active_degree"].to_list() == ["full_active", "unknown", "full_active"]


def test_without_captions_their_file_is_not_wanted(fake: Fake) -> None:
    root = fake()
    (root / "kuairec-captions" / "kuairec_caption_category.csv").unlink()
    data = KuaiRec(threshold=2.0, captions=False).load(root)
    assert set(data.item_table["caption"]) == {""} and set(data.raw_sha256) == set(kuairec.MATRICES.files)


def test_the_files_read_are_recorded_by_their_sum(fake: Fake) -> None:
    root = fake()
    sums = KuaiRec(threshold=2.0).load(root).raw_sha256
    big = root / "kuairec" / "big_matrix.csv"
    assert sums["big_matrix.csv"] == hashlib.sha256(big.read_bytes()).hexdigest()
    assert len(sums) == 5


def test_a_known_sum_is_checked(fake: Fake, monkeypatch: pytest.MonkeyPatch) -> None:
    root = fake()
    source = dataclasses.replace(kuairec.MATRICES, files={**kuairec.MATRICES.files, "small_matrix.csv": "0" * 64})
    monkeypatch.setattr(kuairec, "MATRICES", source)
    with pytest.raises(DataError, match=r"small_matrix\.csv: wrong checksum"):
        KuaiRec(threshold=2.0).load(root)


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("big_matrix.csv", BIG[1].replace(",2.0", ",-0.5"), r"big_matrix\.csv: line 3: watch_ratio -0\.5 is negative"),
        ("big_matrix.csv", BIG[1].replace(",2.0", ",nan"), r"line 3: watch_ratio is nan"),
        ("big_matrix.csv", BIG[1].replace(",2.0", ",inf"), r"line 3: watch_ratio is inf"),
        ("big_matrix.csv", BIG[1].replace(",2.0", ",much"), r"line 3: watch_ratio 'much' is not a Float64"),
        ("small_matrix.csv", "14,3649,100", r"small_matrix\.csv: line 3: watch_ratio is None; the row is truncated"),
        ("item_categories.csv", '3649,"27; 9"', r"item_categories\.csv: line 3: feat '27; 9' is not a list"),
    ],
)
def test_a_bad_row_is_refused_with_its_line(fake: Fake, name: str, text: str, message: str) -> None:
    with pytest.raises(DataError, match=message):
        KuaiRec(threshold=2.0).load(fake(f"kuairec/{name}", 3, text))


def test_the_block_is_declared_fully_observed_and_not_randomised() -> None:
    spec = validate_config(compose_config(["dataset=kuairec"]))
    card = spec.dataset.build().card
    assert card.unbiased == "fully_observed" and card.randomised.startswith("not randomised")
    adjustment = identify(spec.graph.build(), card)
    assert adjustment.training.assumed == ("taste is negligible",)
    with pytest.raises(RequestError, match="threshold"):
        validate_config(compose_config(["dataset=kuairec", "~dataset.threshold"]))


def test_the_real_files_are_whole() -> None:
    if not kuairec.MATRICES.is_present(DATA):
        pytest.skip(f"KuaiRec is not in {DATA}")
    data = KuaiRec(threshold=2.0, captions=False).load(DATA)
    assert data.randomised is not None
    assert (data.logged.num_users, data.logged.num_items) == (7176, 10728)
    assert len(data.randomised) == 4_676_570
