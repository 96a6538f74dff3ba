"""The split that suits the data: whole units of assignment, at random beside a randomised test, by time else."""

from __future__ import annotations

from dataclasses import dataclass, fields

from causalrec.data.assignment_unit import LEAST_UNITS, fewest_units
from causalrec.data.log import InteractionLog
from causalrec.data.split.base import AbstractLogSplit, AbstractSplit, RowAssignment
from causalrec.data.split.random import Random
from causalrec.data.split.row_order import LEAST_TIMES, can_go_by_time
from causalrec.data.split.temporal import Temporal
from causalrec.data.split.whole_units import WholeUnits, unit_words
from causalrec.types import Share


@dataclass(frozen=True, kw_only=True)
class Auto(AbstractLogSplit):
    """Picks a split by what the data hold, and the record says which.

    Treatment that is constant within users, items or the levels of a cluster column (three or more of each arm):
    `whole_units`, for a unit that has
    rows on both sides tells the outcome under its treatment. A randomised test, which is the test whatever the split:
    `random`, for validation rows like the training rows. A log with times: `temporal`, each user's latest rows, unless
    most rows are of users with fewer than three times. Else `random`.

    Attributes:
        validation: share of the rows.
        test: share of the rows, none where there is a randomised part.
    """

    validation: Share = 0.1
    test: Share = 0.1

    @property
    def description(self) -> str:
        return "whole units of assignment where treatment has any, by time where the log has times, else at random"

    def choose(self, logged: InteractionLog, randomised: InteractionLog | None) -> AbstractSplit:
        target: type[AbstractLogSplit] = Temporal if randomised is None and can_go_by_time(logged) else Random
        settings = {field.name: getattr(self, field.name) for field in fields(self)}
        if _can_keep_units(logged):
            target, settings["unseen"] = WholeUnits, self.unseen or WholeUnits.unseen
        return target(**settings)

    def choice_note(self, logged: InteractionLog, randomised: InteractionLog | None) -> str:
        if _can_keep_units(logged):
            why = unit_words(logged)
        elif randomised is not None:
            why = "the test is apart"
        elif logged.time is None:
            why = "the log has no times"
        elif can_go_by_time(logged):
            why = "the log has times"
        else:
            why = f"most rows are of users with fewer than {LEAST_TIMES} times"
        return f"picked by split=auto: {why}"

    def assign(self, logged: InteractionLog, randomised: InteractionLog | None) -> RowAssignment:
        return self.choose(logged, randomised).assign(logged, randomised)


def _can_keep_units(logged: InteractionLog) -> bool:
    """Whether there are units of assignment, and enough of each arm for every side."""
    return logged.unit is not None and fewest_units(logged) >= LEAST_UNITS
