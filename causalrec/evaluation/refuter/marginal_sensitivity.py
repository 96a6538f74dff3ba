"""Marginal sensitivity: by how much the odds of exposure may be wrong before the effect may be 0."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, ClassVar

import numpy as np
from pydantic import Field

from causalrec.estimators.effect.averages import target_weights
from causalrec.estimators.effect.overlap_warnings import target_members
from causalrec.evaluation.refuter.base import AbstractEffectRefuter, RefutationProblem, RefuterVerdict, Scenario
from causalrec.evaluation.refuter.overlap_rules import EXTREME, MAX_SHARE, unlike_share
from causalrec.types import Bools, Doubles

Gamma = Annotated[float, Field(ge=1, allow_inf_nan=False)]


@dataclass(frozen=True, kw_only=True)
class MarginalSensitivity(AbstractEffectRefuter):
    """The least factor Gamma by which hidden causes may change every row's odds of exposure so that the bounds of the
    doubly robust effect hold 0: `value` of the bounds alone, `low` of them widened by the estimate's own error.

    Bounds are those of `mean(m_a - m_0)` over the target and of what the outcomes leave of m, weighted by inverse
    probabilities. Gamma is sought up to `max_gamma`; probabilities divided by are at least `clip`; `gammas` are those
    whose bounds are shown. Source: Tan (JASA 2006); Zhao, Small & Bhattacharya (JRSSB 2019, section 6: augmented by
    outcome models), whose linear fractional program sorts the residuals.
    """

    name: ClassVar[str] = "marginal sensitivity"
    limitation: ClassVar[str] = (
        "how large Gamma is in truth; a propensity that is wrong in the observed columns; and outcome models that are "
        "wrong where rows have few like them, which no bounds widen for; the error beside the "
        "bounds is that of the estimate, whatever Gamma"
    )
    gammas: tuple[Gamma, ...] = (1.1, 1.5, 2.0)
    max_gamma: Annotated[float, Field(gt=1, allow_inf_nan=False)] = 20.0
    clip: Annotated[float, Field(gt=0, lt=1)] = 0.01

    def __call__(self, problem: RefutationProblem) -> list[RefuterVerdict]:
        if problem.target == "overlap":
            return self.untestable(problem, "its bounds are of all rows, of the treated or of the untreated")
        if problem.means is None:
            return self.untestable(problem, "nobody fitted the mean outcomes that its bounds need")
        return [self._judge(problem, arm) for arm in range(1, problem.rows.arms + 1)]

    def _judge(self, problem: RefutationProblem, arm: int) -> RefuterVerdict:
        unlike = unlike_share(problem, arm)
        if problem.is_null(arm) is False and unlike > MAX_SHARE:
            # of weights near 1 Gamma changes little, and what the outcome models extrapolate is in no bound
            reason = f"no overlap: {100 * unlike:.0f} % of rows have a probability below {EXTREME:g} of the arm's share"
            return self.verdict(arm, None, *(float("nan"),) * 3, reason)
        estimate, error = float(problem.original.value[arm - 1]), float(problem.errors[arm - 1])
        start = bounds(problem, arm, 1.0, self.clip)[0]
        if abs(start - estimate) > error:
            reason = f"bounds start at {start:.4g}, by linear models, more than an error from the run's estimate"
            return self.verdict(arm, None, *(float("nan"),) * 3, reason)
        half_width = float(problem.original.high[arm - 1] - problem.original.low[arm - 1]) / 2
        strengths = (
            least_gamma(problem, arm, self.max_gamma, self.clip),
            least_gamma(problem, arm, self.max_gamma, self.clip, half_width),
        )
        words = [f"above {k:.3g}" if k >= self.max_gamma else f"{k:.3g}" for k in strengths]
        finding = f"0 at Gamma {words[0]}, its interval at {words[1]}"
        rule = "the factor on the odds of exposure at which the bounds hold 0"
        lines = tuple(self._scenario(problem, arm, gamma) for gamma in self.gammas)
        return self.measure(problem, arm, strengths, finding, rule, lines)

    def _scenario(self, problem: RefutationProblem, arm: int, gamma: float) -> Scenario:
        low, high = bounds(problem, arm, gamma, self.clip)
        return Scenario(hidden_cause=f"Gamma {gamma:g}", low=low, high=high)


def least_gamma(
    problem: RefutationProblem, arm: int, max_gamma: float = 20.0, clip: float = 0.01, half_width: float = 0.0
) -> float:
    """Return the least Gamma whose bounds hold 0, by bisection.

    Args:
        problem: the effect to be refuted.
        arm: the treatment judged, from 1.
        max_gamma: the largest Gamma that is tried; returned where no bounds hold 0.
        clip: the least probability divided by.
        half_width: what the bounds are widened by on each side.
    """

    def holds_zero(gamma: float) -> bool:
        low, high = bounds(problem, arm, gamma, clip)
        return low - half_width <= 0 <= high + half_width

    low, high = 1.0, max_gamma
    if holds_zero(low) or not holds_zero(high):
        return low if holds_zero(low) else high
    for _ in range(30):
        middle = (low + high) / 2
        low, high = (low, middle) if holds_zero(middle) else (middle, high)
    return high


def bounds(problem: RefutationProblem, arm: int, gamma: float, clip: float = 0.01) -> tuple[float, float]:
    """Return the least and the largest average effect of an arm on the target, under odds wrong by up to gamma.

    At gamma 1 both are the doubly robust estimate by `means` and `propensities`.

    Args:
        problem: the effect to be refuted, with `means`.
        arm: the treatment judged, from 1.
        gamma: the factor on the odds, 1 or above.
        clip: the least probability divided by.
    """
    rows, means = problem.rows, problem.means
    assert means is not None, "asked by who calls"
    members = target_members(rows.treatment, problem.target, arm)
    weights = target_weights(rows.treatment, problem.propensities, arm, problem.target, clip=clip)
    modelled = float((means[members, arm] - means[members, 0]).mean())
    ends = []
    for which in (arm, 0):
        under: Bools = rows.treatment == which
        low, high = _weight_range(problem, which, weights[under], gamma)
        ends.append(extremes(rows.outcome[under] - means[under, which], low, high))
    return modelled + ends[0][0] - ends[1][1], modelled + ends[0][1] - ends[1][0]


def _weight_range(problem: RefutationProblem, which: int, weights: Doubles, gamma: float) -> tuple[Doubles, Doubles]:
    """Return the least and the largest weights of rows under `which`.

    Of all rows 1 + the odds of not having received it, those odds wrong by up to gamma; of the treated (the untreated)
    those who were stand for themselves, the others by odds that may be wrong.
    """
    if problem.target == "all":
        return 1 + (weights - 1) / gamma, 1 + (weights - 1) * gamma
    if (which > 0) == (problem.target == "treated"):
        return weights, weights
    return weights / gamma, weights * gamma


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
