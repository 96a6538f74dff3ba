"""Placebo exposure: a permuted treatment has no effect."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from causalrec.data.assignment_unit import is_constant
from causalrec.estimators.effect.base import LearnerData
from causalrec.evaluation.refuter.base import (
    AbstractEffectRefuter,
    RefutationProblem,
    RefuterVerdict,
    generator,
    summarise,
)
from causalrec.types import Doubles, Ints


@dataclass(frozen=True, kw_only=True)
class PlaceboExposure(AbstractEffectRefuter):
    """Permutes the treatment; the estimate of what then is no effect must hold 0 in its interval over repeats.

    Where treatment was assigned to units of several rows, whole units change it.
    """

    name: ClassVar[str] = "placebo exposure"
    limitation: ClassVar[str] = "hidden confounding: permuting cuts its arrow to exposure too"
    value_is_effect: ClassVar[bool] = True

    def __call__(self, problem: RefutationProblem) -> list[RefuterVerdict]:
        draws = np.stack([self._draw(problem, k) for k in range(problem.repeats)])
        mean, low, high = summarise(draws)
        rule = "0 within the interval of a permuted treatment's effect"
        return [
            self.compare(a + 1, abs(mean[a]), high[a] - mean[a], (mean[a], low[a], high[a]), rule)
            for a in range(len(mean))
        ]

    def _draw(self, problem: RefutationProblem, repeat: int) -> Doubles:
        rng = generator(problem, self.name, repeat)
        permuted = _permute(problem.rows, rng)  # of which logged probabilities are not those
        return problem.re_estimate(repeat, treatment=permuted, probabilities=None)


def _permute(rows: LearnerData, rng: np.random.Generator) -> Ints:
    """Return the treatments in another order: of the largest units (groups, clusters) that have one treatment each."""
    axes = (() if rows.groups is None else (rows.groups,)) + rows.clusters
    units = [np.unique(axis, return_inverse=True)[1] for axis in axes]
    constant = [unit for unit in units if unit.max() and is_constant(rows.treatment, unit)]
    unit = min(constant, key=lambda unit: int(unit.max()), default=np.arange(len(rows)))
    _, first, group = np.unique(unit, return_index=True, return_inverse=True)
    permuted: Ints = rng.permutation(rows.treatment[first])[group]
    return permuted
