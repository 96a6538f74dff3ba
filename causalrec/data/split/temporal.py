"""Each user's latest rows are the test, those before the validation, by shares."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from causalrec.data.log import InteractionLog
from causalrec.data.split.base import AbstractLogSplit, RowAssignment, assignment
from causalrec.data.split.row_order import rows_from_last
from causalrec.types import Bools, Ints, Share


@dataclass(frozen=True, kw_only=True)
class Temporal(AbstractLogSplit):
    """Of each user's rows (all rows in a userless log) the latest share is the test, the share before the validation.

    At least one row each where there are three or more; users with fewer stay in training; ties go by row order.
    Raises DataError on a log without times.

    Attributes:
        validation: share of each user's rows.
        test: share of each user's rows, none where there is a randomised part.
    """

    validation: Share = 0.1
    test: Share = 0.1

    @property
    def goes_by_time(self) -> bool:
        return True

    def assign(self, logged: InteractionLog, randomised: InteractionLog | None) -> RowAssignment:
        return assignment(*latest_shares(logged, self.validation, self.test if randomised is None else 0.0), randomised)


def latest_shares(logged: InteractionLog, validation: float, test: float) -> tuple[Bools, Bools]:
    """Return which rows are the validation and which the test: of each user's rows in time the last, those before."""
    user, later = rows_from_last(logged, "temporal")
    rows = np.bincount(user)
    tested = _count(rows, test, rows - 2)
    held = _count(rows, validation, rows - 1 - tested)
    return (later >= tested[user]) & (later < (tested + held)[user]), later < tested[user]


def _count(rows: Ints, share: float, most: Ints) -> Ints:
    """Return how many of each user's rows a share holds: one at least, none of users with fewer than three rows."""
    if not share:
        return np.zeros_like(rows)
    wanted = np.maximum(np.rint(share * rows).astype(np.int64), 1)
    return np.where(rows < 3, 0, np.minimum(wanted, most))
