"""All rows of a unit of assignment are on one side."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from causalrec.data.assignment_unit import LEAST_UNITS, fewest_units, unit_ranks
from causalrec.data.clusters import ROW, one_of
from causalrec.data.log import InteractionLog
from causalrec.data.split.base import AbstractLogSplit, RowAssignment, assignment
from causalrec.data.split.rules import Unseen
from causalrec.errors import DataError
from causalrec.types import Bools, Ints, Share

MANY_UNITS = 8  # of an arm, from which on the test has two


@dataclass(frozen=True, kw_only=True)
class WholeUnits(AbstractLogSplit):
    """Shares of the units of assignment, drawn at random arm by arm, so that each side has every arm.

    A unit is what treatment is constant within, a user, an item or a level of a cluster column
    (`data/assignment_unit.py`); where there is none, each row is one. A randomised part is all test, and takes no
    share. Test ids without a training row stay by default, for most are meant to have none.

    Raises DataError where an arm has under three units (two, beside a randomised part).

    Attributes:
        validation: share of the units that is the validation's, of each arm one at least where it has three.
        test: share of the units that is the test's, of each arm two at least where it has eight, else one.
        unseen: what to do with a test row whose user or item has no training row.
    """

    validation: Share = 0.1
    test: Share = 0.1
    unseen: Unseen | None = "keep"

    @property
    def description(self) -> str:
        return "whole units of assignment"

    def choice_note(self, logged: InteractionLog, randomised: InteractionLog | None) -> str:
        return unit_words(logged)

    def assign(self, logged: InteractionLog, randomised: InteractionLog | None) -> RowAssignment:
        share, least = (self.test, LEAST_UNITS) if randomised is None else (0.0, LEAST_UNITS - 1)
        if (units := fewest_units(logged)) < least:
            raise DataError(
                f"{logged.name}: split=whole_units: an arm has {units} of the units of assignment "
                f"({logged.unit_level or ROW}), and each side needs one; set split=random"
            )
        return assignment(*unit_shares(logged, self.validation, share, self.seed), randomised)


def unit_words(logged: InteractionLog) -> str:
    """Say whose units of assignment are, a clause."""
    if logged.unit is None:
        return "each row is a unit"
    return f"treatment is constant within {one_of(logged.unit_level)}"


def unit_shares(logged: InteractionLog, validation: float, test: float, seed: int) -> tuple[Bools, Bools]:
    """Return which rows are the validation's and which the test's: shares of each arm's units, at random.

    Args:
        logged: the log, its units marked.
        validation: the first share; an arm of one or two units has none.
        test: the second share; an arm of one unit has none.
        seed: draws the units.
    """
    rank = unit_ranks(logged.unit, logged.treatment, seed)
    _, first = np.unique(rank, return_index=True)  # ranks go arm by arm
    _, start, arm, units = np.unique(
        logged.treatment[first], return_index=True, return_inverse=True, return_counts=True
    )
    tested = _count(units, test, np.where(units < MANY_UNITS, 1, 2), units - 1)  # one alone has no spread
    held = _count(units, validation, np.ones_like(units), units - tested - 1)
    in_arm = np.arange(len(first)) - start[arm]
    validates = in_arm < held[arm]
    tests = ~validates & (in_arm < (held + tested)[arm])
    return validates[rank], tests[rank]


def _count(units: Ints, share: float, least: Ints, most: Ints) -> Ints:
    """Return how many units of each arm a share holds, between the bounds; none of no share."""
    wanted = np.maximum(np.rint(share * units).astype(np.int64), least if share else 0)
    counts: Ints = np.minimum(wanted, most)
    return counts
