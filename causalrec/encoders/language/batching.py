"""How texts are put together in batches, so that little is spent on padding."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import pairwise


def batches(lengths: Sequence[int], budget: int, worth: int) -> Iterator[slice]:
    """Cut ascending lengths into batches of at most `budget` tokens, padding included, and `worth` tokens of padding.

    >>> [(rows.start, rows.stop) for rows in batches([2, 2, 3, 9, 9], budget=12, worth=4)]
    [(0, 3), (3, 4), (4, 5)]
    """
    start, padding = 0, 0
    for position, (before, length) in enumerate(pairwise(lengths), start=1):
        padding += (position - start) * (length - before)
        if padding > worth or (position - start + 1) * length > budget:
            yield slice(start, position)
            start, padding = position, 0
    if lengths:
        yield slice(start, len(lengths))
