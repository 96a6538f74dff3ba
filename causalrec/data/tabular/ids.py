"""Raw ids of any type as numbers from 0, in an order that the file decides."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import polars as pl

from causalrec.types import Ints


@dataclass
class Dictionary:
    """Gives every distinct id a provisional number while files stream by (shared by all files)."""

    categories: pl.Categories = field(default_factory=pl.Categories.random)
    anchor: pl.Series = field(init=False, repr=False)  # polars forgets categories that no series holds

    def __post_init__(self) -> None:
        self.anchor = pl.Series([None], dtype=pl.Categorical(self.categories))

    @property
    def seen_ids(self) -> pl.Series:
        """The ids met so far, by provisional number."""
        return self.categories.to_series().cast(pl.String)

    def ranks(self, table_ids: pl.Series | None) -> tuple[pl.Series, Ints]:
        """Return the ids in their final order and the final number of each provisional one (-1: not in the table).

        The order is that of `table_ids` where there is a table, else by number where all ids are whole numbers, else
        by letter: never that in which threads met them.
        """
        seen_ids = self.seen_ids
        ids = _sort_ids(seen_ids.drop_nulls()) if table_ids is None else table_ids
        if not len(ids):
            return ids, np.full(len(seen_ids), -1, np.int64)
        first = ids.is_first_distinct()  # an id that its table holds twice is a problem of that table
        numbers = pl.Series(np.arange(len(ids)), dtype=pl.Int64).filter(first)
        ranks = seen_ids.replace_strict(ids.filter(first), numbers, default=None, return_dtype=pl.Int64)
        return ids, ranks.fill_null(-1).to_numpy()


def _sort_ids(ids: pl.Series) -> pl.Series:
    are_integers = bool(ids.str.contains(r"^(0|[1-9]\d{0,17})$").all())
    return ids.gather(ids.cast(pl.Int64).arg_sort()) if are_integers else ids.sort()
