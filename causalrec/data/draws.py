"""Which logged rows make the test and the validation: at random, by time, by whole items or users, or by windows."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import numpy as np

from causalrec.data.log import InteractionLog
from causalrec.errors import DataError, RequestError
from causalrec.types import Bools, Doubles, Ints

Side = Literal["item", "user"]


def random_rows(logged: InteractionLog, validation: float, test: float, seed: int) -> tuple[Bools, Bools]:
    """Return which rows are in validation and which in the test: shares of the rows, at random."""
    return _shares(_places(len(logged), seed), validation, test)


def cold_ids(
    logs: Sequence[InteractionLog], side: Side, validation: float, test: float, seed: int
) -> tuple[Bools, Bools]:
    """Return which items (users) are the validation's and which the test's: shares of those with a row in a log."""
    count = logs[0].num_items if side == "item" else logs[0].num_users
    known = np.unique(np.concatenate([ids_of(log, side) for log in logs]))
    masks = np.zeros((2, count), bool)
    masks[:, known] = _shares(_places(len(known), seed), validation, test)
    return masks[0], masks[1]


def latest_rows(logged: InteractionLog, validation: float, test: float) -> tuple[Bools, Bools]:
    """Return who is in validation and who in the test: of each user's rows in time, the last `test`, those before."""
    time = _time(logged, "time")
    user = np.zeros(len(logged), np.int64) if logged.user is None else logged.user
    order = np.lexsort((time, user))
    rows = np.bincount(user)
    place = np.empty(len(logged), np.int64)  # 0 = the user's latest row
    place[order] = (np.cumsum(rows)[user[order]] - 1) - np.arange(len(logged))
    tested = _held(rows, test, rows - 2)
    held = _held(rows, validation, rows - 1 - tested)
    return (place >= tested[user]) & (place < (tested + held)[user]), place < tested[user]


def window_rows(logged: InteractionLog, before: int, most: int) -> Ints:
    """Return the rows with at least `before` earlier rows of their user, the last `most` of them, in the order of
    users' first rows in the log and then of time; ties go by row order. Raises DataError without users or times.
    """
    time, user = _time(logged, "windows"), ids_of(logged, "user")
    _, first, rows = np.unique(user, return_index=True, return_inverse=True)
    order = np.lexsort((time, first[rows]))
    start = np.searchsorted(first[rows][order], first[rows][order])
    found: Ints = order[np.arange(len(order)) - start >= before][-most:]
    return found


def cut(rows: Ints, validation: float, test: float, count: int) -> tuple[Bools, Bools, Bools]:
    """Return masks over `count` log rows: the first of `rows`, then the share `validation`, last the share `test`."""
    last = round(test * len(rows))
    held = round(validation * len(rows))
    first = len(rows) - held - last
    masks = np.zeros((3, count), bool)
    for mask, part in zip(masks, np.split(rows, [first, first + held]), strict=True):
        mask[part] = True
    return masks[0], masks[1], masks[2]


def few(candidates: Ints, count: int, seed: int | list[int]) -> Ints:
    """Return `count` of the rows in row order, drawn so that a smaller draw of the same seed is a part of a larger one.

    Raises RequestError where there are fewer.
    """
    if count > len(candidates):
        raise RequestError(f"split.shots: asks for {count} training rows of {len(candidates)}; take fewer")
    drawn: Ints = np.sort(np.random.default_rng(seed).permutation(candidates)[:count])
    return drawn


def _places(count: int, seed: int) -> Doubles:
    """Return a random order as places between 0 and 1."""
    places: Doubles = np.random.default_rng(seed).permutation(count) / max(count, 1)
    return places


def _shares(place: Doubles, validation: float, test: float) -> tuple[Bools, Bools]:
    return place < validation, (place >= validation) & (place < validation + test)


def ids_of(log: InteractionLog, side: Side) -> Ints:
    """Return each row's item (user). Raises DataError on users in a userless log."""
    if side == "item":
        return log.item
    if log.user is None:
        raise DataError(f"{log.name}: this split is by user and the log has none; set split=random")
    return log.user


def _time(logged: InteractionLog, order: str) -> Ints:
    if logged.time is None:
        raise DataError(
            f"{logged.name}: split.order={order} needs the time of each row and it has none; set split=random"
        )
    return logged.time


def _held(rows: Ints, share: float, most: Ints) -> Ints:
    """Return how many of each user's rows a share holds: one at least, none of users with fewer than three rows."""
    if not share:
        return np.zeros_like(rows)
    wanted = np.maximum(np.rint(share * rows).astype(np.int64), 1)
    return np.where(rows < 3, 0, np.minimum(wanted, most))
