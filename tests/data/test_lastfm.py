"""Last.FM: plays, names and tags as the raw files say, in both of their forms, and bad rows refused."""

from __future__ import annotations

import dataclasses
import gzip
import hashlib
import logging
import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from conftest import require
from polars.testing import assert_frame_equal

from causalrec.config.compose import compose_config, validate_config
from causalrec.data.datasets import hetrec
from causalrec.data.datasets.lastfm import LastFM
from causalrec.errors import DataError, NotIdentified
from causalrec.features.views import feature_matrix
from causalrec.graph.identify import identify

DATA = Path(os.environ.get("CAUSALREC_DATA", Path.home() / ".cache" / "causalrec" / "data"))
FILES = {  # raw artist ids 10 < 9 only as text; artist 7 has no listener, 99 is tagged but in no table
    "artists.dat": [
        "id\tname\turl\tpictureURL",
        '10\tSay "Björk"\thttp://x/10\t',
        "9\tAir\thttp://x/9\thttp://p/9.jpg",
        "7\tNobody\thttp://x/7\t",
        "30\tCher\thttp://x/30\t",
    ],
    "tags.dat": ["tagID\ttagValue", "1\tmetal", "2\tMETAL", "3\tchanson fran\xe7aise", "5\tpop"],
    "user_artists.dat": ["userID\tartistID\tweight", "4\t10\t13883", "4\t9\t1", "2\t9\t50", "11\t30\t7", "2\t10\t3"],
    "user_taggedartists.dat": [
        "userID\tartistID\ttagID\tday\tmonth\tyear",
        *("4\t9\t1\t1\t4\t2009", "2\t9\t2\t1\t4\t2009", "2\t9\t3\t1\t4\t2009", "4\t10\t3\t1\t9\t1956"),
        *("4\t99\t5\t1\t4\t2009", "2\t99\t5\t1\t4\t2009", "11\t99\t5\t1\t4\t2009", "4\t10\t5\t1\t4\t2009"),
        "11\t7\t5\t1\t4\t2009",
    ],
    "user_friends.dat": ["userID\tfriendID", "2\t4", "4\t2"],
}
Fake = Callable[..., Path]


@pytest.fixture
def fake(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Fake:
    """Write the five files, gzipped or as published, optionally with one line replaced."""

    def write(name: str = "", line: int = 0, text: str = "", *, official: bool = False) -> Path:
        root = tmp_path / ("official" if official else "gzipped")
        (root / "hetrec2011-lastfm-2k").mkdir(parents=True, exist_ok=True)
        sums = {}
        for file, lines in FILES.items():
            written = [text if (file, k) == (name, line) else row for k, row in enumerate(lines, start=1)]
            encoding, end = "latin-1" if file == "tags.dat" else "utf-8", "\r\n" if official else "\n"
            content = "".join(row + end for row in written).encode(encoding)
            content, file = (content, file) if official else (gzip.compress(content), f"{file}.gz")
            (root / "hetrec2011-lastfm-2k" / file).write_bytes(content)
            sums[file] = hashlib.sha256(content).hexdigest()
        source = "OFFICIAL" if official else "GZIPPED"
        monkeypatch.setattr(hetrec, source, dataclasses.replace(getattr(hetrec, source), files=sums))
        return root

    return write


def test_ids_are_mapped_in_the_order_of_their_numbers(fake: Fake) -> None:
    data = LastFM().load(fake())
    assert data.logged.user is not None
    assert data.user_table["user"].to_list() == [2, 4, 11]
    assert data.item_table["artist"].to_list() == ["Air", 'Say "Björk"', "Cher"]
    pairs = list(zip(data.logged.user.tolist(), data.logged.item.tolist(), strict=True))
    assert pairs == [(1, 1), (1, 0), (0, 0), (2, 2), (0, 1)]


def test_both_outcomes(fake: Fake) -> None:
    listened, plays = LastFM(), LastFM(outcome="log_plays")
    assert (listened.card.feedback, listened.card.outcome) == ("positive_only", "click")
    assert (plays.card.feedback, plays.card.outcome) == ("explicit", "rating")
    assert set(listened.load(fake()).logged.outcome) == {1.0}
    outcome = plays.load(fake()).logged.outcome
    np.testing.assert_allclose(outcome, np.log([13884, 2, 51, 8, 4]), rtol=1e-6)
    assert plays.card.scale[0] - 1e-6 <= outcome.min() and outcome.max() <= plays.card.scale[1]


def test_tags_are_merged_by_lower_case_and_only_the_most_assigned_stay(
    fake: Fake, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.INFO):
        both = LastFM(tags=2).load(fake()).item_table["tag"].to_list()
    # chanson 2, metal 1 + 1, pop 1: rows on artist 99 (no table) and 7 (no listener) do not count
    assert both == [["chanson française", "metal"], ["chanson française"], []]
    assert LastFM(tags=3).load(fake()).item_table["tag"].to_list()[1] == ["chanson française", "pop"]
    assert LastFM(tags=0).load(fake()).item_table["tag"].to_list() == [[], [], []]
    assert "3 rows tag 1 artists that are not in the table" in caplog.text


def test_rare_artists_can_be_dropped_and_users_stay(fake: Fake) -> None:
    data = LastFM(min_listeners=2).load(fake())
    assert data.item_table["artist"].to_list() == ["Air", 'Say "Björk"']
    assert data.logged.num_users == 3 and len(data.logged) == 4
    with pytest.raises(DataError, match="no artist has min_listeners=4 listeners; lower it"):
        LastFM(min_listeners=4).load(fake())


def test_the_published_files_give_the_same_data(fake: Fake) -> None:
    packed, plain = LastFM().load(fake()), LastFM().load(fake(official=True))
    np.testing.assert_array_equal(packed.logged.codes, plain.logged.codes)
    assert_frame_equal(packed.item_table, plain.item_table)
    assert {f"{name}.gz" for name in plain.raw_sha256} == set(packed.raw_sha256)


@pytest.mark.parametrize(
    ("name", "line", "text", "message"),
    [
        ("user_artists.dat", 3, "4\t9\t-5", r"line 3: weight '-5' is not a whole number in 1\.\.1000000"),
        ("user_artists.dat", 3, "4\t9\t0", r"line 3: weight '0' is not a whole number"),
        ("user_artists.dat", 3, "4\t9\t1000001", r"line 3: weight '1000001' is not a whole number"),
        ("user_artists.dat", 3, "4\t9\tmany", r"line 3: weight 'many' is not a whole number"),
        ("user_artists.dat", 3, "4\t8\t5", r"line 3: artistID '8' is not in its table"),
        ("user_artists.dat", 3, "x\t9\t5", r"line 3: userID 'x' is not a whole number"),
        ("user_artists.dat", 3, "4\t9", r"line 3 has 2 fields, expected 3 \(userID, artistID, weight\)"),
        ("user_artists.dat", 3, "4\t10\t5", r"lastfm: 1 duplicate interactions, first user 1, item 1"),
        ("artists.dat", 3, "10\tAir\thttp://x/9\t", r"the table of artistID holds an id twice"),
        ("user_taggedartists.dat", 3, "2\t9\t4\t1\t4\t2009", r"line 3: tagID '4' is not in its table"),
    ],
)
def test_a_bad_row_is_refused_with_its_line(fake: Fake, name: str, line: int, text: str, message: str) -> None:
    with pytest.raises(DataError, match=message):
        LastFM().load(fake(name, line, text))


def test_training_is_only_assumed_and_the_view_can_be_expanded(fake: Fake) -> None:
    spec = validate_config(compose_config(["dataset=lastfm"]))
    graph, dataset = spec.graph.build(), spec.dataset.build()
    adjustment = identify(graph, dataset.card)
    assert (adjustment.training.columns, adjustment.training.assumed) == (("item", "tag"), ("taste is negligible",))
    with pytest.raises(NotIdentified, match="taste"):
        identify(dataclasses.replace(graph, assume=False), dataset.card)
    matrix = feature_matrix(dataset.load(fake()), ("item", "tag"))
    assert matrix.names == ("tag=chanson française", "tag=metal", "tag=pop")
    assert matrix(np.array([0]), np.array([1])).tolist() == [[1, 0, 1]]


def test_the_real_files_are_whole() -> None:
    require(hetrec.GZIPPED, hetrec.OFFICIAL)
    data = LastFM(outcome="log_plays").load(DATA)
    assert (len(data.logged), data.logged.num_users, data.logged.num_items) == (92_834, 1_892, 17_632)
    assert data.logged.outcome.max() == pytest.approx(np.log1p(352_698))
    assert data.item_table["artist"][0] == "MALICE MIZER"
    assert len(set(data.item_table["tag"].explode().drop_nulls())) == 50
