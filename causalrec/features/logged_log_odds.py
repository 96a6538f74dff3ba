"""The log-odds of logged propensities as columns of rows: all that a learner must adjust for where they are right."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from causalrec.data.arm_probabilities import arm_probabilities
from causalrec.data.dataset import CausalDataset
from causalrec.data.log import InteractionLog
from causalrec.features.row_columns import AbstractRowColumn, RowsWithColumns
from causalrec.features.views import FeatureMatrix
from causalrec.types import Doubles, Floats

LEAST = 1e-6  # a probability below it has the log-odds of it
PREFIX = "log-odds of arm "


@dataclass(frozen=True)
class LogOddsOfRow(AbstractRowColumn):
    """The logged log-odds of one arm against none, standardised over the logged rows; 0 of rows that log none.

    Attributes:
        mean: over the logged rows.
        deviation: over the logged rows.
    """

    mean: float
    deviation: float

    @property
    def names(self) -> tuple[str, ...]:
        return (self.column,)

    def __call__(self, rows: RowsWithColumns) -> Floats:
        if self.column in rows.columns:
            return self.expand(rows.columns[self.column], rows.name)
        return np.zeros((len(rows), 1), np.float32)

    def expand(self, values: Doubles, where: str) -> Floats:
        return ((values - self.mean) / self.deviation).astype(np.float32)[:, None]


def with_log_odds(dataset: CausalDataset) -> CausalDataset:
    """Return a data set with arms whose logs hold, beside their columns, the log-odds of their logged propensities."""
    arms, random = len(dataset.card.arms), dataset.randomised
    randomised = None if random is None else _with_log_odds(random, arms)
    return replace(dataset, logged=_with_log_odds(dataset.logged, arms), randomised=randomised)


def add_log_odds(controls: FeatureMatrix, log: InteractionLog) -> FeatureMatrix:
    """Return controls with the log-odds that vary in the log.

    They are for learners whose effects do not depend on controls: a policy has other log-odds in a randomised test.

    Args:
        controls: the other columns.
        log: the training rows, with the columns of `with_log_odds`.
    """
    columns = []
    for name in sorted(name for name in log.columns if name.startswith(PREFIX)):
        values = np.asarray(log.columns[name], np.float64)
        if (deviation := float(values.std())) > LEAST:
            columns.append(LogOddsOfRow(name, float(values.mean()), deviation))
    names = tuple(column.column for column in columns)
    return replace(controls, names=(*controls.names, *names), rows=(*controls.rows, *columns))


def _with_log_odds(log: InteractionLog, arms: int) -> InteractionLog:
    """Return the log with a column for each arm, and with the probabilities of all arms."""
    probabilities = arm_probabilities(log, arms)
    if probabilities is None:
        return log
    odds = np.log(np.maximum(probabilities[:, 1:], LEAST) / np.maximum(probabilities[:, :1], LEAST))
    columns = {f"{PREFIX}{arm}": odds[:, arm - 1].astype(np.float64) for arm in range(1, arms + 1)}
    return replace(log, columns={**log.columns, **columns}, arm_probabilities=probabilities)
