"""Average effects as scores: of the training rows and of the test rows, and by the columns that a run is sliced by."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from causalrec.config.run_config import Evaluation
from causalrec.config.schema import ExperimentConfig
from causalrec.data.log import InteractionLog
from causalrec.estimators.effect.adjusted_rows import AdjustedRows
from causalrec.estimators.effect.average_effect import AVERAGE_EFFECT, AverageRequest
from causalrec.estimators.effect.averages import DESCRIPTIONS, trim_rows
from causalrec.estimators.effect.group_averages import group_averages
from causalrec.estimators.effect.overlap_warnings import (
    CLIPPED,
    MOST_UNLIKE,
    overlap_warnings,
    target_members,
    warn_once,
)
from causalrec.evaluation.average_scores import average_score
from causalrec.evaluation.evaluator import Evaluator, Score
from causalrec.evaluation.slice.base import AnySliceData, SliceData, arm_name, slice_of_log
from causalrec.evaluation.slice.by_column import ColumnSlice
from causalrec.learners.average_request import trimmed_test_rows, trimmed_training_rows
from causalrec.learners.predictor import AbstractPredictor
from causalrec.learners.table_columns import log_to_fit
from causalrec.prepared import PreparedData
from causalrec.types import Bools, Floats, Ints

TRAINING = "training"  # what the rows that were learnt from are called
EQUAL_EFFECTS_P = "equal_effects_p"
EQUALITY = "the p-value of Wald's test that the average effect is the same in all groups"


@dataclass(frozen=True, kw_only=True)
class AverageScores:
    """The average effects of a job.

    Attributes:
        config: of the job.
        prepared: what stood before its fits.
        predictor: what was learnt.
        evaluator: says how many replicates a score has.
    """

    config: ExperimentConfig
    prepared: PreparedData
    predictor: AbstractPredictor
    evaluator: Evaluator

    def training(self) -> Iterator[Score]:
        """Yield what was learnt of the training rows as one, then its average effects by column."""
        evaluation, log = self.config.run.evaluation, log_to_fit(self.prepared)
        lines: tuple[str, ...] = ()
        if evaluation.trim:
            arms = len(self.prepared.dataset.card.arms)
            probabilities = self.prepared.propensity.treatment_probabilities(log, arms)
            lines = _trim_warnings(evaluation, log.treatment, probabilities)
        for score in self.predictor.of_training(self.evaluator, self.config.run.name):
            trimmed = (score.metric, score.slice) == (AVERAGE_EFFECT, TRAINING)
            yield replace(score, warnings=warn_once(lines, score.warnings)) if trimmed else score
        adjusted = self.predictor.adjusted_rows() if self._columns() else None
        if adjusted is not None:
            yield from self._by_column(adjusted, log, trimmed_training_rows(evaluation, self.prepared), TRAINING)

    def test(self, slices: Sequence[AnySliceData]) -> Iterator[Score]:
        """Yield the doubly robust average effect of each arm on all test rows, and by column.

        It goes by outcomes that were learnt from the training rows and by the test rows' own probabilities, where these
        rows judge effects by the outcomes seen (`uplift` among the slices).
        """
        judged = [
            rows for rows in slices if isinstance(rows, SliceData) and rows.kind == "uplift" and rows.subset_of is None
        ]
        means = self.predictor.outcome_means(self._all_test_rows(judged[0])) if judged else None
        if means is None:
            return
        evaluation, test = self.config.run.evaluation, self.prepared.splits.test
        probabilities, lines = self.prepared.test_probabilities, tuple[str, ...]()
        adjusted = AdjustedRows(
            outcome=test.outcome.astype(np.float64),
            treatment=test.treatment,
            means=means,
            probabilities=probabilities.astype(np.float64),
            clusters=self.prepared.test_clusters,
        )
        included = trimmed_test_rows(evaluation, self.prepared)
        if included is not None:
            lines, adjusted = _trim_warnings(evaluation, test.treatment, probabilities), adjusted.take(included)
        average = adjusted.average(self._request)
        average, model = replace(average, warnings=warn_once(lines, average.warnings)), self.config.run.name
        for arm in range(1, means.shape[1]):
            yield average_score(average, arm, arm_name(judged[0].name, arm), self.evaluator.replicates, model)
        yield from self._by_column(adjusted, test, included, judged[0].name)

    @property
    def _request(self) -> AverageRequest:
        evaluation = self.config.run.evaluation
        return AverageRequest(target=evaluation.target, level=evaluation.level)

    def _columns(self) -> list[ColumnSlice]:
        """Return the slices by a column whose rows judge effects."""
        slices = [component.build() for component in self.config.slice.values() if component.target is ColumnSlice]
        return [column for column in slices if isinstance(column, ColumnSlice) and column.of is not None]

    def _by_column(
        self, adjusted: AdjustedRows, log: InteractionLog, included: Bools | None, name: str
    ) -> Iterator[Score]:
        """Yield the average effect of each level of the columns.

        Args:
            adjusted: the rows that trimming leaves.
            log: all rows.
            included: bool[N], which of them trimming leaves; None: all.
            name: of the rows.
        """
        for column in self._columns():
            members = column.members(self.prepared.dataset, log.users, log.item)
            if included is not None:
                members = {level: rows[included] for level, rows in members.items()}
            yield from self._of_levels(column, adjusted, members, name)

    def _of_levels(
        self, column: ColumnSlice, adjusted: AdjustedRows, members: Mapping[str, Bools], name: str
    ) -> Iterator[Score]:
        """Yield the average effect of each level and arm, then the test that those of an arm are equal.

        Args:
            column: by which rows are grouped.
            adjusted: the rows.
            members: bool[N] of each level.
            name: of the rows.
        """
        model, groups = self.config.run.name, group_averages(adjusted, members, self._request)
        replicates, nothing = self.evaluator.replicates, np.full(self.evaluator.replicates, np.nan)
        for arm in range(1, adjusted.means.shape[1]):
            rows = arm_name(name, arm)
            for level, average in groups.averages.items():
                yield average_score(average, arm, column.name(rows, level), replicates, model)
            p_value, slice_name = float(groups.equality[arm - 1]), f"{rows}_{column.column}"
            yield Score(
                *(EQUAL_EFFECTS_P, slice_name, p_value, np.nan, np.nan, len(adjusted), model, nothing),
                description=EQUALITY,
                warnings=groups.warnings if arm == 1 else (),
            )

    def _all_test_rows(self, judged: SliceData) -> SliceData:
        """Return the test rows of all arms, as a predictor reads them."""
        return slice_of_log(self.prepared.splits.test, judged.name, "uplift", arm=1)


def target_footnote(evaluation: Evaluation, prepared: PreparedData) -> str | None:
    """Return whose average effect a run reports, and how many rows trimming leaves out; None for all rows."""
    if evaluation.target == "all" and not evaluation.trim:
        return None
    words = f"Average effect on {DESCRIPTIONS[evaluation.target]}"
    by_name = {TRAINING: trimmed_training_rows(evaluation, prepared), "test": trimmed_test_rows(evaluation, prepared)}
    counts = [
        f"{int((~rows).sum()):,} of {len(rows):,} {name} rows" for name, rows in by_name.items() if rows is not None
    ]
    if not counts:
        return f"{words}."
    return (
        f"{words}; {' and '.join(counts)} with a propensity below {evaluation.trim:g} left out: the estimand is that "
        f"of the rows kept."
    )


def _trim_warnings(evaluation: Evaluation, treatment: Ints, probabilities: Floats) -> tuple[str, ...]:
    """Return what the rows warn of before any is trimmed, and how many of the target's leave."""
    chances = probabilities.astype(np.float64)
    lines = overlap_warnings(treatment, chances, evaluation.target, clip=evaluation.trim)
    lines = tuple(line for line in lines if CLIPPED not in line)  # such rows leave instead
    members = target_members(treatment, evaluation.target)
    left_out = int((members & ~trim_rows(chances, evaluation.trim)).sum())
    if left_out <= MOST_UNLIKE * int(members.sum()):
        return lines
    of = f"{left_out:,} of the {int(members.sum()):,} rows that evaluation.target={evaluation.target} is about"
    return (f"evaluation.trim={evaluation.trim:g} leaves out {of}: the average is not theirs", *lines)
