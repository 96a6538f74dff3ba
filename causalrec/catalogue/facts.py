"""What lists of items are judged and re-ordered by: popularity, what users liked, columns and vectors of items."""

from __future__ import annotations

import hashlib
import io
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

import numpy as np

from causalrec.catalogue.item_space import item_space, levels
from causalrec.data.dataset import CausalDataset
from causalrec.data.log import InteractionLog
from causalrec.data.pair_lists import PairLists, sort_distinct
from causalrec.data.popularity import popularity_levels
from causalrec.types import Floats, Ints


@dataclass(frozen=True, eq=False)
class CatalogueFacts:
    """What is known of items, and of what users did with them, before a list is made: training rows alone.

    Attributes:
        dataset: its tables and vectors of items.
        train: the training rows.
        cache: folder of texts that a language model has read; None: none may be read by one.
        drawn_from: of few-shot training rows, those that they were drawn from, which tell popularity.
    """

    dataset: CausalDataset
    train: InteractionLog
    cache: Path | None = None
    drawn_from: InteractionLog | None = None
    _spaces: dict[tuple[str, Path | None], Floats] = field(default_factory=dict, repr=False)
    _shares: dict[str, Floats] = field(default_factory=dict, repr=False)
    _levels: dict[tuple[float, float], Ints] = field(default_factory=dict, repr=False)

    @property
    def num_items(self) -> int:
        return self.train.num_items

    @property
    def num_users(self) -> int:
        return self.train.num_users

    @cached_property
    def fingerprint(self) -> str:
        """Hash of what the columns and vectors of items say."""
        table = io.BytesIO()
        self.dataset.item_table.write_ipc(table)
        digest = hashlib.sha256(table.getvalue())
        for name, vectors in sorted(self.dataset.item_vectors.items()):
            digest.update(name.encode() + np.ascontiguousarray(vectors).tobytes())
        return digest.hexdigest()

    @cached_property
    def popularity(self) -> Ints:
        """How many exposed training rows each item has, int64[I]."""
        rows = self._counted_rows
        counts: Ints = np.bincount(rows.item[rows.treatment > 0], minlength=self.num_items)
        return counts

    @cached_property
    def audience(self) -> Ints:
        """How many users have an exposed training row of each item, int64[I]."""
        rows = self._counted_rows
        pairs = sort_distinct(rows.codes[rows.treatment > 0])
        users: Ints = np.bincount(pairs % self.num_items, minlength=self.num_items)
        return users

    def popularity_levels(self, borders: tuple[float, float]) -> Ints:
        """Return which of `LEVELS` each item is in by its training rows, int64[I]; made once."""
        if borders not in self._levels:
            self._levels[borders] = popularity_levels(self._counted_rows, borders)
        return self._levels[borders]

    @property
    def _counted_rows(self) -> InteractionLog:
        return self.train if self.drawn_from is None else self.drawn_from

    @cached_property
    def liked(self) -> PairLists:
        """The items of each user's exposed training rows whose outcome is above the mean of all (where all outcomes are
        one number, as in logs of positives: all of these rows).
        """
        train = self.train
        exposed = (train.treatment > 0) & np.isfinite(train.outcome)
        outcome = train.outcome[exposed]
        above = outcome > outcome.mean(dtype=np.float64) if len(np.unique(outcome)) > 1 else np.ones(len(outcome), bool)
        codes = train.users[exposed][above].astype(np.int64) * self.num_items + train.item[exposed][above]
        return PairLists.of(codes, max(self.num_users, 1), self.num_items)

    def level_shares(self, column: str) -> Floats:
        """Return each item's levels of a category, or of a list of several, as shares of one, float32[I,L]; made once.

        All 0 where an item has none.
        """
        if column not in self._shares:
            indicator, _ = levels(self.dataset, column)
            self._shares[column] = indicator / np.maximum(indicator.sum(1, keepdims=True), 1)
        return self._shares[column]

    def space(self, column: str, model: Path | None = None) -> Floats:
        """Return what `item_space` makes of a column, float32[I,D]; made once."""
        if (column, model) not in self._spaces:
            self._spaces[column, model] = item_space(self.dataset, column, model, self.cache)
        return self._spaces[column, model]
