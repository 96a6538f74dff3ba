"""The test's users have no training row."""

from __future__ import annotations

from dataclasses import dataclass

from causalrec.data.log import InteractionLog
from causalrec.data.split.base import AbstractLogSplit, RowAssignment
from causalrec.data.split.cold import assign_cold
from causalrec.types import Share


@dataclass(frozen=True, kw_only=True)
class ColdUsers(AbstractLogSplit):
    """Shares of the users, drawn at random, all of whose rows move to the validation and to the test.

    Of a randomised part only the rows of a share `test` of its users are the test, and all rows of those without a
    logged row. Raises DataError on a log without users.

    Attributes:
        validation: share of the users that is the validation's.
        test: share of the users that is the test's.
    """

    no_folds = "validation users have no training row, which folds of rows do not repeat"

    validation: Share = 0.1
    test: Share = 0.1

    @property
    def description(self) -> str:
        return "users without a training row"

    def assign(self, logged: InteractionLog, randomised: InteractionLog | None) -> RowAssignment:
        return assign_cold(logged, randomised, "user", self.validation, self.test, self.seed)
