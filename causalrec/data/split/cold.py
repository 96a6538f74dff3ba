"""Whole items or users that have no training row: what `cold_items` and `cold_users` share."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from causalrec.data.log import InteractionLog
from causalrec.data.split.base import RowAssignment
from causalrec.data.split.row_order import Side, ids_of, random_shares
from causalrec.types import Bools


def assign_cold(
    logged: InteractionLog,
    randomised: InteractionLog | None,
    side: Side,
    validation: float,
    test: float,
    seed: int,
) -> RowAssignment:
    """Move all rows of shares of the items (users), so that none of the test's has a training row.

    Of a randomised part only the rows of a share `test` of its items (users) are the test, and all rows of those
    without a logged row; where none has one, no training row is taken.

    Args:
        logged: the log.
        randomised: the randomised part, None without one.
        side: whether items or users are cold.
        validation: share of the items (users) that is the validation's.
        test: share of them that is the test's.
        seed: draws them.
    """
    ids = ids_of(logged, side)
    if randomised is None:
        held, tested = cold_ids([logged], side, validation, test, seed)
        test_rows = np.flatnonzero(tested[ids])
    else:
        randomised_ids = ids_of(randomised, side)
        unlogged = ~np.isin(randomised_ids, ids)
        logs, share = ([logged], 0.0) if unlogged.all() else ([logged, randomised], test)
        held, tested = cold_ids(logs, side, validation, share, seed)
        test_rows = np.flatnonzero(unlogged | tested[randomised_ids])
    return RowAssignment(
        train=np.flatnonzero(~(held | tested)[ids]), validation=np.flatnonzero(held[ids]), test=test_rows
    )


def cold_ids(
    logs: Sequence[InteractionLog], side: Side, validation: float, test: float, seed: int
) -> tuple[Bools, Bools]:
    """Return which items (users) are the validation's and which the test's: shares of those with a row in a log.

    Args:
        logs: logs of the same users and items.
        side: whether items or users are cold.
        validation: share of the validation.
        test: share of the test.
        seed: draws them.
    """
    count = logs[0].num_items if side == "item" else logs[0].num_users
    with_rows = np.unique(np.concatenate([ids_of(log, side) for log in logs]))
    masks = np.zeros((2, count), bool)
    masks[:, with_rows] = random_shares(len(with_rows), validation, test, seed)
    return masks[0], masks[1]
