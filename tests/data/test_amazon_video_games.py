"""Amazon Video Games: sequences become rows in their order, and bad lines are refused."""

from __future__ import annotations

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
from causalrec.data.datasets import amazon_video_games
from causalrec.data.datasets.amazon_video_games import GAMES, AmazonVideoGames
from causalrec.errors import DataError
from causalrec.graph.identify import identify

DATA = Path(os.environ.get("CAUSALREC_DATA", Path.home() / ".cache" / "causalrec" / "data"))
FILES = {
    "Games.item.gz": [
        "item_id:token\ttitle:token_seq",
        "0\tFire Emblem: The Sacred Stones",
        "1\tSay \"Pok&eacute;mon &amp; II\" 'now'",
        "2\tSuper Mario",
        "3\tNever Sold",
    ],
    "Games.test.inter.gz": [
        "user_id:token\titem_id_list:token_seq\titem_id:token",
        "0\t2 0\t1",
        "1\t1\t2",
        "2\t0 1\t2",
    ],
}
Fake = Callable[..., Path]


@pytest.fixture
def fake(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Fake:
    """Write both files, optionally with one line replaced; their checksums stand in for the real ones."""

    def write(name: str = "", line: int = 0, text: str = "") -> Path:
        (tmp_path / "amazon_video_games").mkdir(exist_ok=True)
        sums = {}
        for file, lines in FILES.items():
            written = [text if (file, k) == (name, line) else row for k, row in enumerate(lines, start=1)]
            content = gzip.compress(("\n".join(written) + "\n").encode())
            (tmp_path / "amazon_video_games" / file).write_bytes(content)
            sums[file] = hashlib.sha256(content).hexdigest()
        monkeypatch.setattr(amazon_video_games, "GAMES", dataclasses.replace(GAMES, files=sums))
        return tmp_path

    return write


def test_each_sequence_gives_its_rows_in_order_target_last(fake: Fake) -> None:
    log = AmazonVideoGames().load(fake()).logged
    assert log.user is not None and log.time is not None
    assert (log.num_users, log.num_items) == (3, 4)
    assert log.user.tolist() == [0, 0, 0, 1, 1, 2, 2, 2]
    assert log.item.tolist() == [2, 0, 1, 1, 2, 0, 1, 2]
    assert log.time.tolist() == [0, 1, 2, 0, 1, 0, 1, 2]
    assert set(log.outcome) == {1.0} and AmazonVideoGames().card.feedback == "positive_only"


def test_a_repeated_item_keeps_its_last_place(fake: Fake) -> None:
    log = AmazonVideoGames().load(fake("Games.test.inter.gz", 2, "0\t2 0 2 1\t0")).logged
    assert log.user is not None and log.time is not None
    first = log.user == 0
    assert log.item[first].tolist() == [2, 1, 0] and log.time[first].tolist() == [2, 3, 4]


def test_titles_are_unescaped_and_quotes_are_ordinary(fake: Fake) -> None:
    data = AmazonVideoGames().load(fake())
    assert data.item_table["title"][1] == "Say \"Pokémon & II\" 'now'"
    assert data.item_table.columns == ["title"] and len(data.item_table) == 4


@pytest.mark.parametrize(
    ("name", "line", "text", "message"),
    [
        ("Games.test.inter.gz", 3, "1\t1 9\t2", r"inter\.gz: line 3: item '9' is not in its table"),
        ("Games.test.inter.gz", 3, "1\t1\t", r"inter\.gz: line 3: item '' is not in its table"),
        ("Games.test.inter.gz", 4, "0\t1\t2", r"inter\.gz: line 4: user '0' has a line already"),
        ("Games.test.inter.gz", 4, "2\t1 2", r"inter\.gz: line 4 has 2 fields, expected 3 \(user, history, target\)"),
        ("Games.item.gz", 5, "0\tTwice", r"the table of item holds an id twice"),
    ],
)
def test_a_bad_line_is_refused(fake: Fake, name: str, line: int, text: str, message: str) -> None:
    with pytest.raises(DataError, match=message):
        AmazonVideoGames().load(fake(name, line, text))


def test_a_file_that_is_not_gzip_is_refused(fake: Fake, monkeypatch: pytest.MonkeyPatch) -> None:
    root = fake()
    path = root / "amazon_video_games" / "Games.item.gz"
    path.write_bytes(path.read_bytes()[:-9])
    monkeypatch.setattr(amazon_video_games, "GAMES", dataclasses.replace(GAMES, files=dict.fromkeys(FILES, "")))
    with pytest.raises(DataError, match=r"Games\.item\.gz: cannot be read .*truncated or corrupt"):
        AmazonVideoGames().load(root)


def test_absent_files_are_asked_for_with_their_page(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"put Games\.item\.gz, .* from https://github\.com/RUCAIBox/LLMRank"):
        AmazonVideoGames().load(tmp_path)


def test_training_is_only_assumed() -> None:
    spec = validate_config(compose_config(["dataset=amazon_video_games"]))
    adjustment = identify(spec.graph.build(), spec.dataset.build().card)
    assert adjustment.training.columns == ("item", "user") and adjustment.training.assumed == ("taste is negligible",)


def test_the_real_files_are_whole() -> None:
    require(GAMES)
    log = AmazonVideoGames().load(DATA).logged
    assert log.user is not None
    assert (len(log), log.num_users, log.num_items) == (440_264, 50_546, 16_859)
    lengths = np.bincount(log.user)
    assert (lengths.min(), lengths.max()) == (5, 50)
