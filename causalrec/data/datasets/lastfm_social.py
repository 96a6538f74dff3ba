"""Last.FM-2k as a social network: artists through friends, or friends through artists (HetRec 2011)."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Literal

import numpy as np
import polars as pl
from pydantic import Field
from scipy import sparse

from causalrec.data.card import Column, DatasetCard
from causalrec.data.dataset import CausalDataset
from causalrec.data.datasets.base import AbstractDataset
from causalrec.data.datasets.hetrec import (
    GZIPPED,
    ITEM_COLUMNS,
    LICENCE,
    OFFICIAL,
    PAGE,
    Listening,
    locate_files,
    read_friends,
    read_listening,
)
from causalrec.data.log import InteractionLog
from causalrec.data.pair_columns import PairTable
from causalrec.data.sources import Source
from causalrec.types import Count, Ints

COLUMNS = (Column("user", "user", "id"), Column("item", "item", "id"), *ITEM_COLUMNS)
PROFILE = 10  # most played artists, and their most frequent tags, that describe a person
Friends = tuple[Ints, Ints]


@dataclass(frozen=True, kw_only=True)
class LastFMSocial(AbstractDataset):
    """1,892 users of Last.FM with their friends, 25,434 rows; positive pairs only, outcome 1 in each row.

    Attributes:
        recommends: what items are. `artists`, as in `lastfm`: the pair column `friends_listening[u, i]` counts the
            friends of u who play i, from the whole log. A user's own row never counts toward itself, but a friend's
            does wherever it falls: a friend's row that is held out for the test still counts in training. `friends`:
            items are the users, `artist` and `tag` describe the person by what it plays most, and `common_artists[u,
            v]` counts the artists both play. A friendship has a row in each direction, so a split can train on one and
            test on the other.
        tags: as in `lastfm`.
        min_listeners: as in `lastfm`.
        item_text: phrases by item column that make the text of an artist, or of a person.
    """

    recommends: Literal["artists", "friends"] = "artists"
    tags: Annotated[int, Field(ge=0)] = 50
    min_listeners: Count = 1
    item_text: dict[str, str] = field(default_factory=lambda: {"artist": "{}.", "tag": "Tags: {}."})

    @property
    def card(self) -> DatasetCard:
        pair = "friends_listening" if self.recommends == "artists" else "common_artists"
        return DatasetCard(
            name="lastfm_social",
            domain="social",
            size="1,892 users, 25,434 friend pairs, 92,834 rows",
            licence=LICENCE,
            urls=(PAGE, str(OFFICIAL.url)),
            sha256={**OFFICIAL.files, **GZIPPED.files},
            columns=(*COLUMNS, Column(pair, "pair", "numeric")),
            outcome="click",
            feedback="positive_only",
            self_selected=True,
            unseen="drop",
        )

    @property
    def sources(self) -> tuple[Source, ...]:
        return (OFFICIAL, GZIPPED)

    def load(self, root: Path) -> CausalDataset:
        paths, sums = locate_files(root)
        listening = read_listening(paths, tags=self.tags, min_listeners=self.min_listeners)
        friends = read_friends(paths["user_friends.dat"], listening.users)
        people = pl.Series("user", listening.users)
        if self.recommends == "artists":
            rows, items = (listening.user, listening.artist), listening.artists
            pair = {"friends_listening": friends_listening(listening, friends)}
        else:
            rows, items = friends, profiles(listening)
            pair = {"common_artists": common_artists(listening)}
        log = InteractionLog(
            user=rows[0],
            item=rows[1],
            treatment=np.ones(len(rows[0]), np.int64),
            outcome=np.ones(len(rows[0]), np.float32),
            num_users=len(listening.users),
            num_items=len(items),
            name="lastfm_social",
        )
        return CausalDataset(
            card=self.card,
            logged=log.without_repeats(self.card.repeats),
            user_table=pl.DataFrame({"user": listening.users}),
            item_table=items,
            pair_features=pair,
            raw_sha256=sums,
            user_ids=people,
            item_ids=listening.artist_ids if self.recommends == "artists" else people,
        )


def friends_listening(listening: Listening, friends: Friends) -> PairTable:
    """Count, for each user and artist, the user's friends who play the artist."""
    people = len(listening.users)
    friendship = sparse.csr_matrix((np.ones(len(friends[0]), np.float32), friends), shape=(people, people))
    return _table(friendship @ plays(listening))


def common_artists(listening: Listening) -> PairTable:
    """Count, for each two users, the artists both play; 0 for a user with itself."""
    played = plays(listening)
    shared = sparse.csr_matrix(played @ played.T)
    shared.setdiag(0)
    return _table(shared)


def plays(listening: Listening) -> sparse.csr_matrix:
    """Return who plays what as a float32 matrix [U, artists] of ones."""
    shape = (len(listening.users), len(listening.artists))
    indicators = np.ones(len(listening.user), np.float32)
    return sparse.csr_matrix((indicators, (listening.user, listening.artist)), shape=shape)


def profiles(listening: Listening) -> pl.DataFrame:
    """Describe each user by the names of its most played artists, in that order, and their most frequent tags."""
    names = listening.artists.with_row_index("item").with_columns(pl.col("item").cast(pl.Int64))
    rows = pl.DataFrame({"user": listening.user, "item": listening.artist, "plays": listening.plays})
    ordered = rows.sort("user", "plays", "item", descending=[False, True, False])
    top = ordered.group_by("user", maintain_order=True).head(PROFILE).join(names, on="item", maintain_order="left")
    text = top.group_by("user").agg(pl.col("artist").str.join(", "))
    counts = top.explode("tag").drop_nulls("tag").group_by("user", "tag").len()
    commonest = counts.sort("len", "tag", descending=[True, False]).group_by("user").head(PROFILE)
    tags = commonest.group_by("user").agg(pl.col("tag").sort())
    people = pl.DataFrame({"user": np.arange(len(listening.users))})
    table = people.join(text, on="user", how="left").join(tags, on="user", how="left").sort("user")
    empty = pl.lit([], dtype=pl.List(pl.String))
    return table.select(pl.col("artist").fill_null(""), pl.col("tag").fill_null(empty))


def _table(matrix: sparse.csr_matrix) -> PairTable:
    """Keep the non-zero counts, sorted by pair."""
    matrix = sparse.csr_matrix(matrix)
    matrix.eliminate_zeros()
    matrix.sort_indices()
    user = np.repeat(np.arange(matrix.shape[0], dtype=np.int64), np.diff(matrix.indptr))
    return PairTable(user * matrix.shape[1] + matrix.indices, matrix.data.astype(np.float32), matrix.shape[1])
