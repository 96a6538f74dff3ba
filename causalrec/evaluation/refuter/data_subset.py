"""Data subset: most of the rows give the same effect."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, ClassVar

import numpy as np
from pydantic import Field

from causalrec.evaluation.refuter.base import (
    AbstractEffectRefuter,
    RefutationProblem,
    RefuterVerdict,
    generator,
    half_widths,
    summarise,
)
from causalrec.types import Doubles


@dataclass(frozen=True, kw_only=True)
class DataSubset(AbstractEffectRefuter):
    """Takes a `share` of the clusters (of two axes: of the first); the mean over repeats must agree with the estimate
    within what leaving out tells.

    The difference of a subset's estimate to the whole's has the error `se sqrt(1 / share - 1)`.
    """

    name: ClassVar[str] = "data subset"
    limitation: ClassVar[str] = "hidden confounding: it is in every subset"
    value_is_effect: ClassVar[bool] = True
    share: Annotated[float, Field(gt=0, lt=1)] = 0.8

    def __call__(self, problem: RefutationProblem) -> list[RefuterVerdict]:
        draws = np.stack([self._draw(problem, k) for k in range(problem.repeats)])
        mean, low, high = summarise(draws)
        allowed = half_widths(problem.rows, problem.errors) * np.sqrt(1 / self.share - 1)
        moved, rule = np.abs(mean - problem.original.value), "within what a subset's error explains"
        return [self.compare(a + 1, moved[a], allowed[a], (mean[a], low[a], high[a]), rule) for a in range(len(mean))]

    def _draw(self, problem: RefutationProblem, repeat: int) -> Doubles:
        rows, rng = problem.rows, generator(problem, self.name, repeat)
        clusters = rows.dependence[0] if rows.dependence else np.arange(len(rows))
        names = np.unique(clusters)
        chosen = np.isin(clusters, rng.choice(names, round(self.share * len(names)), replace=False))
        return problem.estimate(rows.take(chosen), repeat).value
