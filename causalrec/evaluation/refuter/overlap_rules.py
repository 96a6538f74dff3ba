"""Overlap: every row could have had another treatment."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, ClassVar

import numpy as np
from pydantic import Field

from causalrec.evaluation.refuter.base import AbstractRefuter, RefutationProblem, RefuterVerdict

Share = Annotated[float, Field(ge=0, le=1)]


@dataclass(frozen=True, kw_only=True)
class OverlapRules(AbstractRefuter):
    """At most `max_share` of the rows have a probability below `extreme` of the arm or of none, and the effective rows
    of the arm and of none, `(sum w)^2 / sum w^2` of inverse probabilities, are at least `min_effective` of theirs.
    """

    name: ClassVar[str] = "overlap"
    limitation: ClassVar[str] = "hidden confounding, and rows that no observed column tells apart"
    extreme: Share = 0.05
    max_share: Share = 0.1
    min_effective: Share = 0.2

    def __call__(self, problem: RefutationProblem) -> list[RefuterVerdict]:
        rows, verdicts = problem.rows, []
        for arm in range(1, rows.arms + 1):
            share = float((problem.propensities[:, (0, arm)].min(1) < self.extreme).mean())
            effective = []
            for which in (0, arm):
                weight = 1 / problem.propensities[rows.treatment == which, which].clip(1e-6)
                effective.append(float(weight.sum() ** 2 / (weight**2).sum() / len(weight)))
            needed = f"effective rows at least {self.min_effective:.0%}: {min(effective):.0%}"
            rule = f"at most {self.max_share:.0%} below {self.extreme:g}; {needed}"
            passed = bool(share <= self.max_share and np.min(effective) >= self.min_effective)
            verdicts.append(self.verdict(arm, passed, share, float("nan"), float("nan"), rule))
        return verdicts
