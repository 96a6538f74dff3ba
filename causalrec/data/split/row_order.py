"""Shares of rows in an order: at random, or each user's by time; the ids and times that orders are made of."""

from __future__ import annotations

from typing import Literal

import numpy as np

from causalrec.data.log import InteractionLog
from causalrec.errors import DataError
from causalrec.types import Bools, Ints

Side = Literal["item", "user"]


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


def rows_from_last(logged: InteractionLog, split: str) -> tuple[Ints, Ints]:
    """Return each row's user (0 in a userless log) and how many later rows that user has; ties go by row order."""
    time = times_of(logged, split)
    user = np.zeros(len(logged), np.int64) if logged.user is None else logged.user
    order = np.lexsort((time, user))
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
