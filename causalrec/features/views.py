"""From the adjustment set to inputs: which columns the propensity and the outcome model read, and as which numbers."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
import polars as pl

from causalrec.data.card import Column, DatasetCard
from causalrec.data.dataset import CausalDataset
from causalrec.data.log import InteractionLog
from causalrec.data.pair_columns import PairColumn
from causalrec.errors import DataError
from causalrec.features.row_columns import AbstractRowColumn, RowsWithColumns, check_levels, row_column
from causalrec.graph.causal_graph import CausalGraph
from causalrec.graph.identify import Adjustment
from causalrec.types import Floats, Ints


@dataclass(frozen=True)
class Views:
    """The columns that models read, as sorted names; controls, instruments and mediators are of a learner from a table.

    Attributes:
        propensity: what the propensity model reads.
        outcome: what the outcome model reads.
        modifiers: X, by which the effect may vary.
        controls: W, the rest of the adjustment set.
        instruments: Z, by which the effect is identified where adjusting does not.
        mediators: M, the same.
    """

    propensity: tuple[str, ...]
    outcome: tuple[str, ...]
    modifiers: tuple[str, ...] = ()
    controls: tuple[str, ...] = ()
    instruments: tuple[str, ...] = ()
    mediators: tuple[str, ...] = ()


def choose_views(graph: CausalGraph, card: DatasetCard, adjustment: Adjustment) -> Views:
    """Return the views: propensity = the adjustment set; outcome = it and every observed cause of the outcome."""
    training = adjustment.training
    causes, adjusted = graph.causes_of_outcome() & graph.observed_nodes(card), set(training.columns)
    causes -= set(training.instruments)  # they reach the outcome by exposure alone
    modifiers = causes if graph.modifiers is None else set(graph.modifiers)
    return Views(
        propensity=training.columns,
        outcome=tuple(sorted(causes | adjusted)),
        modifiers=tuple(sorted(modifiers)),
        controls=tuple(sorted(adjusted - modifiers)),
        instruments=training.instruments,
        mediators=() if training.mediator is None else (training.mediator,),
    )


def may_say_treatment(views: Views, card: DatasetCard) -> tuple[str, ...]:
    """Return the columns that treatment must not follow: those adjusted for; of a claimed draw, all causes of the
    outcome, for there nothing is adjusted for.
    """
    return views.outcome if card.randomised_training else views.propensity


@dataclass(frozen=True)
class FeatureMatrix:
    """The numbers of a view, by (user, item) pair and row, without a dense U x I array.

    Calling it gives float32[...,F]. Text and vector columns are left to encoders that read, unless they come as
    numbers.

    Attributes:
        names: [F], the expanded columns: of users, of items, of pairs, of rows.
        ids: the id columns of the view (embedded, never expanded here).
        user_block: float32[U,Fu].
        item_block: float32[I,Fi].
        pairs: the columns of pairs.
        rows: the columns of rows, which only logged rows have.
    """

    names: tuple[str, ...]
    ids: tuple[str, ...]
    user_block: Floats
    item_block: Floats
    pairs: tuple[PairColumn, ...] = ()
    rows: tuple[AbstractRowColumn, ...] = ()

    def __call__(self, user: Ints, item: Ints, row: Floats | None = None) -> Floats:
        """Return float32[...,F] of pairs; `row` float32[...,Fr]: their `row_block`. DataError where it is missing."""
        if self.rows and row is None:
            raise DataError(
                f"features: {', '.join(self.row_columns)} are of the row, and a pair alone has none; hand over the row "
                f"block of logged rows, or leave them out of the graph"
            )
        if not self.names:
            return np.zeros((*np.shape(item), 0), np.float32)
        blocks = [self.user_block[user], self.item_block[item]]
        for pair in self.pairs:
            blocks.append(pair(user, item)[..., None])
        if self.rows and row is not None:
            blocks.append(row)
        return np.concatenate(blocks, axis=-1)

    def of_users(self, user: Ints) -> Floats:
        """Return the columns of users, float32[...,F], the others 0."""
        return self._of_side(self.user_block[user], 0)

    def of_items(self, item: Ints) -> Floats:
        """Return the columns of items, float32[...,F], the others 0."""
        return self._of_side(self.item_block[item], self.user_block.shape[1])

    def _of_side(self, block: Floats, start: int) -> Floats:
        numbers = np.zeros((*block.shape[:-1], len(self)), np.float32)
        numbers[..., start : start + block.shape[-1]] = block
        return numbers

    def __len__(self) -> int:
        return len(self.names)

    def row_block(self, rows: RowsWithColumns) -> Floats | None:
        """Return the columns of rows as numbers, float32[N,Fr]; None where the view has none."""
        return np.concatenate([column(rows) for column in self.rows], axis=1) if self.rows else None

    def of_log(self, log: InteractionLog) -> Floats:
        """Return the numbers of logged rows, float32[N,F]."""
        return self(log.users, log.item, self.row_block(log))

    @property
    def row_columns(self) -> tuple[str, ...]:
        """The columns of rows that the view names."""
        return tuple(column.column for column in self.rows)

    @property
    def row_width(self) -> int:
        """Fr, the number of expanded columns of rows."""
        return sum(len(column.names) for column in self.rows)

    @property
    def of_pairs(self) -> FeatureMatrix:
        """The same without the columns of rows, which pairs that were never logged do not have."""
        return replace(self, names=self.names[: len(self.names) - self.row_width], rows=()) if self.rows else self

    @cached_property
    def identity(self) -> str:
        """Tells matrices of unlike numbers apart, however they were made."""
        digest = hashlib.sha256(repr((self.names, self.ids, [id(pair) for pair in self.pairs], self.rows)).encode())
        for block in (self.user_block, self.item_block):
            digest.update(repr(block.shape).encode() + np.ascontiguousarray(block).tobytes())
        return digest.hexdigest()


def feature_matrix(
    dataset: CausalDataset, view: tuple[str, ...], represented: Mapping[str, Floats] | None = None
) -> FeatureMatrix:
    """Expand a view's columns: numbers standardised over their table (of a row: over the logged rows), categories
    one-hot, lists multi-hot.

    `represented`: text and vector columns that are numbers already, float32[rows,K] by name.
    """
    columns, given = [dataset.card.column(name) for name in view], represented or {}
    user_names, user_block = _block(dataset.user_table, [c for c in columns if c.entity == "user"], given)
    item_names, item_block = _block(dataset.item_table, [c for c in columns if c.entity == "item"], given)
    pair_names = [c.name for c in columns if c.entity == "pair"]
    rows = tuple(row_column(c, dataset.logged.columns[c.name]) for c in columns if c.entity == "row")
    return FeatureMatrix(
        names=(*user_names, *item_names, *pair_names, *(name for row in rows for name in row.names)),
        ids=tuple(c.name for c in columns if c.kind == "id"),
        user_block=user_block,
        item_block=item_block,
        pairs=tuple(dataset.pair_features[name] for name in pair_names),
        rows=rows,
    )


def _block(table: pl.DataFrame, columns: list[Column], represented: Mapping[str, Floats]) -> tuple[list[str], Floats]:
    names: list[str] = []
    blocks = [np.zeros((max(len(table), 1), 0), np.float32)]  # a userless log reads row 0
    for column in columns:
        if column.name in represented:
            block = represented[column.name]
            names += [f"{column.name}[{k}]" for k in range(block.shape[1])]
            blocks.append(block)
            continue
        if column.kind in ("id", "text", "vector"):
            continue
        expanded, block = _expand(table[column.name], column)
        names += expanded
        blocks.append(block)
    return names, np.concatenate(blocks, axis=1)


def _expand(series: pl.Series, column: Column) -> tuple[list[str], Floats]:
    if column.kind == "numeric":
        values = series.cast(pl.Float64).to_numpy()
        if not np.isfinite(values).all():
            row = int(np.argmax(~np.isfinite(values)))
            raise DataError(f"column {column.name}: row {row} is not a finite number; fill or drop it")
        sd = values.std() or 1.0
        return [column.name], ((values - values.mean()) / sd).astype(np.float32)[:, None]
    listed = [value if isinstance(value, list) else [value] for value in series.to_list()]
    levels = sorted({str(level) for row in listed for level in row})
    check_levels(column.name, len(levels), len(series))
    block = np.zeros((len(series), len(levels)), np.float32)
    position = {level: k for k, level in enumerate(levels)}
    for row, held in enumerate(listed):
        block[row, [position[str(level)] for level in held]] = 1.0
    return [f"{column.name}={level}" for level in levels], block
