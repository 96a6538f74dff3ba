"""Splits whose test is a group that training rows lack: what a column of users or of items tells apart."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterable
from copy import copy
from dataclasses import dataclass, field
from typing import ClassVar, Self

import numpy as np
import polars as pl

from causalrec.data.card import DatasetCard
from causalrec.data.dataset import CausalDataset
from causalrec.data.domain_distance import distance_words
from causalrec.data.log import InteractionLog
from causalrec.data.pair_pool import PairPool
from causalrec.data.split.base import AbstractLogSplit, RowAssignment
from causalrec.data.split.row_order import ids_of, random_shares
from causalrec.data.split.splits import Splits
from causalrec.errors import DataError, RequestError, did_you_mean
from causalrec.types import Bools, Entity, Share

LEVELLED = ("category", "multi_hot")


@dataclass(frozen=True, kw_only=True)
class AbstractGroupShift(AbstractLogSplit):
    """Training and validation rows are those outside a group of users or items, the test rows those inside.

    Where there are randomised rows, those of the group are the test. Validation rows are a share of the training
    domain's, so that nothing is chosen by the test's. Users (items) of the group have no training row: what carries
    over is what columns, texts or vectors say. Raises DataError where a side has no row.

    Attributes:
        column: of users (items), a category, a list of levels or a number.
        levels: the group's, of a category or a list.
        at_least: the group has this number or more.
        below: the group has less than this.
        validation: share of the rows outside the group.
    """

    entity: ClassVar[Entity]

    column: str
    levels: tuple[str, ...] = ()
    at_least: float | None = None
    below: float | None = None
    validation: Share = 0.1
    _group: Bools | None = field(default=None, init=False, repr=False, compare=False)

    @property
    @abstractmethod
    def name(self) -> str:
        """The name of the component, in messages."""

    def __post_init__(self) -> None:
        bounds = self.at_least is not None or self.below is not None
        if bounds == bool(self.levels):
            raise RequestError(
                f"split={self.name}: a group is split.levels=[NAME,..] of a category or a list, or split.at_least=X, "
                f"split.below=Y or both of a number; name {'one of these alone' if bounds else 'one'}"
            )
        if self.at_least is not None and self.below is not None and self.at_least >= self.below:
            raise RequestError(f"split.at_least={self.at_least:g}: is not below split.below={self.below:g}")

    @property
    def description(self) -> str:
        return f"{self.entity}s of {self.group_words}, trained on the others"

    @property
    def group_words(self) -> str:
        """The group in words."""
        if self.levels:
            return f"{self.column}={' or '.join(self.levels)}"
        low = "" if self.at_least is None else f"{self.at_least:g} <= "
        return f"{low}{self.column}" + ("" if self.below is None else f" < {self.below:g}")

    def check(self, card: DatasetCard) -> None:
        kinds = {column.name: column.kind for column in card.columns if column.entity == self.entity}
        usable = [name for name, kind in kinds.items() if kind in (*LEVELLED, "numeric")]
        if self.column not in usable:
            raise RequestError(
                f"split.column={self.column}: {card.name} has no category, list or number of {self.entity}s of this "
                f"name; {did_you_mean(self.column, usable)}"
            )
        if (kinds[self.column] in LEVELLED) != bool(self.levels):
            wanted = "levels=[NAME]" if kinds[self.column] in LEVELLED else "at_least=X or split.below=Y"
            raise RequestError(f"split.column={self.column}: is of kind {kinds[self.column]}; set split.{wanted}")

    def bind(self, dataset: CausalDataset) -> Self:
        self.check(dataset.card)
        bound = copy(self)
        object.__setattr__(bound, "_group", self._members(dataset.tables[self.entity][self.column]))
        return bound

    def _members(self, column: pl.Series) -> Bools:
        """Return which users (items) are of the group."""
        if not self.levels:
            values = column.cast(pl.Float64).to_numpy()
            low = -np.inf if self.at_least is None else self.at_least
            return np.asarray((values >= low) & (values < (np.inf if self.below is None else self.below)))
        lists = [value if isinstance(value, list) else [value] for value in column.to_list()]
        named = [{str(level) for level in each} for each in lists]
        there = sorted(set().union(*named))
        for level in self.levels:
            if level not in there:
                raise RequestError(
                    f"split.levels={level}: {self.column} has no such level; {did_you_mean(level, there)}"
                )
        return np.array([not each.isdisjoint(self.levels) for each in named])

    def assign(self, logged: InteractionLog, randomised: InteractionLog | None) -> RowAssignment:
        assert self._group is not None, "bound to the data set before"
        outside = np.flatnonzero(~self._group[ids_of(logged, self.entity)])
        tested = logged if randomised is None else randomised
        test = np.flatnonzero(self._group[ids_of(tested, self.entity)])
        if not len(outside) or not len(test):
            side, kind = ("training", "outside") if len(test) else ("test", "inside")
            raise DataError(
                f"{logged.name}: split={self.name}: the {side} side is empty: no row is {kind} the group "
                f"{self.group_words}; widen or narrow it"
            )
        validates, _ = random_shares(len(outside), self.validation, 0.0, self.seed)
        return RowAssignment(
            train=outside[~validates], validation=outside[validates], test=test, pool=self._pool(logged, ~self._group)
        )

    def _pool(self, logged: InteractionLog, others: Bools) -> PairPool | None:
        if logged.user is None:
            return None
        users, items = np.arange(logged.num_users), np.arange(logged.num_items)
        return PairPool(users[others], items) if self.entity == "user" else PairPool(users, items[others])

    def footnotes(self, dataset: CausalDataset, splits: Splits) -> Iterable[str]:
        yield (
            f"test of another domain ({self.group_words}); validation rows are of the training domain; "
            f"{distance_words(dataset, splits, self.column)}"
        )
