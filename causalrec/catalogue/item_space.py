"""Items as vectors, by a column of theirs, so that two of them can be compared."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from causalrec.catalogue.bag_of_words import bag_of_words
from causalrec.data.card import Column, DatasetCard
from causalrec.data.dataset import CausalDataset
from causalrec.data.levels import level_indicators
from causalrec.errors import RequestError, did_you_mean
from causalrec.types import Floats

COMPARED = ("category", "multi_hot", "text", "vector")  # kinds of columns that tell how alike two items are
LEVELLED = ("category", "multi_hot")  # those whose levels items have
MAX_TOKENS = 64  # of a text that a language model reads


def check_column(
    card: DatasetCard, column: str | None, choice: str = "column", kinds: tuple[str, ...] = COMPARED
) -> Column:
    """Return a column of items of one of these kinds; raise RequestError where there is none of the name.

    Args:
        card: of the data set.
        column: its name; None: the only one of these kinds.
        choice: the setting that names it, as errors call it.
        kinds: `COMPARED` or `LEVELLED`.
    """
    items = [each.name for each in card.columns if each.entity == "item"]
    usable = [name for name in items if card.column(name).kind in kinds]
    if column is None and len(usable) == 1:
        return card.column(usable[0])
    if not usable:
        words = "categories or lists" if kinds == LEVELLED else "categories, lists, texts or vectors"
        raise RequestError(f"{choice}: {card.name} has no column of items of {words}; take data that have")
    if column is None:
        raise RequestError(f"{choice}: name a column of items: {', '.join(usable)}")
    if column not in items:
        raise RequestError(f"{choice}={column}: no such column of items; {did_you_mean(column, usable)}")
    if column not in usable:
        kind = card.column(column).kind
        raise RequestError(
            f"{choice}={column}: is of kind {kind}, by which items are not compared; choose one of {', '.join(usable)}"
        )
    return card.column(column)


def check_model(column: Column, model: Path | None, choice: str = "model") -> None:
    """Raise RequestError where a language model is named that is not on this machine, or has no text to read.

    Args:
        column: what is compared.
        model: folder of the model; None: none is.
        choice: the setting that names it, as errors call it.
    """
    if model is None:
        return
    if column.kind != "text":
        raise RequestError(f"{choice}={model}: column {column.name} is no text but {column.kind}; leave the model out")
    if not model.expanduser().is_dir():
        raise RequestError(
            f"{choice}={model}: no such folder; name one saved by transformers (MiniLM's, say), or leave it out: "
            f"texts are then compared by their words"
        )
    from causalrec.encoders.language.folder import local_model

    try:
        local_model(str(model))
    except RequestError as error:
        raise RequestError(str(error).replace("encoder.model=", f"{choice}=", 1)) from error


def item_space(dataset: CausalDataset, column: str, model: Path | None, cache: Path | None) -> Floats:
    """Return vectors of length 1 of all items, float32[I,D]; of an item that the column says nothing of, 0.

    A category, or a list of several, is its indicator; a vector is itself; a text is what a pretrained model makes of
    it (the mean of its tokens), and without a model its words (`bag_of_words`).

    Args:
        dataset: the tables of items.
        column: its name.
        model: folder of the language model that texts are read by; None: none is.
        cache: folder below which texts that it has read are stored.
    """
    kind = dataset.card.column(column).kind
    if kind == "vector":
        return unit_rows(np.asarray(dataset.item_vectors[column], np.float32))
    if kind == "text":
        return unit_rows(_text_vectors(dataset, column, model, cache))
    return unit_rows(levels(dataset, column)[0])


def _text_vectors(dataset: CausalDataset, column: str, model: Path | None, cache: Path | None) -> Floats:
    texts = ["" if text is None else str(text) for text in dataset.item_table[column].to_list()]
    if model is None:
        return bag_of_words(texts)
    if cache is None:
        raise RequestError(f"model={model}: without a folder for what it reads; set paths.cache")
    from causalrec.encoders.language.cache import embeddings  # which imports torch: a card is checked without it

    read = embeddings(texts, model.expanduser(), pooling="mean", max_tokens=MAX_TOKENS, cache=cache)
    said = np.array([bool(text.strip()) for text in texts])
    return np.where(said[:, None], read, np.float32(0))


def levels(dataset: CausalDataset, column: str) -> tuple[Floats, tuple[str, ...]]:
    """Return which levels of a category, or of a list of several, each item has, float32[I,L], and their names; an item
    whose entry is missing has none.
    """
    return level_indicators(dataset.item_table[column])


def unit_rows(vectors: Floats) -> Floats:
    """Divide each row by its length; a row of NaN or of zeros becomes 0."""
    finite = np.where(np.isfinite(vectors).all(1, keepdims=True), vectors, 0)
    length = np.linalg.norm(finite, axis=1, keepdims=True)
    unit: Floats = (finite / np.where(length > 0, length, 1)).astype(np.float32)
    return unit
