"""Leak: no column tells treatment or outcome by itself."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, ClassVar

import numpy as np
from pydantic import Field

from causalrec.evaluation.refuter.base import AbstractEffectRefuter, RefutationProblem, RefuterVerdict
from causalrec.types import Doubles


@dataclass(frozen=True, kw_only=True)
class Leak(AbstractEffectRefuter):
    """No column's correlation with the outcome or with the arm is above `max_correlation` in absolute value: one
    that is so near was most likely recorded after them.
    """

    name: ClassVar[str] = "leak"
    limitation: ClassVar[str] = "columns that tell the outcome only together, or but half"
    max_correlation: Annotated[float, Field(gt=0, lt=1)] = 0.95

    def __call__(self, problem: RefutationProblem) -> list[RefuterVerdict]:
        rows, verdicts = problem.rows, []
        names = (*rows.modifier_names, *rows.control_names) or tuple(map(str, range(rows.features.shape[1])))
        for arm in range(1, rows.arms + 1):
            compared = np.isin(rows.treatment, (0, arm))
            sides = rows.outcome[compared], (rows.treatment[compared] == arm).astype(np.float64)
            worst, name = 0.0, "none"
            for k, label in enumerate(names):
                near = max(correlation(rows.features[compared, k], side) for side in sides)
                if near > worst:
                    worst, name = near, label
            rule = f"no column's correlation above {self.max_correlation:g}; the largest is {name}'s"
            verdicts.append(self.verdict(arm, worst <= self.max_correlation, worst, float("nan"), float("nan"), rule))
        return verdicts


def correlation(first: Doubles, second: Doubles) -> float:
    """Return the absolute correlation of two columns, 0 where one is constant."""
    if first.std() < 1e-12 or second.std() < 1e-12:
        return 0.0
    return float(abs(np.corrcoef(first, second)[0, 1]))
