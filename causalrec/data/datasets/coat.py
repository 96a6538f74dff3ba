"""Coat Shopping: self-selected ratings and a randomised test (Schnabel et al., ICML 2016)."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import polars as pl

from causalrec.data.card import Column, DatasetCard
from causalrec.data.dataset import CausalDataset
from causalrec.data.datasets.base import AbstractDataset
from causalrec.data.delimited_text import binarise
from causalrec.data.log import InteractionLog
from causalrec.data.sources import Source
from causalrec.data.vectors import VectorFile, check_side, checksums, read_side, row_numbers
from causalrec.errors import DataError, RequestError
from causalrec.types import Ints

COAT = Source(
    folder="coat",
    url="https://www.cs.cornell.edu/~schnabts/mnar/coat.zip",
    url_sha256="6073d0b515ed1f6e830e4fead66dc76ad7991a7553eaa58e228b234a9d19daed",
    archive_member="coat",
    files={
        "train.ascii": "f9088c6e95fa9a42e8be6a92fc77252b95b969e34ed1299c611420da68680873",
        "test.ascii": "51fa28550f5bedebc6959d0e7b5e242b173c3c8d16317c7e49b89441304504ce",
        "user_item_features/item_features.ascii": "72b08cc0766d3e9899231aea90c815b5bb08e07dcfba569d5f182da649099f5a",
        "user_item_features/item_features_map.txt": "2675dfaa38b89a9cbb1997f0cfcd46ed7e0e366dc515d12d95508d1f356e5d25",
        "user_item_features/user_features.ascii": "593b59c63a3f983575d3a770b32158fdfa4e2e4f63aafffdee70d1600ff072f8",
        "user_item_features/user_features_map.txt": "3b8c825ad4445d4a46a400629c5fb43c805ff5a7982b2e436b69e7262c8a013a",
    },
)
SCALE = (1.0, 5.0)
COLUMNS = (
    Column("user", "user", "id"),
    Column("item", "item", "id"),
    Column("user_gender", "user", "category"),
    Column("user_age", "user", "category"),
    Column("user_location", "user", "category"),
    Column("user_fashioninterest", "user", "category"),
    Column("item_gender", "item", "category"),
    Column("item_jackettype", "item", "category"),
    Column("item_color", "item", "category"),
    Column("item_onfrontpage", "item", "category"),
)
ITEM_TEXT = {"item_gender": "{}", "item_jackettype": "{} jacket,", "item_color": "{}."}
USER_TEXT = {
    "user_gender": "Gender: {}.",
    "user_age": "Age: {}.",
    "user_location": "Lives in: {}.",
    "user_fashioninterest": "Interest in fashion: {}.",
}


@dataclass(frozen=True, kw_only=True)
class Coat(AbstractDataset):
    """290 users and 300 coats: 6,960 self-selected ratings and 4,640 of uniformly random coats (16 per user), 1..5.

    Attributes:
        threshold: outcome is 1 from this rating on, None for rating points; mandatory, for published tables differ.
        item_text: phrases by item column that make a coat's text.
        user_text: phrases by user column that make a user's text.
        vectors: files of precomputed vectors of coats, by the name of their node in the graph (`data/vectors.py`); ids
            are row numbers, from 0.
        user_vectors: files of precomputed vectors of users, likewise.
    """

    threshold: float | None
    item_text: dict[str, str] = field(default_factory=lambda: dict(ITEM_TEXT))
    user_text: dict[str, str] = field(default_factory=lambda: dict(USER_TEXT))
    vectors: dict[str, VectorFile] = field(default_factory=dict)
    user_vectors: dict[str, VectorFile] = field(default_factory=dict)

    def __post_init__(self) -> None:
        names = [column.name for column in COLUMNS] + [*self.vectors, *self.user_vectors]
        if twice := sorted({name for name in names if names.count(name) > 1}):
            raise RequestError(f"dataset.vectors: {twice[0]!r} is taken twice; call the vectors by another name")

    @property
    def card(self) -> DatasetCard:
        return DatasetCard(
            name="coat",
            domain="e-commerce",
            size="290 users, 300 items, 6,960 + 4,640 random rows",
            licence="none stated; free for research from Cornell, cite the paper",
            urls=("https://www.cs.cornell.edu/~schnabts/mnar/", str(COAT.url)),
            sha256=COAT.files,
            columns=(
                *COLUMNS,
                *(Column(name, "item", "vector") for name in self.vectors),
                *(Column(name, "user", "vector") for name in self.user_vectors),
            ),
            outcome="rating" if self.threshold is None else "click",
            feedback="explicit",
            scale=SCALE,
            threshold=self.threshold,
            randomised="16 coats per user, uniform",
            self_selected=True,
        )

    @property
    def sources(self) -> tuple[Source, ...]:
        return (COAT,)

    def load(self, root: Path) -> CausalDataset:
        folder = COAT.fetch(root)
        features, sums = folder / "user_item_features", self._vector_sums(root)
        users, items = (
            one_hot_table(features / f"{side}_features.ascii", features / f"{side}_features_map.txt", side)
            for side in ("user", "item")
        )
        return CausalDataset(
            card=self.card,
            logged=self._ratings(folder / "train.ascii", "coat"),
            randomised=self._ratings(folder / "test.ascii", "coat randomised"),
            user_table=users,
            item_table=items,
            item_vectors=read_side(self.vectors, folder, root, row_numbers(len(items)), "item"),
            user_vectors=read_side(self.user_vectors, folder, root, row_numbers(len(users)), "user"),
            raw_sha256={**COAT.files, **sums},
        )

    def check_files(self, root: Path) -> None:
        super().check_files(root)
        for side in (self.vectors, self.user_vectors):
            check_side(side, root / COAT.folder, root)

    def identity(self, root: Path) -> str:
        """Return what names the content of the raw files and of the vectors."""
        return repr(sorted({**self.card.sha256, **self._vector_sums(root)}.items()))

    def _vector_sums(self, root: Path) -> dict[str, str]:
        return checksums([*self.vectors.values(), *self.user_vectors.values()], root / COAT.folder, root)

    def _ratings(self, path: Path, name: str) -> InteractionLog:
        matrix = integer_matrix(path)
        bad = (matrix < 0) | (matrix > SCALE[1])
        if bad.any():
            line, column = (int(k) for k in np.argwhere(bad)[0])
            raise DataError(f"{path}: line {line + 1}, column {column + 1}: rating {matrix[line, column]} is off 1..5")
        user, item = np.nonzero(matrix)  # 0 = unobserved
        return InteractionLog(
            user=user.astype(np.int64),
            item=item.astype(np.int64),
            treatment=np.ones(len(user), np.int64),
            outcome=binarise(matrix[user, item].astype(np.float32), self.threshold),
            num_users=matrix.shape[0],
            num_items=matrix.shape[1],
            name=name,
        )


def integer_matrix(path: Path) -> Ints:
    """Read a dense, space-separated matrix of integers; raise DataError on a ragged or non-integer line."""
    rows = []
    for number, line in enumerate(path.read_text(encoding="ascii", errors="replace").splitlines(), start=1):
        try:
            rows.append([int(word) for word in line.split()])
        except ValueError as error:
            raise DataError(f"{path}: line {number}: not integers ({error}); the file is corrupt") from error
        if len(rows[-1]) != len(rows[0]):
            raise DataError(f"{path}: line {number}: {len(rows[-1])} numbers, expected {len(rows[0])}; truncated?")
    return np.array(rows, dtype=np.int64)


def one_hot_table(matrix_path: Path, map_path: Path, prefix: str) -> pl.DataFrame:
    """Turn one-hot rows back into categories; line k of the map names column k as `group:value`."""
    matrix = integer_matrix(matrix_path)
    names = [line.strip().split(":", 1) for line in map_path.read_text(encoding="ascii").splitlines() if line.strip()]
    groups = list(dict.fromkeys(group for group, _ in names))
    table = {}
    for group in groups:
        members = [k for k, (owner, _) in enumerate(names) if owner == group]
        block = matrix[:, members]
        if (block.sum(axis=1) != 1).any():
            line = int(np.argmax(block.sum(axis=1) != 1)) + 1
            raise DataError(f"{matrix_path}: line {line}: {group} is not one-hot")
        table[f"{prefix}_{group.replace(' ', '')}"] = [names[members[k]][1] for k in block.argmax(axis=1)]
    return pl.DataFrame(table)
