"""What a learner has learnt, as something that predicts."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable

import numpy as np

from causalrec.data.log import InteractionLog
from causalrec.estimators.effect.adjusted_rows import AdjustedRows
from causalrec.estimators.effect.simultaneous import SimultaneousInterval, describe_candidates, sidak_level
from causalrec.evaluation.evaluator import Evaluator, Score
from causalrec.evaluation.slice.base import AnySliceData, SliceData
from causalrec.types import Doubles, Floats

Sizes = dict[str, dict[str, int]]


class AbstractPredictor(ABC):
    """Predicts rows, and says what else there is to score of it.

    Attributes:
        reads_views: the names of the views it reads beside the outcome view, for the record.
        only_ranks: its predictions order items by what is asked and have no unit.
    """

    only_ranks: bool = False

    @abstractmethod
    def __call__(self, rows: SliceData) -> Floats:
        """Return float32[N] mean outcomes, float32[N,C] probabilities of classes, or float32[N,A] effects."""

    def averages(self, rows: AnySliceData, evaluator: Evaluator, name: str) -> Iterable[Score]:
        """Return scores of a slice of effects that are no metric of single predictions: coverage of its intervals."""
        return ()

    def of_training(self, evaluator: Evaluator, name: str) -> Iterable[Score]:
        """Return scores of what was learnt from the training rows as one."""
        return ()

    def adjusted_rows(self) -> AdjustedRows | None:
        """Return the training rows with nuisances that have not learnt from them, where it averages by such."""
        return None

    def outcome_means(self, rows: SliceData) -> Doubles | None:
        """Return mean outcomes under each treatment of rows it has not learnt from, float64[N,A+1]; None: it has none.

        They serve the average effect on test rows, and need not be those that its effects are differences of.
        """
        outcomes = self.potential_outcomes(rows)
        return None if outcomes is None else outcomes.astype(np.float64)

    def potential_outcomes(self, rows: SliceData) -> Floats | None:
        """Return mean outcomes under each treatment, float32[N,A+1], where they are told."""
        return None

    def interval(self, rows: SliceData, level: float) -> tuple[Doubles, Doubles] | None:
        """Return the ends of pointwise intervals of effects, float64[N,A] each, where they are valid."""
        return None

    def simultaneous_interval(self, rows: SliceData, level: float) -> SimultaneousInterval | None:
        """Return intervals of the effects of the rows' arm that hold for all of them at once, where it has valid ones.

        By Sidak's level of their number, unless the predictor knows how its errors go together.
        """
        ends = self.interval(rows, sidak_level(level, max(len(rows.item), 1)))
        if ends is None:
            return None
        low, high = (end[:, rows.arm - 1] for end in ends)
        return SimultaneousInterval(low, high, describe_candidates(len(low), len(low), level, jointly=False))

    def imputation_misses(self, rows: InteractionLog) -> Doubles | None:
        """Return the error less the imputed error of rows, e - e_hat, float64[N], where errors are imputed."""
        return None

    def learned_propensity(self, pairs: InteractionLog) -> Floats | None:
        """Return the chance of exposure that was learnt beside the outcome, float32[N]; None: none was."""
        return None

    @property
    def lacks_independence(self) -> bool:
        """Whether it has no interval only because rows it learnt from depend on each other."""
        return False

    @property
    def warnings(self) -> tuple[str, ...]:
        """What must be read beside the scores that were asked for so far, a line each."""
        return ()

    @property
    def sizes(self) -> Sizes:
        """`parameters`, `trainable` and `language_model`, each by role."""
        return {"parameters": {}, "trainable": {}, "language_model": {}}
