"""Each user's last rows are the test, the rows before them the validation, by number."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from causalrec.data.log import InteractionLog
from causalrec.data.split.base import AbstractLogSplit, RowAssignment, assignment
from causalrec.data.split.empty import too_short
from causalrec.data.split.row_order import ids_of, rows_from_last
from causalrec.types import Count


@dataclass(frozen=True, kw_only=True)
class LeaveLast(AbstractLogSplit):
    """Of each user's rows in time the last `test_rows` are the test, the `validation_rows` before them the validation.

    Leave-one-out at 1 and 1, as sequential recommendation is evaluated (Kang & McAuley, ICDM 2018). Ties go by row
    order: of rows of one second the later in the log is the last. A user too short to leave a training row stays in
    training with all its rows. A randomised part is the test; then each user's last rows are the validation. Raises
    DataError on a log without users or times.

    Attributes:
        test_rows: number of each user's rows.
        validation_rows: number of each user's rows.
    """

    test_rows: Count = 1
    validation_rows: Count = 1

    @property
    def description(self) -> str:
        return "each user's last rows"

    @property
    def goes_by_time(self) -> bool:
        return True

    def empty_note(self, logged: InteractionLog) -> str:
        return too_short(logged, self.test_rows + self.validation_rows + 1)

    def assign(self, logged: InteractionLog, randomised: InteractionLog | None) -> RowAssignment:
        user = ids_of(logged, "user")
        _, later = rows_from_last(logged, "leave_last")
        tested = self.test_rows if randomised is None else 0
        long_enough = np.bincount(user)[user] > tested + self.validation_rows
        validation = long_enough & (later >= tested) & (later < tested + self.validation_rows)
        return assignment(validation, long_enough & (later < tested), randomised)
