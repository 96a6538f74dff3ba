"""Propensities of every item of a round, from one column each: the logging policy of a table."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from causalrec.data.contexts import Contexts
from causalrec.data.log import SUM_TOLERANCE, InteractionLog
from causalrec.errors import DataError, RequestError, did_you_mean
from causalrec.types import Bools, Doubles

if TYPE_CHECKING:
    from causalrec.data.datasets.csv import CsvTables


@dataclass(frozen=True)
class LoggedDistribution:
    """The probabilities that the rows themselves hold: of contexts of this log alone.

    Attributes:
        columns: of the log, in item order.
    """

    columns: tuple[str, ...]

    def __call__(self, contexts: Contexts) -> Doubles:
        probabilities = np.stack([np.asarray(contexts.columns[name], np.float64) for name in self.columns], 1)
        return np.asarray(probabilities / probabilities.sum(1, keepdims=True))  # files round


def check_rounds(tables: CsvTables) -> None:
    """Raise RequestError where the keys say of rounds what cannot be."""
    columns = list(tables.action_columns.values())
    if (tables.rounds or columns) and (tables.arms or tables.item is None):
        raise RequestError(
            "dataset.rounds: a policy takes an item in each, but dataset.arms (or no dataset.item) says another thing; "
            "give one of both"
        )
    if tables.rounds and tables.propensity is None:
        raise RequestError("dataset.rounds: says what dataset.propensity is the probability of; name its column")
    if columns and tables.user is not None and not tables.rounds:
        raise RequestError("dataset.propensity: names a column for each item, as rounds have; set dataset.rounds=true")
    if tables.rounds and tables.user is not None and tables.repeats == "keep_last":
        raise RequestError(
            "dataset.repeats=keep_last: leaves rounds out by the item taken, so that propensity is no more the chance "
            "of those that stay; set dataset.repeats=allowed"
        )
    fewest = tables.k_core.get("item", 1) if isinstance(tables.k_core, dict) else tables.k_core or 1
    if tables.rounds and fewest > 1:
        raise RequestError(
            "dataset.k_core: leaves rounds out by the item taken, so that propensity is no more the chance of those "
            "that stay; name users alone: k_core={user: N}"
        )
    for name in columns:
        if columns.count(name) > 1 or name in tables.row_columns:
            raise RequestError(f"dataset.propensity: the column {name!r} is taken twice; name one for each item")


def logged_distribution(columns: Mapping[str, str], items: Sequence[str], name: str) -> LoggedDistribution:
    """Return the distribution over the items, in their order; DataError where an item lacks a column or is unknown.

    Args:
        columns: by item id.
        items: every id.
        name: of the data set.
    """
    for item in columns:
        if item not in items:
            raise DataError(
                f"{name}: dataset.propensity: {item!r} is no item of the log; {did_you_mean(item, items)}; or list it "
                f"in a table of items"
            )
    for item in items:
        if item not in columns:
            raise DataError(f"{name}: dataset.propensity: item {item!r} has no column; name one for each item")
    return LoggedDistribution(tuple(columns[item] for item in items))


def with_action_propensities(log: InteractionLog, distribution: LoggedDistribution) -> InteractionLog:
    """Return the log with the propensity of the item that was taken; DataError on what is no distribution."""
    probabilities = np.stack([np.asarray(log.columns[name], np.float64) for name in distribution.columns], 1)
    taken = np.take_along_axis(probabilities, np.asarray(log.item)[:, None], 1)[:, 0]
    sums = probabilities.sum(1)
    inside: Bools = np.asarray(((probabilities >= 0) & (probabilities <= 1)).all(1))
    _require(log, inside, "a propensity of an item is outside [0, 1]")
    _require(log, np.abs(sums - 1) <= SUM_TOLERANCE, "the propensities of all items do not sum to 1", sums)
    _require(log, taken > 0, "the propensity of the item taken is 0")
    return log.with_propensity((taken / sums).astype(np.float32))


def _require(log: InteractionLog, fits: Bools, what: str, values: Doubles | None = None) -> None:
    if not fits.all():
        row = int(np.argmin(fits))
        shown = "" if values is None else f" but to {values[row]:g}"
        raise DataError(
            f"{log.name}: row {row}: {what}{shown} ({int((~fits).sum())} such rows); give the probabilities that were "
            f"used"
        )
