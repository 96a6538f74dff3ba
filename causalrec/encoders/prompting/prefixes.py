"""Which prompts begin alike, so that what they share is read once."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import takewhile

LEAST_PREFIX = 32  # tokens, below which sharing costs more than it saves
LEAST_SHARE = 0.5  # of a prompt that its group's prefix must be
LEAST_SAVING = 256  # tokens that a group must spare


@dataclass(frozen=True)
class PrefixGroup:
    """Prompts that begin alike.

    Attributes:
        rows: indices of the prompts.
        length: tokens at the beginning that all of them have, less than the shortest has; 0: they are read whole.
    """

    rows: tuple[int, ...]
    length: int


def prefix_groups(prompts: Sequence[tuple[int, ...]]) -> list[PrefixGroup]:
    """Return groups of prompts whose common beginning is worth reading once, and one of all others, of length 0.

    >>> user, other = tuple(range(300)), (7, 8, 9)
    >>> prefix_groups([user + (1, 2), other, user + (3,)])
    [PrefixGroup(rows=(0, 2), length=300), PrefixGroup(rows=(1,), length=0)]
    """
    order = sorted(range(len(prompts)), key=lambda k: prompts[k])
    groups, others = [], []
    for rows, length in _runs(prompts, order):
        if (len(rows) - 1) * length >= LEAST_SAVING:
            groups.append(PrefixGroup(tuple(rows), length))
        else:
            others += rows
    return [*groups, PrefixGroup(tuple(others), 0)] if others else groups


def _runs(prompts: Sequence[tuple[int, ...]], order: Sequence[int]) -> Iterator[tuple[list[int], int]]:
    """Yield runs of sorted prompts and their common length, as long as that is enough of each prompt."""
    run: list[int] = []
    common = 0
    for row in order:
        length = min(_common(prompts[run[0]], prompts[row]), common) if run else len(prompts[row]) - 1
        if run and length < max(LEAST_PREFIX, LEAST_SHARE * len(prompts[row])):
            yield run, common
            run, length = [], len(prompts[row]) - 1
        run.append(row)
        common = length
    if run:
        yield run, common


def _common(first: tuple[int, ...], second: tuple[int, ...]) -> int:
    """Return how many tokens both begin with, less than either has."""
    most = min(len(first), len(second)) - 1
    return sum(1 for _ in takewhile(lambda k: first[k] == second[k], range(most)))
