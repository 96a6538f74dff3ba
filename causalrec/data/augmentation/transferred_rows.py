"""Rows that give an unrated pair the outcome of another row of the same user."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from causalrec.data.log import InteractionLog
from causalrec.errors import DataError
from causalrec.types import Floats, Ints


def require_users(log: InteractionLog, choice: str) -> None:
    """Raise DataError where rows have no user whose outcomes could be transferred.

    Args:
        log: the training rows.
        choice: the augmentation, for messages.
    """
    if log.user is None:
        raise DataError(f"{choice}: transfers outcomes among a user's items, and {log.name} has no users; drop it")


def with_transferred_rows(log: InteractionLog, source: Ints, item: Ints, weight: float) -> InteractionLog:
    """Return the log's rows, and behind them copies of some rows with other items.

    A copy has the time, the treatment, the columns and the propensity of its row, for it is there when that row is. Of
    several copies of one pair the first stands.

    Args:
        log: the training rows.
        source: int64[K], the rows that are copied.
        item: int64[K], the item of each copy, which its user has no row with.
        weight: of a copy, times that of its row.
    """
    codes = log.users[source] * log.num_items + item
    first = np.sort(np.unique(codes, return_index=True)[1])
    source, item = source[first], item[first]
    copies = replace(log.take(source), item=item, weight=(weight * log.row_weights[source]).astype(np.float32))
    return log.concatenate(copies) if len(source) else log


def unit_rows(values: Floats) -> Floats:
    """Return rows [N,D] divided by their lengths, float32; rows of zeros, or with a number that is none, as zeros.

    >>> unit_rows(np.array([[3.0, 4.0], [0.0, 0.0]], np.float32)).tolist()
    [[0.6000000238418579, 0.800000011920929], [0.0, 0.0]]
    """
    present = np.asarray(np.isfinite(values).all(1))
    filled = np.where(present[:, None], values, 0).astype(np.float64)
    length = np.linalg.norm(filled, axis=1, keepdims=True)
    return np.asarray(filled / np.where(length > 0, length, 1), np.float32)
