"""MovieLens-100K: real ratings with titles, genres and demographics (Harper & Konstan, TiiS 2015)."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import numpy as np
import polars as pl

from causalrec.data.card import Column, DatasetCard
from causalrec.data.dataset import CausalDataset
from causalrec.data.datasets.base import AbstractDataset
from causalrec.data.delimited_text import (
    binarise,
    check_classes,
    classify,
    indices,
    numbers,
    ratings_in_scale,
    read_delimited,
)
from causalrec.data.knowledge import KnowledgeGraph
from causalrec.data.knowledge_files import KNOWLEDGE_COLUMN, read_knowledge
from causalrec.data.log import InteractionLog
from causalrec.data.sources import Source, fetch_first, sha256_of
from causalrec.types import OutcomeKind

RECBOLE = Source(
    folder="ml-100k",
    wheel="recbole==1.2.1",
    member="recbole/dataset_example/ml-100k",
    files={
        "ml-100k.inter": "4edb74e2a81178c2ba9ff381495f754f996c4aea351b1272ca36b43da0935eff",
        "ml-100k.item": "51d7cdf777ce5c0f5b32c1d947a4a81fe07d75e78abbe761e0cd4d0756064532",
        "ml-100k.user": "4f670007d9cfbeb9807e757209af1555b9bcc186bde25e767f67cb67c6dd5972",
    },
)
KNOWLEDGE = Source(  # Freebase, as KB4Rec (Zhao et al. 2019) links it
    folder="ml-100k",
    wheel="recbole==1.2.1",
    member="recbole/dataset_example/ml-100k",
    files={
        "ml-100k.kg": "200a0636fa07c218119a42e5bac7aa3e26e3665a6f919c1b22909bd412b14779",
        "ml-100k.link": "524dca2c3d62619688ab99b3ec53ea2acb9b64d38eafec3e02bdd0dc6bb7d948",
    },
)
OFFICIAL = Source(
    folder="ml-100k",
    url="https://files.grouplens.org/datasets/movielens/ml-100k.zip",
    url_sha256="50d2a982c66986937beb9ffb3aa76efe955bf3d5c6b761f4e3a7cd717c6a3229",
    archive_member="ml-100k",
    files={
        "u.data": "06416e597f82b7342361e41163890c81036900f418ad91315590814211dca490",
        "u.user": "f120e114da2e8cf314fd28f99417c94ae9ddf1cb6db8ce0e4b5995d40e90e62c",
        "u.item": "553841ebc7de3a0fd0d6b62a204ea30c1e651aacfb2814c7a6584ac52f2c5701",
    },
)
GENRES: Final = (
    *(
        "unknown",
        "Action",
        "Adventure",
        "Animation",
        "Children's",
        "Comedy",
        "Crime",
        "Documentary",
        "Drama",
        "Fantasy",
    ),
    *("Film-Noir", "Horror", "Musical", "Mystery", "Romance", "Sci-Fi", "Thriller", "War", "Western"),
)
SCALE = (1.0, 5.0)
COLUMNS = (
    Column("user", "user", "id"),
    Column("item", "item", "id"),
    Column("age", "user", "numeric"),
    Column("gender", "user", "category"),
    Column("occupation", "user", "category"),
    Column("title", "item", "text"),
    Column("genre", "item", "multi_hot"),
    Column("year", "item", "numeric"),
)
ITEM_TEXT = {"title": "{}", "year": "({:.0f}).", "genre": "Genres: {}."}
USER_TEXT = {"age": "A person of {:.0f} years,", "gender": "gender {},", "occupation": "occupation {}."}


@dataclass(frozen=True, kw_only=True)
class ML100K(AbstractDataset):
    """Ratings 1..5 of 943 users for 1,682 movies, self-selected (MNAR), without a randomised part.

    Assumption: none of its tests is unbiased; scores describe logged exposure.

    Attributes:
        threshold: outcome is 1 from this rating on (4 is usual), None for rating points; mandatory, for published
            tables differ in it.
        classes: outcome is how many of these edges a rating reaches: [3, 4] makes 0 of ratings 1 and 2, 1 of 3, 2 of 4
            and 5; None for no classes.
        item_text: phrases by item column that make a movie's text.
        user_text: phrases by user column that make a user's text.
        knowledge: read the wheel's graph too: 91,631 triples of Freebase, an entity for 1,598 of the 1,682 movies.
    """

    threshold: float | None
    classes: tuple[float, ...] | None = None
    item_text: dict[str, str] = field(default_factory=lambda: dict(ITEM_TEXT))
    user_text: dict[str, str] = field(default_factory=lambda: dict(USER_TEXT))
    knowledge: bool = False

    def __post_init__(self) -> None:
        check_classes(self.classes, self.threshold, SCALE)

    @property
    def card(self) -> DatasetCard:
        kind: OutcomeKind = "rating" if self.threshold is None else "click"
        return DatasetCard(
            name="ml100k",
            domain="video",
            size="943 users, 1,682 movies, 100,000 rows",
            licence="research use, no redistribution (GroupLens README)",
            urls=("https://grouplens.org/datasets/movielens/100k/", str(OFFICIAL.url)),
            sha256={**RECBOLE.files, **OFFICIAL.files, **(KNOWLEDGE.files if self.knowledge else {})},
            columns=(*COLUMNS, *((KNOWLEDGE_COLUMN,) if self.knowledge else ())),
            outcome=kind if self.classes is None else "class",
            bin_edges=self.classes or (),
            feedback="explicit",
            scale=SCALE,
            threshold=self.threshold,
            self_selected=True,
            unseen="drop",
        )

    @property
    def sources(self) -> tuple[Source, ...]:
        return (RECBOLE, OFFICIAL)

    def load(self, root: Path) -> CausalDataset:
        source, folder = fetch_first(self.sources, root)
        read = _read_recbole if source is RECBOLE else _read_official
        ratings, users, items, ratings_path, first_line = read(folder)
        values = ratings_in_scale(numbers(ratings, "rating", ratings_path, first_line), SCALE, ratings_path, first_line)
        log = InteractionLog(
            user=indices(ratings, "user", users["id"].to_list(), ratings_path, first_line),
            item=indices(ratings, "item", items["id"].to_list(), ratings_path, first_line),
            treatment=np.ones(len(values), np.int64),
            outcome=binarise(values, self.threshold) if self.classes is None else classify(values, self.classes),
            time=numbers(ratings, "time", ratings_path, first_line).astype(np.int64),
            num_users=len(users),
            num_items=len(items),
            name="ml100k",
        )
        return CausalDataset(
            card=self.card,
            logged=log.without_repeats(self.card.repeats),
            user_table=users.drop("id"),
            item_table=items.drop("id"),
            user_ids=users["id"],
            item_ids=items["id"],
            knowledge=self._read_knowledge(root, items["id"]) if self.knowledge else None,
            raw_sha256={name: sha256_of(folder / name) for name in source.files}
            | (dict(KNOWLEDGE.files) if self.knowledge else {}),
        )

    def _read_knowledge(self, root: Path, item_ids: pl.Series) -> KnowledgeGraph:
        folder = KNOWLEDGE.fetch(root)
        return read_knowledge(
            "ml100k", folder / "ml-100k.kg", folder / "ml-100k.link", item_ids.cast(pl.String).to_list()
        )


def _read_recbole(folder: Path) -> tuple[pl.DataFrame, pl.DataFrame, pl.DataFrame, Path, int]:
    path = folder / "ml-100k.inter"
    ratings = read_delimited(path, "\t", ["user", "item", "rating", "time"], header=True)
    users = read_delimited(folder / "ml-100k.user", "\t", ["id", "age", "gender", "occupation", "zip"], header=True)
    items = read_delimited(folder / "ml-100k.item", "\t", ["id", "title", "year", "genre"], header=True)
    items = items.with_columns(
        title=pl.when(pl.col("title") == "unkonwn").then(pl.lit("")).otherwise(pl.col("title")),
        genre=pl.col("genre").str.split(" "),
    )
    return ratings, _users(users, folder / "ml-100k.user"), _items(items), path, 2


def _read_official(folder: Path) -> tuple[pl.DataFrame, pl.DataFrame, pl.DataFrame, Path, int]:
    path = folder / "u.data"
    ratings = read_delimited(path, "\t", ["user", "item", "rating", "time"], header=False)
    users = read_delimited(folder / "u.user", "|", ["id", "age", "gender", "occupation", "zip"], header=False)
    raw_names = ["id", "titled", "released", "video", "imdb", *GENRES]
    items = read_delimited(folder / "u.item", "|", raw_names, header=False, encoding="latin-1")
    flags = items.select(*GENRES).to_numpy() == "1"
    items = items.select(
        "id",
        title=pl.col("titled").str.replace(r"\s*\(\d{4}\)\s*$", "").replace("unknown", ""),
        year=pl.col("titled").str.extract(r"\((\d{4})\)\s*$"),
        genre=pl.Series([[GENRES[k] for k in np.flatnonzero(row)] for row in flags], dtype=pl.List(pl.String)),
    )
    return ratings, _users(users, folder / "u.user", first_line=1), _items(items), path, 1


def _users(users: pl.DataFrame, path: Path, first_line: int = 2) -> pl.DataFrame:
    return users.select("id", pl.Series("age", numbers(users, "age", path, first_line)), "gender", "occupation")


def _items(items: pl.DataFrame) -> pl.DataFrame:
    """Type the columns; the one movie without a year gets the median year."""
    year = pl.col("year").cast(pl.Float64, strict=False)
    return items.select("id", "title", year.fill_null(year.median()).alias("year"), "genre")
