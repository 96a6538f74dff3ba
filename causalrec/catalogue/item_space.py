"""Items as vectors, by a column of theirs, so that two of them can be compared."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from causalrec.data.card import Column, DatasetCard
from causalrec.data.dataset import CausalDataset
from causalrec.errors import RequestError, did_you_mean
from causalrec.types import Floats


def check_column(card: DatasetCard, column: str, choice: str) -> Column:
    """Return a column of items that they can be compared by; raise RequestError where there is none of the name.

    Args:
        card: of the data set.
        column: its name.
        choice: the setting that names it, as errors call it.
    """
    usable = [each.name for each in card.columns if each.entity == "item" and each.kind not in ("id", "numeric")]
    if column not in usable:
        hint = (
            did_you_mean(column, usable) if usable else f"{card.name} has none of categories, lists, texts or vectors"
        )
        raise RequestError(f"{choice}={column}: no such column of items; {hint}")
    return card.column(column)


def item_space(dataset: CausalDataset, column: str, model: Path | None, cache: Path | None) -> Floats:
    """Return vectors of length 1 of all items, float32[I,D]; of an item that the column says nothing of, 0.

    A category, or a list of several, is its indicator; a vector is itself; a text is what a pretrained model makes of
    it.

    Args:
        dataset: the tables of items.
        column: its name.
        model: folder of the language model that texts are read by.
        cache: folder of texts that it has read.
    """
    kind = dataset.card.column(column).kind
    if kind == "vector":
        return unit_rows(np.asarray(dataset.item_vectors[column], np.float32))
    return unit_rows(levels(dataset, column)[0])


def levels(dataset: CausalDataset, column: str) -> tuple[Floats, tuple[str, ...]]:
    """Return which levels of a category, or of a list of several, each item has, float32[I,L], and their names."""
    values = dataset.item_table[column].to_list()
    lists = [value if isinstance(value, list) else [value] for value in values]
    names = sorted({str(level) for each in lists for level in each})
    code_of = {name: k for k, name in enumerate(names)}
    indicator = np.zeros((len(lists), len(names)), np.float32)
    for row, each in enumerate(lists):
        indicator[row, [code_of[str(level)] for level in each]] = 1
    return indicator, tuple(names)


def unit_rows(vectors: Floats) -> Floats:
    """Divide each row by its length; a row of NaN or of zeros becomes 0."""
    finite = np.where(np.isfinite(vectors).all(1, keepdims=True), vectors, 0)
    length = np.linalg.norm(finite, axis=1, keepdims=True)
    unit: Floats = (finite / np.where(length > 0, length, 1)).astype(np.float32)
    return unit
