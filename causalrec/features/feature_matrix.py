"""The numbers of a view, by pair and row; a category of many levels is held by the levels that are 1."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
from scipy import sparse

from causalrec.data.log import InteractionLog
from causalrec.data.pair_columns import PairColumn
from causalrec.errors import DataError
from causalrec.features.row_columns import AbstractRowColumn, RowsWithColumns
from causalrec.memory import free_memory, gigabytes
from causalrec.types import Floats, Ints


@dataclass(frozen=True)
class FeatureMatrix:
    """The numbers of a view, by (user, item) pair and row, without a dense U x I array.

    Calling it gives float32[...,F]. Text and vector columns are left to encoders that read, unless they come as
    numbers. A category of more than `WIDE_LEVELS` levels is held by the level that is 1: `parts` and `matrix` give it
    so, and only a call writes it out.

    Attributes:
        names: [F], the expanded columns: of users, of items, of pairs, of rows.
        ids: the id columns of the view (embedded, never expanded here).
        user_block: float32[U,Du], numbers of users.
        item_block: float32[I,Di], of items.
        pairs: the columns of pairs.
        rows: the columns of rows, which only logged rows have.
        dense: int64[D], which of the names are numbers; None: all.
        user_levels: int64[U,Ku], which of the other names are 1 of each user, -1 where there are fewer; None: none.
        item_levels: int64[I,Ki], the same of items.
    """

    names: tuple[str, ...]
    ids: tuple[str, ...]
    user_block: Floats
    item_block: Floats
    pairs: tuple[PairColumn, ...] = ()
    rows: tuple[AbstractRowColumn, ...] = ()
    dense: Ints | None = None
    user_levels: Ints | None = None
    item_levels: Ints | None = None

    def __call__(self, user: Ints, item: Ints, row: Floats | None = None) -> Floats:
        """Return float32[...,F] of pairs; `row` float32[...,Fr]: their `row_block`. DataError where it is missing, or
        where all levels of wide categories, written out, do not fit into the memory that is free.
        """
        numbers, levels = self.parts(user, item, row)
        if levels is None or self.dense is None:
            return numbers
        require_dense_memory(self, int(np.prod(numbers.shape[:-1])), 4)
        written = np.zeros((*numbers.shape[:-1], len(self) + 1), np.float32)  # a column more, for no level
        written[..., self.dense] = numbers
        np.put_along_axis(written, levels, np.float32(1), -1)
        return written[..., :-1]

    def parts(self, user: Ints, item: Ints, row: Floats | None = None) -> tuple[Floats, Ints | None]:
        """Return the dense columns, float32[...,D], and which of the others are 1, int64[...,K]; None where there are
        no others. Arguments as of a call.
        """
        if self.rows and row is None:
            raise DataError(
                f"features: {', '.join(self.row_columns)} are of the row, and a pair alone has none; hand over the row "
                f"block of logged rows, or leave them out of the graph"
            )
        if not self.names:
            return np.zeros((*np.shape(item), 0), np.float32), None
        blocks = [self.user_block[user], self.item_block[item]]
        blocks += [pair(user, item)[..., None] for pair in self.pairs]
        levels = [
            block[ids] for block, ids in ((self.user_levels, user), (self.item_levels, item)) if block is not None
        ]
        if row is not None:
            for start, stop, first in self._row_slices():
                part_of_row = row[..., start:stop]
                if first is None:
                    blocks.append(part_of_row)
                else:
                    levels.append(part_of_row.astype(np.int64) + first)
        return np.concatenate(blocks, axis=-1), np.concatenate(levels, axis=-1) if levels else None

    def _row_slices(self) -> Iterator[tuple[int, int, int | None]]:
        """Yield where each column of rows lies in the row block, and the name of its first level where it is wide."""
        start, first = 0, len(self.names) - sum(len(column.names) for column in self.rows)
        for column in self.rows:
            yield start, start + column.width, first if column.is_wide else None
            start, first = start + column.width, first + len(column.names)

    def matrix(self, user: Ints, item: Ints, row: Floats | None = None) -> Floats | sparse.csr_matrix:
        """Return float32[N,F] of N pairs, sparse where a category is wide. Arguments as of a call."""
        numbers, levels = self.parts(user, item, row)
        if levels is None or self.dense is None:
            return numbers
        index, slot = np.nonzero(levels >= 0)
        units = sparse.csr_matrix(
            (np.ones(len(index), np.float32), (index, levels[index, slot])), shape=(len(levels), len(self))
        )
        placed = sparse.csr_matrix(
            (numbers.ravel(), np.tile(self.dense, len(numbers)), np.arange(len(numbers) + 1) * len(self.dense)),
            shape=units.shape,
        )
        return sparse.csr_matrix(placed + units)

    def matrix_of_log(self, log: InteractionLog) -> Floats | sparse.csr_matrix:
        """Return the numbers of logged rows, float32[N,F], sparse where a category is wide."""
        return self.matrix(log.users, log.item, self.row_block(log))

    def strata_of_log(self, log: InteractionLog) -> tuple[Floats, tuple[str, ...], dict[str, Ints]]:
        """Return the dense columns of logged rows, float32[N,D], their names, and by name the level of each row in wide
        categories, int64[N] (not of lists, of which a row has several).
        """
        numbers, levels = self.parts(log.users, log.item, self.row_block(log))
        if levels is None or self.dense is None:
            return numbers, self.names, {}
        slots = [self.names[int(column.max())].partition("=")[0] for column in levels.T if column.max() >= 0]
        single = {name: levels[:, k] for k, name in enumerate(slots) if slots.count(name) == 1}
        return numbers, tuple(self.names[k] for k in self.dense), single

    def of_users(self, user: Ints) -> tuple[Floats, Ints | None]:
        """Return `parts` in which only the columns of users are not 0."""
        return self._of_side(self.user_block[user], 0), None if self.user_levels is None else self.user_levels[user]

    def of_items(self, item: Ints) -> tuple[Floats, Ints | None]:
        """Return `parts` in which only the columns of items are not 0."""
        numbers = self._of_side(self.item_block[item], self.user_block.shape[1])
        return numbers, None if self.item_levels is None else self.item_levels[item]

    def _of_side(self, block: Floats, start: int) -> Floats:
        numbers = np.zeros((*block.shape[:-1], self.dense_width), np.float32)
        numbers[..., start : start + block.shape[-1]] = block
        return numbers

    def __len__(self) -> int:
        return len(self.names)

    @property
    def dense_width(self) -> int:
        """D, the number of dense columns."""
        return len(self) if self.dense is None else len(self.dense)

    def row_block(self, rows: RowsWithColumns) -> Floats | None:
        """Return the columns of rows as numbers, float32[N,Fr], of a wide category the number of its level; None where
        the view has none.
        """
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
        """Fr, the number of columns of the row block."""
        return sum(column.width for column in self.rows)

    @property
    def of_pairs(self) -> FeatureMatrix:
        """The same without the columns of rows, which pairs that were never logged do not have."""
        if not self.rows:
            return self
        names = self.names[: len(self.names) - sum(len(column.names) for column in self.rows)]
        dense = None if self.dense is None else self.dense[self.dense < len(names)]
        return replace(self, names=names, rows=(), dense=dense)

    @cached_property
    def wide_columns(self) -> Mapping[str, int]:
        """The categories held by their levels, with how many these are."""
        if self.dense is None:
            return {}
        is_level = np.ones(len(self), bool)
        is_level[self.dense] = False
        return Counter(self.names[k].partition("=")[0] for k in np.flatnonzero(is_level))

    @property
    def short_names(self) -> tuple[str, ...]:
        """The names, a wide category as one with the number of its levels."""
        wide = self.wide_columns
        columns = ((name.partition("=")[0], name) for name in self.names)
        return tuple(dict.fromkeys(f"{c} ({wide[c]:,} levels)" if c in wide else name for c, name in columns))

    @cached_property
    def identity(self) -> str:
        """Tells matrices of unlike numbers apart, however they were made."""
        digest = hashlib.sha256(repr((self.names, self.ids, [id(pair) for pair in self.pairs], self.rows)).encode())
        for block in (self.user_block, self.item_block, self.user_levels, self.item_levels):
            if block is not None:
                digest.update(repr(block.shape).encode() + np.ascontiguousarray(block).tobytes())
        return digest.hexdigest()


def require_dense_memory(features: FeatureMatrix, rows: int, bytes_each: int, reader: str = "features") -> None:
    """Raise DataError, with the arithmetic, where all columns of so many rows do not fit into the memory that is free.

    Args:
        features: whose wide categories are to be written out; without any nothing is asked.
        rows: how many.
        bytes_each: of a number, over all copies.
        reader: who needs them, for the message.
    """
    needed, free = rows * len(features) * bytes_each, free_memory()
    if features.wide_columns and needed > free:
        wide = ", ".join(f"{name} ({count:,} levels)" for name, count in features.wide_columns.items())
        raise DataError(
            f"{reader}: {rows:,} rows x {len(features):,} columns x {bytes_each} bytes are {gigabytes(needed)}, and "
            f"{gigabytes(free)} are free, as it needs every level of {wide} written out; merge rare levels, leave it "
            f"out of the graph, or set learner=network, which reads it sparse"
        )
