"""Effects learnt from a table, as something that predicts."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from itertools import chain

import numpy as np

from causalrec.data.arm_probabilities import SAME
from causalrec.estimators.effect.adjusted_rows import AdjustedRows
from causalrec.estimators.effect.average_effect import AverageRequest
from causalrec.estimators.effect.base import AbstractFittedEffect, Design, LearnerData
from causalrec.estimators.effect.clustered_variance import FEW_CLUSTERS, fewest_by_arm
from causalrec.estimators.effect.simultaneous import SimultaneousInterval
from causalrec.estimators.effect.strength import first_stage_f
from causalrec.evaluation.average_scores import average_score
from causalrec.evaluation.catalogue_predictions import PAIR_BYTES, blocks_of_rows
from causalrec.evaluation.evaluator import Evaluator, Score
from causalrec.evaluation.slice.base import AnySliceData, SliceData, arm_name
from causalrec.features.logged_log_odds import PREFIX
from causalrec.learners.predictor import AbstractPredictor
from causalrec.learners.table_columns import TableColumns
from causalrec.types import Bools, Doubles, Floats

WEAK = 10  # a first-stage F below it: Staiger & Stock (Econometrica 1997)

NOT_BY_PROPENSITIES = (
    "its effects are adjusted for the columns it reads, not for the logged propensities, by which its average goes; "
    "where the policy saw more than these columns, choose learner=linear_dml, linear_dr_learner or causal_forest_dml"
)


class TablePredictor(AbstractPredictor):
    """Fitted effects, the rows they were learnt from, and the columns they read.

    Args:
        fitted: effects.
        rows: that they were learnt from.
        table: columns they read.
        design: by what they are identified.
        request: which average effect is asked for.
    """

    def __init__(
        self,
        fitted: AbstractFittedEffect,
        rows: LearnerData,
        table: TableColumns,
        design: Design,
        request: AverageRequest,
    ) -> None:
        self.fitted, self.rows, self.table, self.design, self.request = fitted, rows, table, design, request

    def with_table(self, table: TableColumns) -> TablePredictor:
        """Return what predicts the ids of another table of the same columns."""
        return TablePredictor(self.fitted, self.rows, table, self.design, self.request)

    def __call__(self, rows: SliceData) -> Floats:
        return self.fitted.effects(*self.table.read(rows.user, rows.item, rows)).astype(np.float32)

    def of_training(self, evaluator: Evaluator, name: str) -> Iterable[Score]:
        """Return the average effect of each arm, and the strength of the instruments, where it goes by some."""
        average = self.fitted.average(self.request)
        for arm in range(1, self.rows.arms + 1):
            slice_name = arm_name("training", arm)
            strength = self._strength(arm, slice_name, evaluator, name) if self.design == "instrument" else None
            if average is not None:
                score = average_score(average, arm, slice_name, evaluator.replicates, name, len(self.rows))
                yield score if strength is None else replace(score, warnings=(*score.warnings, *strength.warnings))
            if strength is not None:
                yield strength

    def _strength(self, arm: int, slice_name: str, evaluator: Evaluator, name: str) -> Score:
        strength = first_stage_f(self.rows, arm)
        nothing = np.full(evaluator.replicates, np.nan)
        words = f"F statistic of the instruments in the first stage; below {WEAK:g} they are weak"
        unknown = np.nan, np.nan
        score = Score("first_stage_f", slice_name, strength, *unknown, len(self.rows), name, nothing, description=words)
        weak = f"instruments are weak: a first-stage F of {strength:.1f}, below {WEAK:g}: its interval is not valid"
        return replace(score, warnings=(weak,)) if strength < WEAK else score

    def adjusted_rows(self) -> AdjustedRows | None:
        return self.fitted.adjusted_rows(self.request)

    def outcome_means(self, rows: SliceData) -> Doubles | None:
        return self.fitted.outcome_means(*self.table.read(rows.user, rows.item, rows))

    def averages(self, rows: AnySliceData, evaluator: Evaluator, name: str) -> Iterable[Score]:
        """Return the share of true effects in their own interval."""
        if rows.kind != "effect":
            return
        blocks = blocks_of_rows(rows, int(evaluator.memory * 1e6) // PAIR_BYTES)
        covered = ((block.cluster, self._covers(block, evaluator.level)) for block in blocks)
        first = next(covered, None)
        if first is not None and first[1] is not None:
            judged = ((cluster, inside) for cluster, inside in chain([first], covered) if inside is not None)
            share = evaluator.share_of_blocks(rows, judged, "coverage", name)
            yield replace(share, description="share of true effects that lie in their own, pointwise interval")

    def _covers(self, rows: SliceData, level: float) -> Bools | None:
        """Return which true effects lie in their own interval; None where there are none."""
        interval = self.interval(rows, level)
        if interval is None:
            return None
        lower, upper = (bound[:, rows.arm - 1] for bound in interval)
        return (lower <= rows.label) & (rows.label <= upper)

    @property
    def lacks_independence(self) -> bool:
        return self.fitted.lacks_independence

    @property
    def warnings(self) -> tuple[str, ...]:
        return (*self.fitted.warnings, *([NOT_BY_PROPENSITIES] if self._leaves_propensities_out else []))

    @property
    def _leaves_propensities_out(self) -> bool:
        """Whether logged propensities that vary are among no columns that the effects are adjusted for."""
        logged, names = self.rows.probabilities, self.table.controls.names
        varies = logged is not None and bool((np.ptp(logged, axis=0) > SAME).any())
        return varies and not any(name.startswith(PREFIX) for name in names)

    def interval(self, rows: SliceData, level: float) -> tuple[Doubles, Doubles] | None:
        return self.fitted.interval(*self.table.read(rows.user, rows.item, rows), level)

    def simultaneous_interval(self, rows: SliceData, level: float) -> SimultaneousInterval | None:
        columns = self.table.read(rows.user, rows.item, rows)
        interval = self.fitted.simultaneous_interval(*columns, rows.arm, level)
        fewest = int(fewest_by_arm(self.rows.treatment, self.rows.dependence, self.rows.arms)[rows.arm - 1])
        if interval is None or fewest >= FEW_CLUSTERS:
            return interval
        few = f"few rows: {fewest} of the arm or of none, so that normal quantiles make intervals too short"
        return replace(interval, note="; ".join(filter(None, (interval.note, few))))
