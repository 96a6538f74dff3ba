"""Marginal sensitivity: by how much the odds of exposure may be wrong before the effect may be 0."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, ClassVar

import numpy as np
from pydantic import Field

from causalrec.evaluation.refuter.base import AbstractRefuter, RefutationProblem, RefuterVerdict
from causalrec.types import Doubles


@dataclass(frozen=True, kw_only=True)
class MarginalSensitivity(AbstractRefuter):
    """The least factor Gamma by which hidden causes may change every row's odds of exposure so that the bounds of the
    effect, by self-normalised inverse propensities, hold 0; it passes from `min_gamma` on.

    It is sought up to `max_gamma`; probabilities are at least `clip`. The bounds are of the point estimate: sampling
    error comes on top. Source: Tan (JASA 2006); Zhao, Small & Bhattacharya (JRSSB 2019), whose linear fractional
    program sorts the outcomes.
    """

    name: ClassVar[str] = "marginal sensitivity"
    limitation: ClassVar[str] = "how large Gamma is in truth; and a propensity that is wrong in the observed columns"
    min_gamma: Annotated[float, Field(ge=1)] = 1.1
    max_gamma: Annotated[float, Field(gt=1)] = 20.0
    clip: Annotated[float, Field(gt=0, lt=1)] = 0.01

    def __call__(self, problem: RefutationProblem) -> list[RefuterVerdict]:
        if problem.target == "overlap":
            return self.untestable(problem, "its bounds are of all rows, of the treated or of the untreated")
        verdicts, rule = [], f"Gamma at least {self.min_gamma:g}"
        for arm in range(1, problem.rows.arms + 1):
            gamma = least_gamma(problem, arm, self.max_gamma, self.clip)
            low, high = bounds(problem, arm, self.min_gamma, self.clip)
            verdicts.append(self.verdict(arm, gamma >= self.min_gamma, gamma, low, high, rule))
        return verdicts


def least_gamma(problem: RefutationProblem, arm: int, max_gamma: float = 20.0, clip: float = 0.01) -> float:
    """Return the least Gamma whose bounds hold 0, by bisection.

    Args:
        problem: the effect to be refuted.
        arm: the treatment judged, from 1.
        max_gamma: the largest Gamma that is tried; returned where no bounds hold 0.
        clip: the least probability.
    """
    low, high = 1.0, max_gamma
    if _holds_zero(problem, arm, low, clip):
        return low
    if not _holds_zero(problem, arm, high, clip):
        return high
    for _ in range(30):
        middle = (low + high) / 2
        low, high = (low, middle) if _holds_zero(problem, arm, middle, clip) else (middle, high)
    return high


def bounds(problem: RefutationProblem, arm: int, gamma: float, clip: float = 0.01) -> tuple[float, float]:
    """Return the least and the largest effect of an arm under odds wrong by up to gamma.

    Args:
        problem: the effect to be refuted.
        arm: the treatment judged, from 1.
        gamma: the factor on the odds, 1 or above.
        clip: the least probability.
    """
    ends = [_mean_bounds(problem, which, arm, gamma, clip) for which in (arm, 0)]
    return ends[0][0] - ends[1][1], ends[0][1] - ends[1][0]


def _mean_bounds(problem: RefutationProblem, which: int, arm: int, gamma: float, clip: float) -> tuple[float, float]:
    """Return the least and the largest mean outcome under `which` of the target's rows.

    All rows: weights 1 + odds of not having received it, odds wrong by up to gamma; the treated: those who were, as
    they are, and the untreated by their odds of the arm; the untreated likewise.
    """
    rows = problem.rows
    under = rows.treatment == which
    outcome, chances = rows.outcome[under], problem.propensities[under].clip(clip, 1)
    if problem.target == "all":
        odds = 1 / chances[:, which] - 1
        return extremes(outcome, 1 + odds / gamma, 1 + odds * gamma)
    if which == (arm if problem.target == "treated" else 0):
        return float(outcome.mean()), float(outcome.mean())
    other = 0 if which else arm
    odds = chances[:, other] / chances[:, which]
    return extremes(outcome, odds / gamma, odds * gamma)


def extremes(outcome: Doubles, low: Doubles, high: Doubles) -> tuple[float, float]:
    """Return the least and the largest `sum(w y) / sum(w)` with each weight between `low[N]` and `high[N]`.

    The largest gives high weights to all outcomes above some value and low ones to the others.

    >>> extremes(np.array([0.0, 1.0]), np.array([1.0, 1.0]), np.array([3.0, 3.0]))
    (0.25, 0.75)
    """
    order = np.argsort(outcome)
    y, a, b = outcome[order], low[order], high[order]

    def best(first: Doubles, last: Doubles) -> Doubles:
        """Weigh the k least outcomes by `first`, the others by `last`, for every k."""
        over = np.r_[0, np.cumsum(first * y)] + (last * y).sum() - np.r_[0, np.cumsum(last * y)]
        under = np.r_[0, np.cumsum(first)] + last.sum() - np.r_[0, np.cumsum(last)]
        return np.asarray(over / under)

    return float(best(b, a).min()), float(best(a, b).max())


def _holds_zero(problem: RefutationProblem, arm: int, gamma: float, clip: float) -> bool:
    low, high = bounds(problem, arm, gamma, clip)
    return low <= 0 <= high
