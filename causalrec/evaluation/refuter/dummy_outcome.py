"""Dummy outcome: nothing has an effect on outcomes drawn at random."""

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
class DummyOutcome(AbstractEffectRefuter):
    """Permutes the outcome by rows, even where these depend; its effect must hold 0 in its interval over repeats."""

    name: ClassVar[str] = "dummy outcome"
    limitation: ClassVar[str] = "hidden confounding: permuting cuts its arrow to the outcome too"
    value_is_effect: ClassVar[bool] = True

    def __call__(self, problem: RefutationProblem) -> list[RefuterVerdict]:
        draws = np.stack([self._draw(problem, k) for k in range(problem.repeats)])
        mean, low, high = summarise(draws)
        rule = "0 within the interval of the effect on a permuted outcome"
        return [
            self.compare(a + 1, abs(mean[a]), high[a] - mean[a], (mean[a], low[a], high[a]), rule)
            for a in range(len(mean))
        ]

    def _draw(self, problem: RefutationProblem, repeat: int) -> Doubles:
        rng = generator(problem, self.name, repeat)
        return problem.re_estimate(repeat, outcome=rng.permutation(problem.rows.outcome))
