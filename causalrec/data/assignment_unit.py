"""Of whom treatment was assigned: users, items or levels of a column, within which it does not vary, else rows."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from causalrec.data.clusters import ROW, cluster_ids, count_ids, one_of
from causalrec.data.dataset import CausalDataset
from causalrec.data.log import InteractionLog
from causalrec.errors import RequestError
from causalrec.types import Ints

LEAST_UNITS = 3  # of each arm, for training, validation and test
FOLDED_UNITS = 5  # of each arm, from which on tables are cross-fitted by them
MOST_WITHIN = 0.1  # of the treatment's sum of squares, up to which it counts as constant within a level's units


@dataclass(frozen=True)
class AssignmentUnit:
    """A level within which treatment is constant: `user`, `item` or a column, and each row's unit of it.

    Attributes:
        level: `user`, `item`, or the name of a column.
        ids: int64[N], not negative; the rows of one unit share one.
    """

    level: str
    ids: Ints


def constant_levels(log: InteractionLog, columns: Mapping[str, Ints] | None = None) -> list[AssignmentUnit]:
    """Return the levels within which treatment is constant, `columns` (ids by name, `[N]` each) among them.

    Treatment is constant within a level where its sum of squares around the means of units with two rows or more is at
    most a tenth of that around their common mean. "Most units are constant" would hold of any rare arm.
    """
    candidates = {"user": log.user, "item": log.item, **(columns or {})}
    levels = [AssignmentUnit(level, ids) for level, ids in candidates.items() if ids is not None]
    return [unit for unit in levels if is_constant(log.treatment, unit.ids)]


def assignment_unit(log: InteractionLog, columns: Mapping[str, Ints] | None = None) -> AssignmentUnit | None:
    """Return the unit of assignment: of the levels within which treatment is constant, the one of fewest units.

    None where treatment varies within all, or where a level has as many units as there are arms: it names the arms. A
    unit of one row stays in the level: it is a unit of its own.
    """
    arms = count_ids(log.treatment)
    levels = [unit for unit in constant_levels(log, columns) if count_ids(unit.ids) > arms]
    return min(levels, key=lambda unit: count_ids(unit.ids), default=None)


def fewest_units(log: InteractionLog) -> int:
    """Return how many units of assignment the arm has that has fewest; of a log without units, rows.

    >>> from causalrec.data.log import InteractionLog
    >>> user, outcome = np.array([0, 0, 1, 1, 2, 2]), np.zeros(6, np.float32)
    >>> log = InteractionLog(user, np.array([0, 0, 1, 1, 1, 1]), outcome, 3, user, 3, unit=user)
    >>> fewest_units(log)
    1
    """
    treatment = log.treatment if log.unit is None else log.treatment[np.unique(log.unit, return_index=True)[1]]
    counts = np.bincount(treatment)
    return int(counts[np.bincount(log.treatment) > 0].min())


def is_constant(treatment: Ints, ids: Ints) -> bool:
    """Whether treatment hardly varies within units of two rows or more; arms are compared as indicators."""
    rows = np.bincount(ids)
    repeated = rows > 1
    rows, within, total = rows[repeated], 0.0, 0.0
    for arm in np.flatnonzero(np.bincount(treatment)):
        received = np.bincount(ids[treatment == arm], minlength=len(repeated))[repeated]
        within += float((received - received**2 / rows).sum())  # k ones of n: sum of squares around k/n
        total += float(received.sum() - received.sum() ** 2 / max(rows.sum(), 1))
    return total > 1e-9 and within <= MOST_WITHIN * total


def mark_units(dataset: CausalDataset, columns: Sequence[str] = ()) -> CausalDataset:
    """Return the data set, each of its logs with its own unit of assignment where it has arms and one is found.

    Logs that were marked before stay as they are. `columns`: further levels to judge, columns that name clusters.
    """
    logged, randomised = dataset.logged, dataset.randomised
    if logged.unit_level and (randomised is None or randomised.unit_level):
        return dataset
    marked = None if randomised is None else _mark(dataset, randomised, columns)
    return replace(dataset, logged=_mark(dataset, logged, columns), randomised=marked)


def _mark(dataset: CausalDataset, log: InteractionLog, columns: Sequence[str]) -> InteractionLog:
    if log.unit_level:
        return log
    ids = {name: cluster_ids(dataset, log, name) for name in columns} if log.has_arms else {}
    unit = assignment_unit(log, ids) if log.has_arms else None
    return replace(log, unit_level=ROW) if unit is None else replace(log, unit=unit.ids, unit_level=unit.level)


def coarser_columns(dataset: CausalDataset) -> list[str]:
    """Return the categories that nobody named as clusters, within whose levels treatment is constant all the same.

    Of fewer levels than there are units of assignment, two of each arm at least: a column of fewer is a name of the
    arms.
    """
    log = dataset.logged
    if not log.has_arms:
        return []
    units, arms = len(log) if log.unit is None else count_ids(log.unit), count_ids(log.treatment)
    named = [column.name for column in dataset.card.columns if column.kind == "category" and column.entity != "pair"]
    ids = {name: cluster_ids(dataset, log, name) for name in named if name != log.unit_level}
    ids = {name: levels for name, levels in ids.items() if 2 * arms <= count_ids(levels) < units}
    return [name for name, levels in ids.items() if is_constant(log.treatment, levels)]


def require_overlap(dataset: CausalDataset, adjusted: Sequence[str], columns: Sequence[str] = ()) -> None:
    """Raise RequestError where the adjustment set holds an id or a category within which treatment is constant: nobody
    has rows of two arms to compare.

    Args:
        dataset: the loaded data set.
        adjusted: the adjustment set, names of columns.
        columns: further levels that were named as clusters.
    """
    log, card = dataset.logged, dataset.card
    kinds = {column.name: column for column in card.columns if column.name in adjusted}
    id_levels = {name: column.entity if column.kind == "id" else name for name, column in kinds.items()}
    judged = [name for name, column in kinds.items() if name in columns or column.kind == "category"]
    named = {name: cluster_ids(dataset, log, name) for name in judged}
    if not log.has_arms or not (named or any(column.kind == "id" for column in kinds.values())):
        return
    constant = {unit.level for unit in constant_levels(log, named)}
    for name, level in id_levels.items():
        if level in constant:
            raise RequestError(
                f"graph: the effect is adjusted for {name}, but treatment is constant within {one_of(level)}, so that "
                f"none has rows of two arms to compare; take {name} out of the causes of exposure (columns that tell "
                f"of it may stay)"
            )


def unit_ranks(unit: Ints | None, treatment: Ints, seed: int = 0) -> Ints:
    """Return the place of each row's unit, `[N]` from 0 on, in an order that goes arm by arm and is random within.

    So `rank % k` deals units to k folds, each with its share of every arm.

    Args:
        unit: `[N]`; None: each row is its own.
        treatment: `[N]`; of a unit's rows the first counts.
        seed: of the order within an arm.
    """
    first, row_unit = np.arange(len(treatment)), np.arange(len(treatment))
    if unit is not None:
        _, first, row_unit = np.unique(unit, return_index=True, return_inverse=True)
    order = np.random.default_rng(seed).permutation(len(first))
    dealt = order[np.argsort(treatment[first][order], kind="stable")]
    rank = np.empty(len(first), np.int64)
    rank[dealt] = np.arange(len(first))
    return rank[row_unit]
