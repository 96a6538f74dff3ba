"""Yahoo! R3: the log and the randomised part as the raw files say, and files that cannot be the release refused."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from causalrec.config.compose import compose_config, validate_config
from causalrec.data.datasets import yahoo_r3
from causalrec.data.datasets.yahoo_r3 import TEST, TRAIN, YahooR3
from causalrec.errors import DataError
from causalrec.graph.identify import identify

DATA = Path(os.environ.get("CAUSALREC_DATA", Path.home() / ".cache" / "causalrec" / "data"))
FILES = {TRAIN: ["1\t14\t5", "1\t35\t1", "3\t14\t4", "4\t2\t3"], TEST: ["1\t49\t1", "3\t126\t5"]}
Fake = Callable[..., Path]


@pytest.fixture
def fake(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Fake:
    """Write both files, optionally with one line replaced, and let their true numbers of rows stand as published."""

    def write(name: str = "", line: int = 0, text: str = "") -> Path:
        (tmp_path / "yahoo_r3").mkdir(exist_ok=True)
        for file, lines in FILES.items():
            written = [text if (file, k) == (name, line) else row for k, row in enumerate(lines, start=1)]
            (tmp_path / "yahoo_r3" / file).write_text("\n".join(written) + "\n")
        monkeypatch.setattr(yahoo_r3, "ROWS", {file: len(lines) for file, lines in FILES.items()})
        return tmp_path

    return write


def test_both_parts_hold_the_rows_of_their_file(fake: Fake) -> None:
    data = YahooR3(threshold=None).load(fake())
    for log, file in ((data.logged, TRAIN), (data.randomised, TEST)):
        assert log is not None and log.user is not None
        rows = zip(log.user + 1, log.item + 1, log.outcome.astype(int), strict=True)
        assert ["\t".join(map(str, row)) for row in rows] == FILES[file]
    assert (data.logged.num_users, data.logged.num_items) == (15_400, 1_000)
    assert set(data.raw_sha256) == {TRAIN, TEST} and all(len(value) == 64 for value in data.raw_sha256.values())


def test_the_threshold_binarises_both_parts(fake: Fake) -> None:
    data = YahooR3(threshold=4.0).load(fake())
    assert data.logged.outcome.tolist() == [1, 0, 1, 0]
    assert data.randomised is not None and data.randomised.outcome.tolist() == [0, 1]
    assert (data.card.outcome, YahooR3(threshold=None).card.outcome) == ("click", "rating")


def test_a_repeated_pair_keeps_the_row_further_down(fake: Fake) -> None:
    log = YahooR3(threshold=None).load(fake(TRAIN, 3, "1\t14\t2")).logged
    assert log.outcome.tolist() == [1, 2, 3] and log.item.tolist() == [34, 13, 1]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("0\t14\t5", r"train\.txt: line 2: user '0' is not a whole number in 1\.\.15400"),
        ("15401\t14\t5", r"train\.txt: line 2: user '15401' is not a whole number in 1\.\.15400"),
        ("1\t1001\t5", r"train\.txt: line 2: item '1001' is not a whole number in 1\.\.1000"),
        ("1\t1.5\t5", r"train\.txt: line 2: item '1\.5' is not a whole number in 1\.\.1000"),
        ("1\t14\t0", r"train\.txt: line 2: rating 0 is outside 1\.\.5"),
        ("1\t14\tx", r"train\.txt: line 2: rating 'x' is not a finite number"),
        ("1\t14", r"train\.txt: line 2 has 2 fields, expected 3 \(user, item, rating\)"),
    ],
)
def test_a_bad_row_is_refused_with_its_line(fake: Fake, text: str, message: str) -> None:
    with pytest.raises(DataError, match=message):
        YahooR3(threshold=None).load(fake(TRAIN, 2, text))


def test_a_file_of_another_length_is_refused_for_no_checksum_is_published(
    fake: Fake, monkeypatch: pytest.MonkeyPatch
) -> None:
    root = fake()
    monkeypatch.setattr(yahoo_r3, "ROWS", {TRAIN: 311_704, TEST: 54_000})
    with pytest.raises(DataError, match=r"train\.txt: 4 ratings, expected 311704; truncated"):
        YahooR3(threshold=None).load(root)


def test_absent_files_are_asked_for_with_the_owner_s_page(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=rf"put {TRAIN}, {TEST} from https://webscope\.sandbox\.yahoo\.com/ .* into"):
        YahooR3(threshold=None).load(tmp_path)


def test_training_is_only_assumed_and_evaluation_is_randomised() -> None:
    spec = validate_config(compose_config(["dataset=yahoo_r3"]))
    adjustment = identify(spec.graph.build(), spec.dataset.build().card)
    assert adjustment.training.assumed == ("taste is negligible",) and adjustment.evaluation.strategy == "randomised"
    assert adjustment.training.columns == ("item", "user")


def test_the_real_files_are_whole() -> None:
    if not yahoo_r3.YAHOO.is_present(DATA):  # licensed: never required
        pytest.skip(f"Yahoo! R3 is not in {DATA}")
    data = YahooR3(threshold=None).load(DATA)
    assert data.randomised is not None and data.randomised.user is not None
    assert len(set(data.randomised.user.tolist())) == 5_400
