"""MovieLens-1M: real ratings with titles, genres and demographics (Harper & Konstan, TiiS 2015)."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import numpy as np
import polars as pl

from causalrec.data.card import Column, DatasetCard
from causalrec.data.dataset import CausalDataset
from causalrec.data.datasets.base import AbstractDataset
from causalrec.data.delimited_text import binarise, indices, numbers, ratings_in_scale, read_delimited
from causalrec.data.log import InteractionLog
from causalrec.data.sources import Source, sha256_of
from causalrec.errors import DataError

ML1M_FILES = Source(
    folder="ml-1m",
    url="https://files.grouplens.org/datasets/movielens/ml-1m.zip",
    url_sha256="a6898adb50b9ca05aa231689da44c217cb524e7ebd39d264c56e2832f2c54e20",
    url_md5="c4d9eecfca2ab87c1945afe126590906",
    archive_member="ml-1m",
    files={
        "ratings.dat": "506d64ca44484487c11dc2d9a28de5c54948213e6b96285e298afe28d6ea4e0f",
        "movies.dat": "0140fc2356357c1a851d0f52e893a1e4d3696df632c4141cea8d5bc3d621f0b9",
        "users.dat": "",
    },
)
AGES: Final = {
    **{"1": "under 18", "18": "18-24", "25": "25-34", "35": "35-44", "45": "45-49", "50": "50-55"},
    "56": "56 and over",
}
OCCUPATIONS: Final = (
    *("other", "academic/educator", "artist", "clerical/admin", "college/grad student", "customer service"),
    *("doctor/health care", "executive/managerial", "farmer", "homemaker", "K-12 student", "lawyer", "programmer"),
    *("retired", "sales/marketing", "scientist", "self-employed", "technician/engineer", "tradesman/craftsman"),
    *("unemployed", "writer"),
)
SCALE = (1.0, 5.0)
COLUMNS = (
    Column("user", "user", "id"),
    Column("item", "item", "id"),
    Column("gender", "user", "category"),
    Column("age", "user", "category"),
    Column("occupation", "user", "category"),
    Column("zip_region", "user", "category"),
    Column("title", "item", "text"),
    Column("genre", "item", "multi_hot"),
    Column("year", "item", "numeric"),
)

USER_TEXT = {"age": "Age: {}.", "gender": "Gender: {}.", "occupation": "Occupation: {}."}


@dataclass(frozen=True, kw_only=True)
class ML1M(AbstractDataset):
    """1,000,209 ratings 1..5 of 6,040 users for 3,883 movies (3,706 rated), self-selected (MNAR), no randomised part.

    `age` is the publisher's bracket, `zip_region` the first digit of the US zip code.
    Assumption: none of its tests is unbiased; scores describe logged exposure.

    Attributes:
        threshold: outcome is 1 from this rating on (4 is usual), None for rating points; mandatory, for published
            tables differ in it.
        item_text: phrases by item column that make a movie's text.
        user_text: phrases by user column that make a user's text.
    """

    threshold: float | None
    item_text: dict[str, str] = field(
        default_factory=lambda: {"title": "{}", "year": "({:.0f}).", "genre": "Genres: {}."}
    )
    user_text: dict[str, str] = field(default_factory=lambda: dict(USER_TEXT))

    @property
    def card(self) -> DatasetCard:
        return DatasetCard(
            name="ml1m",
            domain="video",
            size="6,040 users, 3,706 rated movies, 1,000,209 rows",
            licence="research use, no redistribution (GroupLens README)",
            urls=("https://grouplens.org/datasets/movielens/1m/", str(ML1M_FILES.url)),
            sha256=ML1M_FILES.files,
            columns=COLUMNS,
            outcome="rating" if self.threshold is None else "click",
            feedback="explicit",
            scale=SCALE,
            threshold=self.threshold,
            self_selected=True,
            unseen="drop",
        )

    @property
    def sources(self) -> tuple[Source, ...]:
        return (ML1M_FILES,)

    def load(self, root: Path) -> CausalDataset:
        folder = ML1M_FILES.fetch(root)
        users, items = read_users(folder / "users.dat"), read_movies(folder / "movies.dat")
        path = folder / "ratings.dat"
        ratings = read_delimited(path, "::", ["user", "item", "rating", "time"], header=False)
        values = ratings_in_scale(numbers(ratings, "rating", path, 1), SCALE, path, 1)
        log = InteractionLog(
            user=indices(ratings, "user", users["id"].to_list(), path, 1),
            item=indices(ratings, "item", items["id"].to_list(), path, 1),
            treatment=np.ones(len(values), np.int64),
            outcome=binarise(values, self.threshold),
            time=numbers(ratings, "time", path, 1).astype(np.int64),
            num_users=len(users),
            num_items=len(items),
            name="ml1m",
        )
        return CausalDataset(
            card=self.card,
            logged=log.without_repeats(self.card.repeats),
            user_table=users.drop("id"),
            item_table=items.drop("id"),
            user_ids=users["id"],
            item_ids=items["id"],
            raw_sha256={name: sha256_of(folder / name) for name in ML1M_FILES.files},
        )


def read_users(path: Path) -> pl.DataFrame:
    """Read id, gender, age, occupation and zip_region; raise DataError on a code the README does not list."""
    table = read_delimited(path, "::", ["id", "gender", "age", "occupation", "zip"], header=False, encoding="latin-1")
    jobs = {str(code): name for code, name in enumerate(OCCUPATIONS)}
    for column, names in (("gender", {"F": "F", "M": "M"}), ("age", AGES), ("occupation", jobs)):
        bad = ~table[column].is_in(list(names))
        if bad.any():
            row = int(bad.arg_max() or 0)
            raise DataError(f"{path}: line {row + 1}: {column} {table[column][row]!r} is not a code of the README")
        table = table.with_columns(pl.col(column).replace_strict(names))
    return table.select("id", "gender", "age", "occupation", zip_region=pl.col("zip").str.slice(0, 1))


def read_movies(path: Path) -> pl.DataFrame:
    """Read id, title, genre and year; raise DataError on a title that does not end in its year."""
    table = read_delimited(path, "::", ["id", "titled", "genres"], header=False, encoding="latin-1")
    year = table["titled"].str.extract(r"\((\d{4})\)\s*$")
    if year.null_count():
        row = int(year.is_null().arg_max() or 0)
        raise DataError(f"{path}: line {row + 1}: title {table['titled'][row]!r} does not end in (year); corrupt?")
    return table.select(
        "id",
        title=pl.col("titled").str.replace(r"\s*\(\d{4}\)\s*$", ""),
        genre=pl.col("genres").str.split("|"),
        year=year.cast(pl.Float64),
    )
