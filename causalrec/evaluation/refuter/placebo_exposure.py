"""Placebo exposure: a permuted treatment has no effect."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from causalrec.evaluation.refuter.base import AbstractRefuter, RefutationProblem, RefuterVerdict, generator, summarise
from causalrec.types import Doubles


@dataclass(frozen=True, kw_only=True)
class PlaceboExposure(AbstractRefuter):
    """Permutes the treatment; the estimate of what then is no effect must hold 0 in its interval over repeats."""

    name: ClassVar[str] = "placebo exposure"
    limitation: ClassVar[str] = "hidden confounding: permuting cuts its arrow to exposure too"
    value_is_effect: ClassVar[bool] = True

    def __call__(self, problem: RefutationProblem) -> list[RefuterVerdict]:
        draws = np.stack([self._draw(problem, k) for k in range(problem.repeats)])
        mean, low, high = summarise(draws)
        rule = "0 within the interval of a permuted treatment's effect"
        return [
            self.verdict(a + 1, bool(low[a] <= 0 <= high[a]), mean[a], low[a], high[a], rule) for a in range(len(mean))
        ]

    def _draw(self, problem: RefutationProblem, repeat: int) -> Doubles:
        rng = generator(problem, self.name, repeat)
        permuted = rng.permutation(problem.rows.treatment)  # of which logged probabilities are not those
        return problem.re_estimate(repeat, treatment=permuted, probabilities=None)
