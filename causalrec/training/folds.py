"""How many folds a fit is chosen by: few validation rows cannot tell two candidates apart."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from causalrec.data.assignment_unit import assignment_unit
from causalrec.data.log import InteractionLog
from causalrec.errors import RequestError

FEW_ROWS = 2_000  # of a validation split, below which `selection.folds=auto` folds
AUTO_FOLDS = 4


@dataclass(frozen=True)
class Folds:
    """How many folds a fit is chosen by.

    Attributes:
        count: 1 holds out the validation rows.
        reason: why so many, in words.
        warning: what is to be read beside the number; None for nothing.
    """

    count: int
    reason: str = ""
    warning: str | None = None


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


def fold_logs(rows: InteractionLog, folds: int) -> Iterator[tuple[InteractionLog, InteractionLog]]:
    """Yield (training, validation) logs of a seeded k-fold partition of rows, propensities scaled to each part.

    Rows of an effect are folded by whole units of assignment. Raises RequestError on more folds than units.
    """
    assert rows.propensity is not None
    unit = assignment_unit(rows) if rows.has_arms else None
    count = len(rows) if unit is None else int(unit.max()) + 1
    if folds > count:
        what = "rows" if unit is None else "units of assignment"
        raise RequestError(f"selection.folds={folds}: there are {count} {what} to fold; set selection.folds lower")
    fold = np.random.default_rng(0).permutation(count) % folds
    fold = fold if unit is None else fold[unit]
    for k in range(folds):
        logs = []
        for chosen in (np.flatnonzero(fold != k), np.flatnonzero(fold == k)):
            share = np.float32(1 if rows.has_arms else len(chosen) / len(rows))  # p(arm | row) stays
            logs.append(rows.take(chosen).with_propensity(rows.propensity[chosen] * share))
        yield logs[0], logs[1]
