"""Shares of rows in an order: at random, or each user's by time; the ids and times that orders are made of."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import numpy as np
import numpy.typing as npt

from causalrec.data.log import InteractionLog
from causalrec.errors import DataError
from causalrec.types import Bools, Ints

Side = Literal["item", "user"]
LEAST_TIMES = 3  # of a user, which tell a training, a validation and a test row apart
SHARE_BY_TIME = 0.5  # of the rows, whose users have so many times, from which on a split can go by time


def random_shares(count: int, validation: float, test: float, seed: int) -> tuple[Bools, Bools]:
    """Return masks over `count` things: those in a share `validation`, and in a share `test`, at random.

    Args:
        count: number of things.
        validation: the first share.
        test: the second share, of other things.
        seed: draws them.
    """
    quantile = np.random.default_rng(seed).permutation(count) / max(count, 1)
    return quantile < validation, (quantile >= validation) & (quantile < validation + test)


def rows_from_last(logged: InteractionLog, split: str, seed: int | None = None) -> tuple[Ints, Ints]:
    """Return each row's user (0 in a userless log) and how many later rows that user has.

    Rows of one time are ordered by a draw of `seed`, which no sorting of the file can lean on; without, by row.
    """
    time = times_of(logged, split)
    user = np.zeros(len(logged), np.int64) if logged.user is None else logged.user
    tied = np.arange(len(logged)) if seed is None else np.random.default_rng([seed, 4]).permutation(len(logged))
    order = np.lexsort((tied, time, user))
    later = np.empty(len(logged), np.int64)
    later[order] = (np.cumsum(np.bincount(user))[user[order]] - 1) - np.arange(len(logged))
    return user, later


def ids_of(log: InteractionLog, side: Side) -> Ints:
    """Return each row's item (user). Raises DataError on users in a userless log."""
    if side == "item":
        return log.item
    if log.user is None:
        raise DataError(f"{log.name}: this split is by user and the log has none; set split=random")
    return log.user


def times_of(logged: InteractionLog, split: str) -> Ints:
    """Return the time of each row. Raises DataError in the name of `split` where the log has none."""
    if logged.time is None:
        raise DataError(f"{logged.name}: split={split} needs the time of each row and it has none; set split=random")
    return logged.time


def can_go_by_time(logged: InteractionLog) -> bool:
    """Whether half of the rows, or more, are of users with three times or more (all rows, in a userless log)."""
    if logged.time is None or not len(logged):
        return False
    user = np.zeros(len(logged), np.int64) if logged.user is None else logged.user
    order = np.lexsort((logged.time, user))
    same_user, later = np.diff(user[order]) == 0, np.diff(logged.time[order]) > 0
    times_of_user = np.bincount(user[order][1:], same_user & later, int(user.max()) + 1) + 1
    return bool((times_of_user[user] >= LEAST_TIMES).mean() >= SHARE_BY_TIME)


def tied_rows(test: InteractionLog, others: Sequence[InteractionLog]) -> int:
    """Return how many test rows have the time of another split's row of their user (of any, in a userless log)."""
    if test.time is None or not len(test):
        return 0
    moments = [_moments(log) for log in (test, *others) if log.time is not None]
    return int(np.isin(moments[0], np.concatenate(moments[1:])).sum()) if len(moments) > 1 else 0


def _moments(log: InteractionLog) -> npt.NDArray[np.void]:
    """Return each row's user and time as one value."""
    assert log.time is not None
    user = np.zeros(len(log), np.int64) if log.user is None else log.user
    columns = np.stack([user.astype(np.int64), log.time.astype(np.int64)], axis=1)
    return np.ascontiguousarray(columns).view(np.dtype((np.void, 16))).ravel()
