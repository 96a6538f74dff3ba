"""The split that suits the data: at random where there is a randomised test, by time where the log has times."""

from __future__ import annotations

from dataclasses import dataclass, fields

import numpy as np

from causalrec.data.log import InteractionLog
from causalrec.data.split.base import AbstractLogSplit, AbstractSplit, RowAssignment
from causalrec.data.split.random import Random
from causalrec.data.split.temporal import Temporal
from causalrec.types import Share

FEWEST_ROWS = 3  # of a user, of which `temporal` gives a row each to training, validation and test
SHARE_BY_TIME = 0.5  # of the rows, whose users have so many, from which on the test goes by time


@dataclass(frozen=True, kw_only=True)
class Auto(AbstractLogSplit):
    """Picks a split by what the data hold, and the record says which.

    A randomised test, which is the test whatever the split: `random`, for validation rows like the training rows. A log
    with times: `temporal`, each user's latest rows, unless most rows are of users with fewer than three. Else `random`.

    Attributes:
        validation: share of the rows.
        test: share of the rows, none where there is a randomised part.
    """

    validation: Share = 0.1
    test: Share = 0.1

    @property
    def description(self) -> str:
        return "by time where the log has times, else at random"

    def choose(self, logged: InteractionLog, randomised: InteractionLog | None) -> AbstractSplit:
        target = Temporal if randomised is None and _goes_by_time(logged) else Random
        return target(**{field.name: getattr(self, field.name) for field in fields(self)})

    def assign(self, logged: InteractionLog, randomised: InteractionLog | None) -> RowAssignment:
        return self.choose(logged, randomised).assign(logged, randomised)


def _goes_by_time(logged: InteractionLog) -> bool:
    if logged.time is None or not len(logged):
        return False
    if logged.user is None:
        return True
    rows_of_user = np.bincount(logged.user)[logged.user]
    return bool((rows_of_user >= FEWEST_ROWS).mean() >= SHARE_BY_TIME)
