"""Rows with enough earlier ones of their user, cut by their position in the file."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

import numpy as np
from pydantic import Field

from causalrec.data.log import InteractionLog
from causalrec.data.split.base import AbstractLogSplit, RowAssignment
from causalrec.data.split.row_order import ids_of, times_of
from causalrec.types import Count, Ints, Share


@dataclass(frozen=True, kw_only=True)
class Windows(AbstractLogSplit):
    """The windows of TALLRec (Bao et al., RecSys 2023): rows with `min_history` earlier ones of their user.

    Users stand in the order of their first row; of all windows the last `window_count` are cut, in that order, into
    training, validation and test. No other row is trained on. Raises DataError on a log without users or times.

    Attributes:
        validation: share of the windows.
        test: share of the windows (none where there is a randomised part).
        min_history: earlier rows of its user that a row must have.
        window_count: how many windows are cut, the last ones.
    """

    validation: Share = 0.1
    test: Share = 0.1
    min_history: Annotated[int, Field(ge=0)] = 10
    window_count: Count = 10_000

    @property
    def description(self) -> str:
        return "the last rows with enough history"

    @property
    def goes_by_time(self) -> bool:
        return True

    def assign(self, logged: InteractionLog, randomised: InteractionLog | None) -> RowAssignment:
        rows = window_rows(logged, self.min_history, self.window_count)
        tested = round(self.test * len(rows)) if randomised is None else 0
        held = round(self.validation * len(rows))
        first = len(rows) - held - tested
        train, validation, test = (np.sort(window) for window in np.split(rows, [first, first + held]))
        return RowAssignment(train=train, validation=validation, test=test if randomised is None else None)


def window_rows(logged: InteractionLog, min_history: int, window_count: int) -> Ints:
    """Return the rows with at least `min_history` earlier rows of their user, the last `window_count` of them.

    They are in the order of users' first rows in the log and then of time; ties go by row order.
    """
    time, user = times_of(logged, "windows"), ids_of(logged, "user")
    _, first, rows = np.unique(user, return_index=True, return_inverse=True)
    order = np.lexsort((time, first[rows]))
    start = np.searchsorted(first[rows][order], first[rows][order])
    windows: Ints = order[np.arange(len(order)) - start >= min_history][-window_count:]
    return windows
