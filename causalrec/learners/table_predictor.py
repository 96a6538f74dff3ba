"""Effects learnt from a table, as something that predicts."""

from __future__ import annotations

import logging
from collections.abc import Iterable
from dataclasses import replace
from statistics import NormalDist

import numpy as np

from causalrec.estimators.effect.base import AbstractFittedEffect, Design, LearnerData
from causalrec.estimators.effect.strength import first_stage_f
from causalrec.evaluation.evaluator import Evaluator, Score
from causalrec.evaluation.slice.base import SliceData, arm_name
from causalrec.learners.predictor import AbstractPredictor
from causalrec.learners.table_columns import TableColumns
from causalrec.types import Doubles, Floats

WEAK = 10  # a first-stage F below it: Staiger & Stock (Econometrica 1997)
LOGGER = logging.getLogger(__name__)


class TablePredictor(AbstractPredictor):
    """Fitted effects, the rows they were learnt from, and the columns they read.

    Args:
        fitted: effects.
        rows: that they were learnt from.
        table: columns they read.
        design: by what they are identified.
    """

    def __init__(self, fitted: AbstractFittedEffect, rows: LearnerData, table: TableColumns, design: Design) -> None:
        self.fitted, self.rows, self.table, self.design = fitted, rows, table, design

    def __call__(self, rows: SliceData) -> Floats:
        return self.fitted.effects(*self.table.read(rows.user, rows.item, rows)).astype(np.float32)

    def of_training(self, evaluator: Evaluator, name: str) -> Iterable[Score]:
        columns = self.rows.modifiers, self.rows.controls
        for arm in range(1, self.rows.arms + 1):
            slice_name = arm_name("training", arm)
            yield from self._average(columns, arm, slice_name, evaluator, name)
            if self.design == "instrument":
                yield self._strength(arm, slice_name, evaluator, name)

    def _strength(self, arm: int, slice_name: str, evaluator: Evaluator, name: str) -> Score:
        strength = first_stage_f(self.rows, arm)
        if strength < WEAK:
            LOGGER.warning("%s: instruments are weak, first-stage F %.1f: its interval is not valid", name, strength)
        nothing = np.full(evaluator.replicates, np.nan)
        words = f"F statistic of the instruments in the first stage; below {WEAK:g} they are weak"
        unknown = np.nan, np.nan
        return Score("first_stage_f", slice_name, strength, *unknown, len(self.rows), name, nothing, description=words)

    def _average(
        self, columns: tuple[Doubles, Doubles], arm: int, slice_name: str, evaluator: Evaluator, name: str
    ) -> Iterable[Score]:
        average = self.fitted.average(*columns, evaluator.level)
        if average is not None:
            value, low, high = (float(end[arm - 1]) for end in (average.value, average.low, average.high))
            replicates = normal_replicates(value, float(average.standard_error[arm - 1]), evaluator.replicates)
            yield Score(
                "average_effect",
                slice_name,
                value,
                low,
                high,
                len(columns[0]),
                name,
                replicates,
                description="the estimate of the average effect on these rows, with the learner's own interval",
            )

    def averages(self, rows: SliceData, evaluator: Evaluator, name: str) -> Iterable[Score]:
        yield from self._average(self.table.read(rows.user, rows.item, rows), rows.arm, rows.name, evaluator, name)
        interval = self.interval(rows, evaluator.level) if rows.kind == "effect" else None
        if interval is not None:
            lower, upper = (bound[:, rows.arm - 1] for bound in interval)
            share = evaluator.share(rows, (lower <= rows.label) & (rows.label <= upper), "coverage", name)
            yield replace(share, description="share of true effects that lie in their own interval")

    @property
    def warnings(self) -> tuple[str, ...]:
        return self.fitted.warnings

    def interval(self, rows: SliceData, level: float) -> tuple[Doubles, Doubles] | None:
        return self.fitted.interval(*self.table.read(rows.user, rows.item, rows), level)


def normal_replicates(value: float, standard_error: float, count: int) -> Doubles:
    """Return evenly spaced quantiles of a normal estimate, float64[count], in the place of bootstrap replicates; those
    of seeds are averaged as if they erred together.
    """
    quantiles = [NormalDist().inv_cdf((k + 0.5) / count) for k in range(count)]
    return value + standard_error * np.array(quantiles)
