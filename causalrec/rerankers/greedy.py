"""Lists made greedily: each step takes the candidate that adds most, of its score and of an aim for the whole list."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

import numpy as np

from causalrec.catalogue.lists import Candidates
from causalrec.rerankers.base import Rerank
from causalrec.types import Floats, Ints

NUMBERS_AT_ONCE = 1 << 24  # float32 of the users whose lists are made together, 64 MB


class Aim(Protocol):
    """What the lists of some users are good for beside the scores of their items; it knows what they hold so far."""

    def value(self) -> Floats:
        """Return what each candidate would add to its list, float32[B,N], all of it finite."""
        ...

    def add(self, position: Ints) -> None:
        """Add a candidate to each list, by its place, int64[B]."""
        ...


MakeAim = Callable[[Ints, Ints], Aim]  # users int64[B], their candidates int64[B,N] (any item where there is none)


def greedy_rerank(weight: float, make_aim: MakeAim, width: int) -> Rerank:
    """Return what takes, k times, the candidate with the largest `(1 - weight) * score + weight * aim`.

    Of candidates that add alike the one with the better score is taken.

    Args:
        weight: of the aim.
        make_aim: makes it for some users, whose lists are empty.
        width: how many numbers the aim holds of each candidate; so few users are worked on at once that memory is
            bounded.
    """

    def rerank(candidates: Candidates, k: int) -> Ints:
        users, count = candidates.item.shape
        size = max(1, NUMBERS_AT_ONCE // (max(count, 1) * (width + 4)))
        blocks = [slice(start, start + size) for start in range(0, users, size)]
        chosen = [_choose(_rows(candidates, rows), min(k, count), weight, make_aim) for rows in blocks]
        positions = np.full((users, k), -1)
        positions[:, : min(k, count)] = np.concatenate(chosen) if chosen else -1
        return positions

    return rerank


def _rows(candidates: Candidates, rows: slice) -> Candidates:
    return Candidates(candidates.user[rows], candidates.item[rows], candidates.score[rows])


def _choose(candidates: Candidates, k: int, weight: float, make_aim: MakeAim) -> Ints:
    """Return the places of k candidates in the order they are taken, int64[B,k], -1 once there is none left."""
    aim = make_aim(candidates.user, np.maximum(candidates.item, 0))
    score, free = (1 - weight) * scale_scores(candidates.score), candidates.item >= 0
    each, positions = np.arange(len(score)), np.full((len(score), k), -1)
    for step in range(k):
        total = np.where(free, score + weight * aim.value(), -np.inf)
        best = total.argmax(1)
        positions[:, step] = np.where(free[each, best], best, -1)
        free[each, best] = False
        aim.add(best)
    return positions


def scale_scores(score: Floats) -> Floats:
    """Scale the scores of each user's candidates to 0..1, 0 where all are alike and where there is no candidate.

    >>> scale_scores(np.array([[4, 3, 2, -np.inf], [7, 7, -np.inf, -np.inf]], np.float32)).tolist()
    [[1.0, 0.5, 0.0, 0.0], [0.0, 0.0, 0.0, 0.0]]
    """
    finite = np.isfinite(score)
    least = np.where(finite, score, np.inf).min(1, keepdims=True, initial=np.inf)
    above = np.subtract(score, least, out=np.zeros(score.shape, np.float64), where=finite)
    largest = above.max(1, keepdims=True, initial=0)
    scaled: Floats = (above / np.where(largest > 0, largest, 1)).astype(np.float32)
    return scaled
