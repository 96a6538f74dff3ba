"""Which levels of a category, or of a list of several, each user or item has."""

from __future__ import annotations

import numpy as np
import polars as pl

from causalrec.types import Floats


def level_indicators(column: pl.Series) -> tuple[Floats, tuple[str, ...]]:
    """Return which levels each row has, float32[N,L], and their names in order; where the entry is missing, none.

    >>> level_indicators(pl.Series([["a", "b"], [], ["b"]]))
    (array([[1., 1.],
           [0., 0.],
           [0., 1.]], dtype=float32), ('a', 'b'))
    """
    values = column.to_list()
    lists = [value if isinstance(value, list) else [value] for value in values]
    named = [[str(level) for level in each if level is not None] for each in lists]
    names = sorted({level for each in named for level in each})
    code_of = {name: k for k, name in enumerate(names)}
    indicator = np.zeros((len(lists), len(names)), np.float32)
    for row, each in enumerate(named):
        indicator[row, [code_of[level] for level in each]] = 1
    return indicator, tuple(names)
