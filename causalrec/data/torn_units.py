"""Units of assignment that have rows on both sides of a split: what is learnt of one tells the other's outcomes."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from causalrec.data.assignment_unit import FOLDED_UNITS, LEAST_UNITS, coarser_columns, fewest_units, is_constant
from causalrec.data.clusters import ITEM, USER, count_ids, one_of
from causalrec.data.dataset import CausalDataset
from causalrec.data.log import InteractionLog
from causalrec.data.split.splits import Splits

FEW_TESTED = 30  # units of a test, below which it is said
FIXES = {USER: "set split=cold_users", ITEM: "set split=cold_items"}  # where the randomised part is the test


def unit_warnings(splits: Splits, dataset: CausalDataset) -> Iterator[str]:
    """Yield that a split tears units of assignment, and that they are few, or might be coarser."""
    torn, level = torn_units(splits), splits.train.unit_level
    few = FOLDED_UNITS if splits.train.unit is None else fewest_units(dataset.logged)
    if few < LEAST_UNITS:
        yield (
            f"treatment is constant within {one_of(level)}, and an arm has {few}: too few to hold any out, so that "
            f"what differs between them passes for an effect"
        )
    elif torn:
        yield torn
    if LEAST_UNITS <= few < FOLDED_UNITS:
        yield (
            f"treatment is constant within {one_of(level)}, and an arm has {few}: learners from a table are "
            f"cross-fitted by others, and intervals of so few clusters are rough"
        )

    tested = 0 if splits.test.unit is None else count_ids(splits.test.unit)
    if 0 < tested < FEW_TESTED and level != USER:
        yield f"the test has {tested} units of assignment ({level}): few to resample, so its intervals are rough"
    for name in coarser_columns(dataset):
        further = "" if splits.train.unit is None else f", not only within {one_of(level)}"
        yield (
            f"treatment is constant within {one_of(name)} too{further}: where it was assigned by {name}, set "
            f"evaluation.cluster=[{name}]"
        )


def torn_units(splits: Splits) -> str | None:
    """Say that a split tears units of assignment, and how many rows it touches; None where it keeps them together."""
    level, unit = splits.train.unit_level, one_of(splits.train.unit_level)
    logs = {"test": splits.test, "validation": splits.validation}
    is_apart = {"test": splits.test_is_randomised, "validation": False}
    torn = {name: count for name, log in logs.items() if (count := _torn_rows(splits.train, log, is_apart[name]))}
    if not torn:
        return None
    shares = [
        f"{count} of {len(logs[name])} {name} rows ({count / len(logs[name]):.1%})" for name, count in torn.items()
    ]
    fix = "set split=auto"
    if splits.test_is_randomised and "validation" not in torn:
        fix = FIXES.get(level, "leave these out of the randomised part")
    return (
        f"treatment is constant within {unit}, and the split tears {level}s: {' and '.join(shares)} are of {unit} "
        f"with training rows, which tell its outcome under its arm: noise may pass for an effect; {fix}"
    )


def _torn_rows(train: InteractionLog, log: InteractionLog, is_apart: bool) -> int:
    """Return how many rows are of a unit with training rows; of a part apart from the log, under the same arm there."""
    if train.unit is None or log.unit is None or log.unit_level != train.unit_level:
        return 0
    shared = np.isin(log.unit, train.unit)
    if is_apart and shared.any():
        trained = np.isin(train.unit, log.unit)
        treatment = np.concatenate([train.treatment[trained], log.treatment[shared]])
        unit = np.concatenate([train.unit[trained], log.unit[shared]])
        return int(shared.sum()) if is_constant(treatment, unit) else 0
    return int(shared.sum())
