"""How many folds a fit is chosen by: few validation rows cannot tell two candidates apart."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from causalrec.data.assignment_unit import unit_ranks
from causalrec.data.log import InteractionLog
from causalrec.errors import RequestError
from causalrec.types import Ints

FEW_ROWS = 2_000  # of a validation split, below which `selection.folds=auto` folds
AUTO_FOLDS = 4


@dataclass(frozen=True)
class Folds:
    """How many folds a fit is chosen by.

    Attributes:
        count: 1 holds out the validation rows.
        reason: why so many, in words.
        warning: what is to be read beside the number; None for nothing.
        requested: they were asked for.
    """

    count: int
    reason: str = ""
    warning: str | None = None
    requested: bool = False


def automatic_folds(validation_rows: int, hindrance: str | None) -> Folds:
    """Return four folds where the validation has under 2,000 rows and nothing hinders them, else one.

    Args:
        validation_rows: of the split.
        hindrance: why folds cannot stand in for the validation rows, a clause; None where they can.
    """
    if validation_rows >= FEW_ROWS:
        return Folds(1, f"{validation_rows} validation rows, {FEW_ROWS} or more")
    if hindrance is None:
        return Folds(AUTO_FOLDS, f"{validation_rows} validation rows, fewer than {FEW_ROWS}")
    warning = (
        f"chosen on {validation_rows} validation rows, which hardly tell two candidates apart, and not by folds: "
        f"{hindrance}"
    )
    return Folds(1, hindrance, warning)


def settle_folds(folds: Folds, rows: InteractionLog) -> Folds:
    """Return automatic folds where the rows can be folded so, else one part; folds that were asked for stay.

    Raises RequestError where those that were asked for are not possible.
    """
    if folds.count == 1:
        return folds
    try:
        fold_numbers(rows, folds.count)
    except RequestError as error:
        if folds.requested:
            raise
        hindrance = str(error).partition(": ")[2].partition(";")[0]
        return Folds(1, hindrance, f"chosen on one part and not by folds: {hindrance}")
    return folds


def fold_numbers(rows: InteractionLog, folds: int) -> Ints:
    """Return the fold of each row, `[N]`: a seeded k-fold partition, of an effect by whole units of assignment.

    Units are dealt arm by arm. Raises RequestError on more folds than rows or units, and where an arm would be in one
    fold alone, so that what is fitted without it knows nothing of the arm.
    """
    unit = rows.unit if rows.has_arms else None
    count = len(rows) if unit is None else len(np.unique(unit))
    if folds > count:
        what = "rows" if unit is None else "units of assignment"
        raise RequestError(f"selection.folds={folds}: there are {count} {what} to fold; set selection.folds lower")
    if not rows.has_arms:
        numbers: Ints = np.random.default_rng(0).permutation(count) % folds
        return numbers
    fold: Ints = unit_ranks(unit, rows.treatment) % folds
    for arm in np.unique(rows.treatment):
        if len(np.unique(fold[rows.treatment == arm])) == 1:
            raise RequestError(
                f"selection.folds={folds}: every row of arm {arm} is in one fold, without which nothing is learnt of "
                f"it; set selection.folds=1"
            )
    return fold


@dataclass(frozen=True, eq=False)
class SameRows:
    """Rows as a key: equal to what holds the very same log, whatever another one holds."""

    rows: InteractionLog

    def __eq__(self, other: object) -> bool:
        return isinstance(other, SameRows) and other.rows is self.rows

    def __hash__(self) -> int:
        return id(self.rows)


def fold_logs(rows: InteractionLog, folds: int) -> Sequence[tuple[InteractionLog, InteractionLog]]:
    """Return (training, validation) logs of the folds of rows, propensities scaled to each part.

    The last ones stay for the next job of the same rows: fits of one log and seed share their batches in a stack.
    Raises RequestError as `fold_numbers`.
    """
    return _fold_logs(SameRows(rows), folds)


@lru_cache(maxsize=1)
def _fold_logs(same: SameRows, folds: int) -> Sequence[tuple[InteractionLog, InteractionLog]]:
    return tuple(_split_folds(same.rows, folds))


def _split_folds(rows: InteractionLog, folds: int) -> Iterator[tuple[InteractionLog, InteractionLog]]:
    assert rows.propensity is not None
    fold = fold_numbers(rows, folds)
    for k in range(folds):
        logs = []
        for chosen in (np.flatnonzero(fold != k), np.flatnonzero(fold == k)):
            share = np.float32(len(chosen) / len(rows) if rows.propensity_follows_share else 1)
            logs.append(rows.take(chosen).with_propensity(rows.propensity[chosen] * share))
        yield logs[0], logs[1]
