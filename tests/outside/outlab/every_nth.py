"""A split by the place of a row."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from causalrec.data.log import InteractionLog
from causalrec.data.split.base import AbstractLogSplit, RowAssignment, assignment


@dataclass(frozen=True, kw_only=True)
class EveryNth(AbstractLogSplit):
    """Every `nth` logged row is validated on, the next one tested where nothing is randomised."""

    nth: int = 5

    @property
    def description(self) -> str:
        return "every nth row"

    def assign(self, logged: InteractionLog, randomised: InteractionLog | None) -> RowAssignment:
        remainder = np.arange(len(logged)) % self.nth
        return assignment(remainder == 0, (remainder == 1) & (randomised is None), randomised)
