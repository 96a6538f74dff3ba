"""Reading HetRec 2011 Last.FM-2k: who plays, tags and befriends what (Cantador, Brusilovsky & Kuflik, RecSys 2011)."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
import polars as pl

from causalrec.data.card import Column
from causalrec.data.delimited_text import indices, integers, read_delimited
from causalrec.data.side_tables import positions
from causalrec.data.sources import Source, fetch_first, sha256_of
from causalrec.errors import DataError
from causalrec.types import Bools, Ints

OFFICIAL = Source(
    folder="hetrec2011-lastfm-2k",
    url="https://files.grouplens.org/datasets/hetrec2011/hetrec2011-lastfm-2k.zip",
    url_sha256="6738f48195667ff03caaab4d32ca9a3133d8cc026b7c3cdaf6ce1010e913c59c",
    files={
        "user_artists.dat": "001400dc3c7d2667fca6e4ea6dc6acc31a9dd28ad5cd0f74cea988c019934d3b",
        **dict.fromkeys(("artists.dat", "tags.dat", "user_taggedartists.dat", "user_friends.dat"), ""),
    },
)
GZIPPED = Source(
    folder="hetrec2011-lastfm-2k",
    page=str(OFFICIAL.url),
    files={
        "artists.dat.gz": "1be97a07386b0cfde019263d704b074540f2e45c6164b5cd2d9f535075045507",
        "tags.dat.gz": "0285fcf867bce3a5694072f636f55781ae85429ac2423511ad775cb1de3b2938",
        "user_artists.dat.gz": "5f51af799b62536ff0da8fabbdc3544ed51099d71aeefa3d351c118cbcd29abf",
        "user_taggedartists.dat.gz": "4c088769f51da7e02d86733230a91922ad7453d60701c0f7115ad413b422c9fb",
        "user_friends.dat.gz": "c3c16ec3e7f342c1148f4c28385913bf2a2a1f2fa91aaa2a98625878a72e6773",
    },
)
LICENCE: Final = "non-commercial use; cite Last.fm and HetRec 2011"
PAGE: Final = "https://grouplens.org/datasets/hetrec-2011/"
MAX_PLAYS: Final = 1_000_000  # the largest of the release is 352,698
ITEM_COLUMNS = (Column("artist", "item", "text"), Column("tag", "item", "multi_hot"))
LOGGER = logging.getLogger(__name__)


@dataclass(frozen=True)
class Listening:
    """Who plays which artist, N pairs, with the tables behind the ids.

    Attributes:
        user: [N] number of the user from 0, int64.
        artist: [N] number of the artist from 0, int64.
        plays: [N] number of plays, int64.
        users: [U] raw ids, ascending.
        artists: one row per artist, in ascending order of raw ids: its name and its tags.
        artist_ids: those raw ids.
    """

    user: Ints
    artist: Ints
    plays: Ints
    users: Ints
    artists: pl.DataFrame
    artist_ids: pl.Series


def locate_files(root: Path) -> tuple[dict[str, Path], dict[str, str]]:
    """Return the raw files by their publisher's name, plain or gzipped, and the sha256 of each as it lies there."""
    source, folder = fetch_first((OFFICIAL, GZIPPED), root)
    paths = {name.removesuffix(".gz"): folder / name for name in source.files}
    return paths, {path.name: sha256_of(path) for path in paths.values()}


def read_listening(paths: dict[str, Path], *, tags: int, min_listeners: int) -> Listening:
    """Read plays, artists and tags; users stay though no artist of theirs is left.

    Raises DataError, naming the line, on a play count that is no whole number in 1..MAX_PLAYS or an unknown artist.
    """
    artists = read_delimited(paths["artists.dat"], "\t", ["id", "name", "url", "pictureURL"], header=True)
    artists = artists.with_columns(number=integers(artists, "id", paths["artists.dat"])).sort("number")
    path = paths["user_artists.dat"]
    rows = read_delimited(path, "\t", ["userID", "artistID", "weight"], header=True)
    plays = integers(rows, "weight", path, low=1, high=MAX_PLAYS)
    artist = indices(rows, "artistID", artists["id"].to_list(), path)
    users, user = np.unique(integers(rows, "userID", path), return_inverse=True)
    enough = np.bincount(artist, minlength=len(artists)) >= min_listeners
    if not enough.any():
        raise DataError(f"{path}: no artist has min_listeners={min_listeners} listeners; lower it")
    row_kept = enough[artist]
    return Listening(
        user=user[row_kept].astype(np.int64),
        artist=(np.cumsum(enough) - 1)[artist[row_kept]],
        plays=plays[row_kept],
        users=users,
        artists=_add_tags(artists.filter(pl.Series(enough)), artists["id"], paths, tags),
        artist_ids=artists["number"].filter(pl.Series(enough)),
    )


def _add_tags(artists: pl.DataFrame, table_ids: pl.Series, paths: dict[str, Path], count: int) -> pl.DataFrame:
    """Give each artist its tags among the `count` most assigned, lower-cased, each once, in alphabetical order."""
    path = paths["user_taggedartists.dat"]
    rows = read_delimited(path, "\t", ["userID", "artistID", "tagID", "day", "month", "year"], header=True)
    names = read_delimited(paths["tags.dat"], "\t", ["tagID", "name"], header=True, encoding="latin-1")
    which = indices(rows, "tagID", names["tagID"].to_list(), path)
    tag = names["name"].str.to_lowercase().str.strip_chars().gather(which)
    rows = rows.select(pl.col("artistID").alias("id"), tag.alias("tag"))
    unknown = rows.filter(~pl.col("id").is_in(table_ids.implode()))
    LOGGER.info("%s: %d rows tag %d artists that are not in the table", path, len(unknown), unknown["id"].n_unique())
    rows = rows.join(artists.select("id"), on="id", how="semi").filter(pl.col("tag") != "")
    top = rows.group_by("tag").len().sort("len", "tag", descending=[True, False]).head(count)
    lists = rows.join(top, on="tag", how="semi").group_by("id").agg(pl.col("tag").unique().sort())
    joined = artists.join(lists, on="id", how="left", maintain_order="left")
    return joined.select(pl.col("name").alias("artist"), pl.col("tag").fill_null(pl.lit([], dtype=pl.List(pl.String))))


def read_friends(path: Path, users: Ints) -> tuple[Ints, Ints]:
    """Return friendships as two int64[2M] of users, one row per direction (a missing one is added), in order of ids.

    Raises DataError, naming the line, on a user without plays and on a user befriended with itself.
    """
    rows = read_delimited(path, "\t", ["userID", "friendID"], header=True)
    user_ids, friend_ids = integers(rows, "userID", path), integers(rows, "friendID", path)
    for column, ids in (("userID", user_ids), ("friendID", friend_ids)):
        _raise_where(path, ~np.isin(ids, users), f"{column} has no row in user_artists; another version?")
    _raise_where(path, user_ids == friend_ids, "a user is its own friend; corrupt?")
    left, right = positions(pl.Series(user_ids), pl.Series(users)), positions(pl.Series(friend_ids), pl.Series(users))
    codes = np.unique(np.concatenate([left * len(users) + right, right * len(users) + left]))
    return codes // len(users), codes % len(users)


def _raise_where(path: Path, bad: Bools, what: str) -> None:
    if bad.any():
        raise DataError(f"{path}: line {int(np.argmax(bad)) + 2}: {what}")
