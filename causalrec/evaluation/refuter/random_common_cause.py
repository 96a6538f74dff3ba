"""Random common cause: a column of noise among the controls moves nothing."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from causalrec.evaluation.refuter.base import (
    AbstractEffectRefuter,
    RefutationProblem,
    RefuterVerdict,
    generator,
    summarise,
)
from causalrec.types import Doubles


@dataclass(frozen=True, kw_only=True)
class RandomCommonCause(AbstractEffectRefuter):
    """Adds a column of noise to the controls; the mean over repeats must stay within a standard error."""

    name: ClassVar[str] = "random common cause"
    limitation: ClassVar[str] = "hidden confounding: noise says nothing of what is missing"
    value_is_effect: ClassVar[bool] = True

    def __call__(self, problem: RefutationProblem) -> list[RefuterVerdict]:
        draws = np.stack([self._draw(problem, k) for k in range(problem.repeats)])
        mean, low, high = summarise(draws)
        moved, allowed = np.abs(mean - problem.original.value), problem.errors
        rule = "moved by less than a standard error"
        return [self.compare(a + 1, moved[a], allowed[a], (mean[a], low[a], high[a]), rule) for a in range(len(mean))]

    def _draw(self, problem: RefutationProblem, repeat: int) -> Doubles:
        noise = generator(problem, self.name, repeat).normal(size=(len(problem.rows), 1))
        names = problem.rows.control_names
        named = {"control_names": (*names, "noise")} if names or not problem.rows.controls.shape[1] else {}
        return problem.re_estimate(repeat, controls=np.hstack([problem.rows.controls, noise]), **named)
