"""A rating matrix completed by biased matrix factorisation, and ranked into a wanted marginal.

Source: Schnabel et al. (ICML 2016, section 6.2): the completed matrix is the ground truth of the simulations.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Final

import numpy as np

from causalrec.data.checked_file import load_or_make
from causalrec.data.log import InteractionLog
from causalrec.errors import DataError
from causalrec.types import Bools, Floats, Ints

RANKS: Final = (5, 10, 20, 40)
RIDGES: Final = (3.0, 6.0, 12.0, 24.0)
SWEEPS: Final = 10
HELD_OUT: Final = 0.1
SPLIT_SEED: Final = 0  # the population is one: only predictions and draws follow the run's seed


def complete_matrix(log: InteractionLog, cache: Path) -> Floats:
    """Return a score `[U,I]` in rating points for every pair, from the file in `cache` where there is one.

    Rank and L2 weight are those of the best 0/1 accuracy (rounded ratings) on a random tenth of the log, then the
    factorisation is refitted on all rows. The file is keyed by the ratings and every setting.
    """
    shape = (log.num_users, log.num_items)

    def complete() -> bytes:
        rank, ridge = choose_factorisation(log)
        return factorise(log, np.ones(len(log), bool), rank, ridge).tobytes()

    def parse(content: bytes) -> Floats:
        return np.frombuffer(content, np.float32).reshape(shape).copy()

    return load_or_make(cache / "completion" / f"{_key(log)}.arrays", complete, parse)


def choose_factorisation(
    log: InteractionLog, ranks: Sequence[int] = RANKS, ridges: Sequence[float] = RIDGES
) -> tuple[int, float]:
    """Return the (rank, ridge) of the best 0/1 accuracy on the held-out tenth; the first of equals."""
    train = np.random.default_rng(SPLIT_SEED).random(len(log)) >= HELD_OUT
    if train.all() or not train.any():
        raise DataError(f"{log.name}: {len(log)} ratings are too few to hold some out")
    grid = [(rank, ridge) for rank in ranks for ridge in ridges]
    return max(grid, key=lambda point: _accuracy(log, train, *point))


def _accuracy(log: InteractionLog, train: Bools, rank: int, ridge: float) -> float:
    score = factorise(log, train, rank, ridge)[_users(log)[~train], log.item[~train]]
    rounded = np.clip(np.rint(score), log.outcome.min(), log.outcome.max())
    return float((rounded == log.outcome[~train]).mean())


def factorise(log: InteractionLog, train: Bools, rank: int, ridge: float) -> Floats:
    """Fit `mean + b_u + c_i + p_u q_i` by alternating least squares; return it for all pairs, float32 `[U,I]`.

    In rating points. The penalty is `ridge` times the squares of all four.

    Args:
        log: ratings.
        train: bool[N], the rows that are fitted.
        rank: width of `p_u` and `q_i`.
        ridge: the L2 weight.
    """
    seen = np.zeros((log.num_users, log.num_items), np.float32)
    rating = np.zeros_like(seen)
    cells = _users(log)[train], log.item[train]
    mean = log.outcome[train].mean()
    seen[cells] = 1
    rating[cells] = log.outcome[train] - mean
    user = np.random.default_rng(SPLIT_SEED).normal(scale=0.1, size=(log.num_users, rank)).astype(np.float32)
    user_bias, item, item_bias = np.zeros(log.num_users, np.float32), user[:0], np.zeros(log.num_items, np.float32)
    for _ in range(SWEEPS):
        item, item_bias = _least_squares(seen.T, rating.T - seen.T * user_bias, user, ridge)
        user, user_bias = _least_squares(seen, rating - seen * item_bias, item, ridge)
    return np.asarray(mean + user_bias[:, None] + item_bias + user @ item.T, np.float32)


def _least_squares(seen: Floats, target: Floats, factors: Floats, ridge: float) -> tuple[Floats, Floats]:
    """Solve one side's vectors and biases, given the other side's `factors`."""
    columns = np.hstack([factors, np.ones((len(factors), 1), np.float32)])
    width = columns.shape[1]
    outer = (columns[:, :, None] * columns[:, None, :]).reshape(len(columns), width * width)
    gram = (seen @ outer).reshape(-1, width, width) + ridge * np.eye(width, dtype=np.float32)
    solved = np.linalg.solve(gram, (target @ columns)[..., None])[..., 0]
    return solved[:, :-1], solved[:, -1]


def rank_into_levels(score: Floats, shares: Sequence[float]) -> Ints:
    """Return the level 0.. of every cell: the lowest `shares[0]` of all cells get 0, the next `shares[1]` 1, ...

    `shares` are taken relative to their sum; equal scores are parted in row-major order.

    >>> rank_into_levels(np.array([[0.3, 0.1], [0.2, 0.9]], np.float32), (0.5, 0.25, 0.25))
    array([[1, 0],
           [0, 2]])
    """
    bin_edges = np.rint(np.cumsum(shares)[:-1] / np.sum(shares) * score.size).astype(np.int64)
    level = np.empty(score.size, np.int64)
    level[np.argsort(score, axis=None, kind="stable")] = np.searchsorted(bin_edges, np.arange(score.size), side="right")
    return level.reshape(score.shape)


def promote(level: Ints, source: int, rng: np.random.Generator) -> Ints:
    """Return the levels with as many random cells of level `source` raised to the top one as the top one has.

    Raises DataError where `source` has fewer cells than the top level.
    """
    top = int(level.max())
    flat = level.ravel().copy()
    candidates, wanted = np.flatnonzero(flat == source), int((flat == top).sum())
    if len(candidates) < wanted:
        raise DataError(f"level {source} has {len(candidates)} cells, fewer than the {wanted} of the top level {top}")
    flat[rng.choice(candidates, wanted, replace=False)] = top
    return flat.reshape(level.shape)


def _users(log: InteractionLog) -> Ints:
    assert log.user is not None
    return log.user


def _key(log: InteractionLog) -> str:
    settings = json.dumps([RANKS, RIDGES, SWEEPS, HELD_OUT, SPLIT_SEED, log.num_users, log.num_items])
    digest = hashlib.sha256(settings.encode())
    for column in (_users(log), log.item, log.outcome):
        digest.update(np.ascontiguousarray(column).tobytes())
    return digest.hexdigest()[:16]
