"""Trust or friend edges as a column of (user, item) pairs: how many of a user's trusted users met the item."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import polars as pl

from causalrec.data.pair_columns import PairTable
from causalrec.data.table_problems import Problem
from causalrec.data.tabular.bad_rows import BadRows
from causalrec.data.tabular.file_problems import header_problems, row_problems
from causalrec.data.tabular.line_checks import line_problems
from causalrec.data.tabular.rawfile import RawFile
from causalrec.types import Floats, Ints


@dataclass(frozen=True, kw_only=True)
class EdgeFile:
    """A table of edges between users: the source trusts the target.

    Attributes:
        raw: The file.
        source: The column of users who trust.
        target: The column of users who are trusted.
        weight: The column of weights; None to count edges.
    """

    raw: RawFile
    source: str
    target: str
    weight: str | None

    @property
    def columns(self) -> list[str]:
        """The columns it is read from."""
        return [self.source, self.target, *([self.weight] if self.weight else [])]


def read_edges(table: EdgeFile, raw: RawFile, users: pl.Series) -> tuple[pl.DataFrame | None, list[Problem]]:
    """Return the edges as numbers of `users` (source, target, weight), each once, and every problem of the file.

    Edges to unknown users and repeated edges are left out with a warning; None where the file cannot be read.
    """
    if wrong := header_problems(raw, table.columns) or line_problems(raw):
        return None, wrong
    try:
        frame = raw.scan(table.columns).collect()
    except pl.exceptions.PolarsError as error:
        return None, row_problems(raw, error)
    bad_rows, numbers = BadRows(raw), pl.Series(np.arange(len(users)), dtype=pl.Int64)
    edges = pl.DataFrame({"weight": np.ones(len(frame))})
    if table.weight is not None:
        edges = frame.select(weight=pl.col(table.weight).cast(pl.Float64, strict=False))
        bad_rows.add("{value} is not a finite weight", table.weight, ~np.isfinite(edges["weight"].to_numpy()))
    for end, name in (("source", table.source), ("target", table.target)):
        ids = frame[name].cast(pl.String).replace_strict(users, numbers, default=None, return_dtype=pl.Int64)
        unknown = ids.is_null().to_numpy()
        bad_rows.add("{value} is not a known user; the edge is left out", name, unknown, severity="warning")
        edges = edges.with_columns(ids.alias(end))
    first = edges.select(pl.struct("source", "target").is_first_distinct()).to_series()
    has_users = edges.select(pl.all_horizontal(pl.col("source", "target").is_not_null())).to_series()
    again = (has_users & ~first).to_numpy()
    bad_rows.add("the edge stands in an earlier row already; left out", table.source, again, severity="warning")
    return edges.filter(has_users & first), bad_rows.problems()


def trusted_counts(
    source: Ints, target: Ints, weight: Floats, user: Ints, item: Ints, num_users: int, num_items: int
) -> PairTable:
    """Sum the weights of a user's edges to users that have a logged row of the item.

    All logged rows count, the held-out rows of a trusted user among them; a user's own rows never do.

    Args:
        source: The user who trusts, int64[E].
        target: The user who is trusted, int64[E].
        weight: Weight of the edge, float32[E]; 1 to count.
        user: User of each logged row, int64[N].
        item: Item of each logged row, int64[N].
        num_users: U; user ids run from 0.
        num_items: I; item ids run from 0.

    >>> edges, rows = ([0, 0], [1, 2], [1.0, 1.0]), ([1, 2, 2], [3, 3, 0])
    >>> pairs = trusted_counts(*map(np.array, edges), *map(np.array, rows), 3, 4)
    >>> pairs.codes.tolist(), pairs.values.tolist()
    ([0, 3], [1.0, 2.0])
    """
    from scipy import sparse

    others = source != target
    trust = sparse.csr_array((weight[others], (source[others], target[others])), shape=(num_users, num_users))
    met = sparse.csr_array((np.ones(len(user), np.float32), (user, item)), shape=(num_users, num_items))
    met.data[:] = 1  # a pair that repeats is still one user who met the item
    counts = (trust @ met).tocsr()
    counts.sort_indices()
    rows = np.repeat(np.arange(num_users, dtype=np.int64), np.diff(counts.indptr))
    return PairTable(rows * num_items + counts.indices, counts.data.astype(np.float32), num_items)
