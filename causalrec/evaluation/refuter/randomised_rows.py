"""Randomised rows: the estimate agrees with rows whose treatment was drawn at random."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from causalrec.estimators.effect.average_effect import AverageRequest
from causalrec.estimators.effect.averages import DESCRIPTIONS
from causalrec.evaluation.normal_interval import NORMAL_95
from causalrec.evaluation.refuter.base import AbstractRefuter, RefutationProblem, RefuterVerdict

LEVEL = 0.95


@dataclass(frozen=True, kw_only=True)
class RandomisedRows(AbstractRefuter):
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
        seen, verdicts = problem.randomised.average(AverageRequest(level=LEVEL)), []
        half_width = (seen.high - seen.low) / 2
        for a in range(problem.rows.arms):
            value, low, high = (float(end[a]) for end in (seen.value, seen.low, seen.high))
            both = float(np.hypot(half_width[a], NORMAL_95 * problem.original.standard_error[a]))
            passed = abs(value - float(problem.original.value[a])) < both
            verdicts.append(
                self.verdict(a + 1, passed, value, low, high, "the log's estimate agrees within both errors")
            )
        return verdicts
