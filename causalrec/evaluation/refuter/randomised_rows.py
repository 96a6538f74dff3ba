"""Randomised rows: the estimate agrees with rows whose treatment was drawn at random."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from causalrec.estimators.effect.averages import DESCRIPTIONS
from causalrec.evaluation.normal_interval import NORMAL_95
from causalrec.evaluation.refuter.base import AbstractRefuter, RefutationProblem, RefuterVerdict


@dataclass(frozen=True, kw_only=True)
class RandomisedRows(AbstractRefuter):
    """The difference in means of the randomised rows must agree with the estimate within both errors."""

    name: ClassVar[str] = "randomised rows"
    limitation: ClassVar[str] = "randomised users who differ from those of the log"
    value_is_effect: ClassVar[bool] = True

    def __call__(self, problem: RefutationProblem) -> list[RefuterVerdict]:
        if problem.randomised is None:
            return self.untestable(problem, "no randomised rows of all arms beside an observational log")
        if problem.target != "all":
            return self.untestable(problem, f"randomised rows tell no effect on {DESCRIPTIONS[problem.target]}")
        treatment, outcome = problem.randomised
        none, verdicts = outcome[treatment == 0].astype(np.float64), []
        for a in range(problem.rows.arms):
            treated = outcome[treatment == a + 1].astype(np.float64)
            value = float(treated.mean() - none.mean())
            error = float(np.sqrt(treated.var(ddof=1) / len(treated) + none.var(ddof=1) / len(none)))
            both = float(np.hypot(error, problem.original.standard_error[a]))
            passed = abs(value - float(problem.original.value[a])) < NORMAL_95 * both
            low, high = value - NORMAL_95 * error, value + NORMAL_95 * error
            verdicts.append(
                self.verdict(a + 1, passed, value, low, high, "the log's estimate agrees within both errors")
            )
        return verdicts
