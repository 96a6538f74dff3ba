"""The test's items have no training row."""

from __future__ import annotations

from dataclasses import dataclass

from causalrec.data.log import InteractionLog
from causalrec.data.split.base import AbstractLogSplit, RowAssignment
from causalrec.data.split.cold import assign_cold
from causalrec.types import Share


@dataclass(frozen=True, kw_only=True)
class ColdItems(AbstractLogSplit):
    """Shares of the items, drawn at random, all of whose rows move to the validation and to the test.

    Of a randomised part only the rows of a share `test` of its items are the test, and all rows of those without a
    logged row.

    Attributes:
        validation: share of the items that is the validation's.
        test: share of the items that is the test's.
    """

    no_folds = "validation items have no training row, which folds of rows do not repeat"

    validation: Share = 0.1
    test: Share = 0.1

    @property
    def description(self) -> str:
        return "items without a training row"

    def assign(self, logged: InteractionLog, randomised: InteractionLog | None) -> RowAssignment:
        return assign_cold(logged, randomised, "item", self.validation, self.test, self.seed)
