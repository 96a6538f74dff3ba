"""Sources of the data destroyed: texts, columns and vectors dealt anew among items, or the same for all of them."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

import numpy as np

from causalrec.data.dataset import CausalDataset
from causalrec.types import Ints


def deal_anew(count: int, share: float, rng: np.random.Generator) -> Ints:
    """Return whose each of `count` items is given, int64[count]: `share` of them, drawn at random, each another's.

    They pass theirs round in one random cycle, so that none of them keeps its own and all that there was still is.

    >>> deal_anew(4, 0.5, np.random.default_rng(0)).tolist()
    [2, 1, 0, 3]
    """
    chosen = rng.permutation(count)[: round(share * count)]
    order = np.arange(count)
    order[chosen] = np.roll(chosen, 1)
    return order


def give_texts(dataset: CausalDataset, columns: Iterable[str], order: Ints) -> CausalDataset:
    """Return the data set in which each item has the text of another, all its columns together.

    Args:
        dataset: as loaded.
        columns: of items that make their text.
        order: int64[I], whose text an item has.
    """
    table = dataset.item_table
    given = [table[name].gather(order) for name in columns if name in table.columns]
    return replace(dataset, item_table=table.with_columns(given))


def give_vectors(dataset: CausalDataset, order: Ints) -> CausalDataset:
    """Return the data set in which each item has the vectors of the item that `order`, int64[I], names."""
    return replace(dataset, item_vectors={name: values[order] for name, values in dataset.item_vectors.items()})
