"""Overlap: every row could have had another treatment."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, ClassVar

import numpy as np
from pydantic import Field

from causalrec.estimators.effect.averages import target_weights
from causalrec.estimators.effect.overlap_warnings import NEEDED, effective_rows, target_members
from causalrec.evaluation.refuter.base import AbstractEffectRefuter, RefutationProblem, RefuterVerdict

Share = Annotated[float, Field(ge=0, le=1)]
CLIP = 1e-6  # nothing is divided by less
EXTREME = 0.1  # of an arm's share of all rows
MAX_SHARE = 0.1  # of the target's rows


@dataclass(frozen=True, kw_only=True)
class OverlapRules(AbstractEffectRefuter):
    """At most `max_share` of the rows that the effect is averaged over have a probability of the arm, or of none, whose
    rows stand for them, below `extreme` times that arm's share of all rows, and the effective rows of the arm and of
    none, `(sum w)^2 / sum w^2` of the target's weights, are at least `min_effective` of theirs.

    A rare arm that was drawn at random overlaps: what counts is how far a row's probability is below the share.
    """

    name: ClassVar[str] = "overlap"
    limitation: ClassVar[str] = "hidden confounding, and rows that no observed column tells apart"
    extreme: Share = EXTREME
    max_share: Share = MAX_SHARE
    min_effective: Share = 0.2

    def __call__(self, problem: RefutationProblem) -> list[RefuterVerdict]:
        rows, verdicts = problem.rows, []
        for arm in range(1, rows.arms + 1):
            share = unlike_share(problem, arm, self.extreme)
            weight = target_weights(rows.treatment, problem.propensities, arm, problem.target, clip=CLIP)
            effective = [
                effective_rows(weight[rows.treatment == which]) / int((rows.treatment == which).sum())
                for which in (0, arm)
            ]
            needed = f"effective rows at least {100 * self.min_effective:.0f} %: {100 * min(effective):.0f} %"
            rule = f"at most {100 * self.max_share:.0f} % below {self.extreme:g} of the arm's share of rows; {needed}"
            passed = bool(share <= self.max_share and np.min(effective) >= self.min_effective)
            verdicts.append(self.verdict(arm, passed, share, float("nan"), float("nan"), rule))
        return verdicts


def unlike_share(problem: RefutationProblem, arm: int, extreme: float = EXTREME) -> float:
    """Return the share of the rows that the effect of an arm is averaged over that have few rows like them: their
    probability of the arm, or of none, whose rows stand for them, is below `extreme` times its share of all rows.
    """
    treatment, target = problem.rows.treatment, problem.target
    needed = [arm if side == "arm" else 0 for side in NEEDED[target]] or [0, arm]
    shares = np.bincount(treatment, minlength=problem.rows.arms + 1) / len(treatment)
    relative = problem.propensities[target_members(treatment, target, arm)] / shares
    return float((relative[:, needed].min(1) < extreme).mean())
