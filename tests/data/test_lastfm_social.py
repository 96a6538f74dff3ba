"""Last.FM's friends: counts over friendships by brute force, and friendships that cannot be refused."""

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
from causalrec.data.datasets import hetrec
from causalrec.data.datasets.lastfm_social import LastFMSocial
from causalrec.errors import DataError, RequestError
from causalrec.features.views import feature_matrix
from causalrec.graph.identify import identify

DATA = Path(os.environ.get("CAUSALREC_DATA", Path.home() / ".cache" / "causalrec" / "data"))
USERS, ARTISTS = (2, 3, 7, 15, 20, 100), (5, 8, 60, 61, 200)
Fake = Callable[..., Path]


def world(seed: int = 0) -> tuple[set[tuple[int, int]], set[tuple[int, int]]]:
    """Random plays (user, artist) and friendships (user, user), both by place; every user plays something."""
    rng = np.random.default_rng(seed)
    plays = {(u, int(a)) for u in range(len(USERS)) for a in rng.choice(len(ARTISTS), size=2 + u % 2, replace=False)}
    bonds = {(u, v) for u in range(len(USERS)) for v in range(u) if rng.random() < 0.4}
    return plays, bonds | {(v, u) for u, v in bonds}


@pytest.fixture
def fake(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Fake:
    """Write the five files of `world()`, optionally with friendship rows replaced."""

    def write(friends: list[str] | None = None) -> Path:
        plays, bonds = world()
        files = {
            "artists.dat": ["id\tname\turl\tpictureURL", *(f"{a}\tArtist {a}\thttp://x\t" for a in ARTISTS)],
            "tags.dat": ["tagID\ttagValue", "1\tRock", "2\tpop"],
            "user_artists.dat": [
                "userID\tartistID\tweight",
                *(f"{USERS[u]}\t{ARTISTS[a]}\t{10 * (a + 1)}" for u, a in sorted(plays)),
            ],
            "user_taggedartists.dat": ["userID\tartistID\ttagID\tday\tmonth\tyear", "2\t200\t1\t1\t4\t2009"],
            "user_friends.dat": [
                "userID\tfriendID",
                *([f"{USERS[u]}\t{USERS[v]}" for u, v in sorted(bonds)] if friends is None else friends),
            ],
        }
        (tmp_path / "hetrec2011-lastfm-2k").mkdir(exist_ok=True)
        sums = {}
        for file, lines in files.items():
            content = gzip.compress(("\n".join(lines) + "\n").encode())
            (tmp_path / "hetrec2011-lastfm-2k" / f"{file}.gz").write_bytes(content)
            sums[f"{file}.gz"] = hashlib.sha256(content).hexdigest()
        monkeypatch.setattr(hetrec, "GZIPPED", dataclasses.replace(hetrec.GZIPPED, files=sums))
        return tmp_path

    return write


def all_pairs(rows: int, columns: int) -> tuple[np.ndarray, np.ndarray]:
    return np.arange(rows)[:, None], np.arange(columns)[None, :]


def test_friends_who_listen_are_counted_and_the_user_itself_never_is(fake: Fake) -> None:
    plays, bonds = world()
    data = LastFMSocial().load(fake())
    counts = data.pair_features["friends_listening"](*all_pairs(len(USERS), len(ARTISTS)))
    expected = [
        [sum((u, v) in bonds and (v, a) in plays for v in range(len(USERS))) for a in range(len(ARTISTS))]
        for u in range(len(USERS))
    ]
    assert counts.dtype == np.float32 and counts.tolist() == expected
    assert counts.max() > 1 and len(data.logged) == len(plays)
    alone = LastFMSocial().load(fake(["2\t3"]))  # 3 is 2's only friend, and nobody else has one
    counts = alone.pair_features["friends_listening"](*all_pairs(len(USERS), len(ARTISTS)))
    assert counts[0].tolist() == [float((1, a) in plays) for a in range(len(ARTISTS))] and not counts[2:].any()


def test_friends_are_rows_in_both_directions_and_shared_artists_a_column(fake: Fake) -> None:
    plays, bonds = world()
    data = LastFMSocial(recommends="friends").load(fake())
    assert data.logged.user is not None
    assert set(zip(data.logged.user.tolist(), data.logged.item.tolist(), strict=True)) == bonds
    assert len(data.logged) == len(bonds) and data.logged.num_items == len(USERS)
    counts = data.pair_features["common_artists"](*all_pairs(len(USERS), len(USERS)))
    expected = [
        [
            0 if u == v else sum((u, a) in plays and (v, a) in plays for a in range(len(ARTISTS)))
            for v in range(len(USERS))
        ]
        for u in range(len(USERS))
    ]
    assert counts.tolist() == expected and counts.max() > 0


def test_a_direction_that_is_missing_is_added_and_repeats_count_once(fake: Fake) -> None:
    log = LastFMSocial(recommends="friends").load(fake(["2\t3", "2\t3", "100\t7"])).logged
    assert log.user is not None
    assert list(zip(log.user.tolist(), log.item.tolist(), strict=True)) == [(0, 1), (1, 0), (2, 5), (5, 2)]


def test_a_person_is_described_by_what_it_plays_most(fake: Fake) -> None:
    plays, _ = world()
    table = LastFMSocial(recommends="friends").load(fake()).item_table
    for u, row in enumerate(table.iter_rows(named=True)):
        most_first = sorted((a for v, a in plays if v == u), reverse=True)  # plays grow with the place of the artist
        assert row["artist"] == ", ".join(f"Artist {ARTISTS[a]}" for a in most_first)
        assert row["tag"] == (["rock"] if (u, 4) in plays else [])


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        (["2\t3", "2\t999"], r"user_friends\.dat\.gz: line 3: friendID has no row in user_artists"),
        (["2\t3", "999\t2"], r"user_friends\.dat\.gz: line 3: userID has no row in user_artists"),
        (["2\t3", "7\t7"], r"user_friends\.dat\.gz: line 3: a user is its own friend"),
        (["2\t3", "7\tx"], r"user_friends\.dat\.gz: line 3: friendID 'x' is not a whole number"),
    ],
)
@pytest.mark.parametrize("task", ["artists", "friends"])
def test_a_friendship_that_cannot_be_is_refused(fake: Fake, task: str, rows: list[str], message: str) -> None:
    root = fake(rows)
    with pytest.raises(DataError, match=message):
        LastFMSocial(recommends=task).load(root)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("name", "columns", "assumed"),
    [
        ("lastfm_social", ("friends_listening", "item", "tag"), "taste"),
        ("lastfm_social_friends", ("common_artists", "item", "user"), "acquaintance"),
    ],
)
def test_each_task_has_its_graph_and_the_view_can_be_expanded(
    fake: Fake, name: str, columns: tuple[str, ...], assumed: str
) -> None:
    spec = validate_config(compose_config([f"dataset={name}"]))
    dataset = spec.dataset.build()
    adjustment = identify(spec.graph.build(), dataset.card)
    assert (adjustment.training.columns, adjustment.training.assumed) == (columns, (f"{assumed} is negligible",))
    data = dataset.load(fake())
    matrix = feature_matrix(data, columns)
    pair = matrix(np.array([0, 1]), np.array([3, 4]))[:, matrix.names.index(columns[0])]
    np.testing.assert_array_equal(pair, data.pair_features[columns[0]](np.array([0, 1]), np.array([3, 4])))
    assert {*data.item_table.columns, *data.pair_features} == {c.name for c in data.card.columns if c.kind != "id"}


def test_the_graph_of_the_other_task_is_refused() -> None:
    spec = validate_config(compose_config(["dataset=lastfm_social_friends", "graph=lastfm_social"]))
    with pytest.raises(RequestError, match="unknown node 'friends_listening' for dataset lastfm_social"):
        identify(spec.graph.build(), spec.dataset.build().card)


@pytest.mark.long
def test_the_real_files_are_whole() -> None:
    require(hetrec.GZIPPED, hetrec.OFFICIAL)
    artists, friends = LastFMSocial().load(DATA), LastFMSocial(recommends="friends").load(DATA)
    assert (len(artists.logged), len(friends.logged), friends.logged.num_items) == (92_834, 25_434, 1_892)
    exposed = artists.pair_features["friends_listening"](artists.logged.user, artists.logged.item)  # type: ignore[arg-type]
    assert float((exposed > 0).mean()) == pytest.approx(0.4423, abs=1e-3)
