"""Rows at random."""

from __future__ import annotations

from dataclasses import dataclass

from causalrec.data.log import InteractionLog
from causalrec.data.split.base import AbstractLogSplit, RowAssignment, assignment
from causalrec.data.split.row_order import random_shares
from causalrec.types import Share


@dataclass(frozen=True, kw_only=True)
class Random(AbstractLogSplit):
    """Shares of the logged rows, drawn at random by row; a randomised part is all test, and takes no share.

    Attributes:
        validation: share of the rows that is the validation.
        test: share of the rows that is the test.
    """

    validation: Share = 0.1
    test: Share = 0.1

    @property
    def description(self) -> str:
        return "rows at random"

    @property
    def draws_test_at_random(self) -> bool:
        return True

    def assign(self, logged: InteractionLog, randomised: InteractionLog | None) -> RowAssignment:
        share = self.test if randomised is None else 0.0
        return assignment(*random_shares(len(logged), self.validation, share, self.seed), randomised)
