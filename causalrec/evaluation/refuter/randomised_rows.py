"""Randomised rows: the estimate agrees with rows whose treatment was drawn at random."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from causalrec.estimators.effect.average_effect import AverageRequest
from causalrec.estimators.effect.averages import DESCRIPTIONS
from causalrec.evaluation.refuter.base import AbstractEffectRefuter, RefutationProblem, RefuterVerdict, half_widths


@dataclass(frozen=True, kw_only=True)
class RandomisedRows(AbstractEffectRefuter):
    """The difference in means of the randomised rows must agree with the estimate within both errors.

    They are weighed by their own propensities, else by the shares of the arms in their strata, and clustered by what
    makes them depend.
    """

    name: ClassVar[str] = "randomised rows"
    limitation: ClassVar[str] = "randomised users who differ from those of the log"
    value_is_effect: ClassVar[bool] = True

    def __call__(self, problem: RefutationProblem) -> list[RefuterVerdict]:
        if problem.randomised is None:
            return self.untestable(problem, "no randomised rows of all arms beside an observational log")
        if problem.target != "all":
            return self.untestable(problem, f"randomised rows tell no effect on {DESCRIPTIONS[problem.target]}")
        seen, verdicts = problem.randomised.average(AverageRequest()), []
        both = np.hypot((seen.high - seen.low) / 2, half_widths(problem.rows, problem.errors))
        moved, rule = np.abs(seen.value - problem.original.value), "the log's estimate agrees within both errors"
        for a in range(problem.rows.arms):
            ends = (seen.value[a], seen.low[a], seen.high[a])
            verdicts.append(self.compare(a + 1, moved[a], both[a], ends, rule))
        return verdicts
