"""Trust or friend edges as a column of (user, item) pairs: how many of a user's trusted users met the item."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import polars as pl

from causalrec.data.pairs import PairTable
from causalrec.data.problems import Problem
from causalrec.data.tabular.findings import Findings
from causalrec.data.tabular.rawfile import RawFile, header_problems, row_problems
from causalrec.types import Floats, Ints


@dataclass(frozen=True, kw_only=True)
class EdgeFile:
    """A table of edges: `source` trusts `target`, `weight` None to count them."""

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
    if wrong := header_problems(raw, table.columns):
        return None, wrong
    try:
        frame = raw.scan(table.columns).collect()
    except pl.exceptions.PolarsError as error:
        return None, row_problems(raw, error)
    found, place = Findings(raw), pl.Series(np.arange(len(users)), dtype=pl.Int64)
    made = pl.DataFrame({"weight": np.ones(len(frame))})
    if table.weight is not None:
        made = frame.select(weight=pl.col(table.weight).cast(pl.Float64, strict=False))
        found.add("{value} is not a finite weight", table.weight, ~np.isfinite(made["weight"].to_numpy()))
    for part, name in (("source", table.source), ("target", table.target)):
        ids = frame[name].cast(pl.String).replace_strict(users, place, default=None, return_dtype=pl.Int64)
        unknown = ids.is_null().to_numpy()
        found.add("{value} is not a known user; the edge is left out", name, unknown, severity="warning")
        made = made.with_columns(ids.alias(part))
    first = made.select(pl.struct("source", "target").is_first_distinct()).to_series()
    known = made.select(pl.all_horizontal(pl.col("source", "target").is_not_null())).to_series()
    again = (known & ~first).to_numpy()
    found.add("the edge stands in an earlier row already; left out", table.source, again, severity="warning")
    return made.filter(known & first), found.problems()


def trusted_counts(
    source: Ints, target: Ints, weight: Floats, user: Ints, item: Ints, num_users: int, num_items: int
) -> PairTable:
    """Sum the weights of a user's edges to users that have a logged row of the item.

    `source[E]`, `target[E]` int64: the user trusts the target; `weight[E]` float32, 1 to count; `user[N]`, `item[N]`
    int64: the logged rows, whole (a held-out row of a trusted user counts as well; a user's own rows never do).

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
