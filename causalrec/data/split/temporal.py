"""The latest rows are the test, those before the validation, by shares: of each user's rows, or of all."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np

from causalrec.data.card import DatasetCard
from causalrec.data.log import InteractionLog
from causalrec.data.split.base import AbstractLogSplit, RowAssignment, assignment
from causalrec.data.split.empty import too_short
from causalrec.data.split.row_order import LEAST_TIMES, rows_from_last, times_of
from causalrec.errors import RequestError
from causalrec.types import Bools, Ints, Share


@dataclass(frozen=True, kw_only=True)
class Temporal(AbstractLogSplit):
    """The latest share of the rows is the test, the share before it the validation.

    `cut=user`: of each user's rows (all rows in a userless log), at least one each where there are three or more; users
    with fewer stay in training; rows of one time are ordered by a draw of `seed`. Users are known at the test, but
    training rows of one may be later than test rows of another. `cut=global`: of all rows, at one time for all users;
    rows of the time of a cut stand after it. Nothing later is trained on, but many test rows have a user whom no
    training row has.

    Raises DataError on a log without times, RequestError for `cut=global` where times of two users do not compare.

    Attributes:
        validation: share of the rows.
        test: share of the rows, none where there is a randomised part.
        cut: whose rows are cut: each user's, or all.
    """

    validation: Share = 0.1
    test: Share = 0.1
    cut: Literal["user", "global"] = "user"

    @property
    def description(self) -> str:
        return "each user's latest rows" if self.cut == "user" else "the latest rows of all"

    @property
    def goes_by_time(self) -> bool:
        return True

    def empty_note(self, logged: InteractionLog) -> str:
        return too_short(logged, LEAST_TIMES) if self.cut == "user" else ""

    def check(self, card: DatasetCard) -> None:
        if self.cut == "global" and not card.times_compare:
            raise RequestError(
                f"split.cut=global: the times of {card.name} are places in each user's own sequence, which do not "
                f"compare between users; set split.cut=user"
            )

    def assign(self, logged: InteractionLog, randomised: InteractionLog | None) -> RowAssignment:
        test = self.test if randomised is None else 0.0
        if self.cut == "global":
            return assignment(*latest_shares_of_all(logged, self.validation, test), randomised)
        return assignment(*latest_shares(logged, self.validation, test, self.seed), randomised)


def latest_shares(logged: InteractionLog, validation: float, test: float, seed: int = 0) -> tuple[Bools, Bools]:
    """Return which rows are the validation and which the test: of each user's rows in time the last, those before.

    Args:
        logged: a log with times.
        validation: share of each user's rows.
        test: share of each user's rows.
        seed: orders rows of one time.
    """
    user, later = rows_from_last(logged, "temporal", seed)
    rows = np.bincount(user)
    tested = _count(rows, test, rows - 2)
    held = _count(rows, validation, rows - 1 - tested)
    return (later >= tested[user]) & (later < (tested + held)[user]), later < tested[user]


def latest_shares_of_all(logged: InteractionLog, validation: float, test: float) -> tuple[Bools, Bools]:
    """Return which rows are the validation and which the test: in time the last of all, those before."""
    time = times_of(logged, "temporal")
    tested = time >= _start_of_last(time, round(test * len(time)))
    held = ~tested & (time >= _start_of_last(time[~tested], round(validation * len(time))))
    return held, tested


def _start_of_last(time: Ints, rows: int) -> int:
    """Return the time of the first of the last `rows` rows; after every time for none."""
    return int(np.sort(time)[-rows]) if 0 < rows <= len(time) else np.iinfo(np.int64).max


def unseen_user_rows(logged: InteractionLog, validation: float, test: float) -> dict[str, tuple[int, int]]:
    """Return by cut how many test rows have a user without a training row, and how many test rows there are.

    Args:
        logged: a log with users and times.
        validation: share of the rows.
        test: share of the rows.
    """
    counts = {}
    assert logged.user is not None
    for cut, shares in (("user", latest_shares), ("global", latest_shares_of_all)):
        held, tested = shares(logged, validation, test)
        seen = np.isin(logged.user[tested], logged.user[~(held | tested)])
        counts[cut] = (int((~seen).sum()), int(tested.sum()))
    return counts


def _count(rows: Ints, share: float, most: Ints) -> Ints:
    """Return how many of each user's rows a share holds: one at least, none of users with fewer than three rows."""
    if not share:
        return np.zeros_like(rows)
    wanted = np.maximum(np.rint(share * rows).astype(np.int64), 1)
    return np.where(rows < 3, 0, np.minimum(wanted, most))
