"""E-value: the least association with both exposure and outcome that would explain the effect away."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Annotated, ClassVar

from pydantic import Field

from causalrec.estimators.effect.averages import target_weights
from causalrec.evaluation.refuter.base import AbstractEffectRefuter, RefutationProblem, RefuterVerdict

RULE = "the risk ratio that a hidden cause must have with both exposure and outcome"


@dataclass(frozen=True, kw_only=True)
class EValue(AbstractEffectRefuter):
    """`E = RR + sqrt(RR (RR - 1))` of the estimate (`value`) and of the end of its interval next to 0 (`low`).

    Of an outcome of 0 or 1, `RR` is `(p0 + effect) / p0` or its inverse, p0 the mean of the untreated, weighted as the
    target by probabilities of at least `clip`; of another a difference is taken as one by `exp(0.91 d / sd(y))`.
    Source: VanderWeele & Ding (Annals of Internal Medicine 2017).
    """

    name: ClassVar[str] = "E-value"
    limitation: ClassVar[str] = "how likely a hidden cause of that strength is: the number has no scale of its own"
    clip: Annotated[float, Field(gt=0, lt=1)] = 0.01

    def __call__(self, problem: RefutationProblem) -> list[RefuterVerdict]:
        original, verdicts = problem.original, []
        if not problem.rows.binary and not problem.rows.outcome.std() > 0:
            return self.untestable(problem, "the outcome has no standard deviation to take its effect in")
        for a in range(problem.rows.arms):
            value, low, high = (float(end[a]) for end in (original.value, original.low, original.high))
            near = 0.0 if problem.is_null(a + 1) is not False else min(low, high, key=abs)
            of_value, of_end = (e_value(self._ratio(problem, effect, a + 1)) for effect in (value, near))
            finding = f"0 at E {of_value:.3g}, its interval at {of_end:.3g}"
            verdicts.append(self.measure(problem, a + 1, (of_value, of_end), finding, RULE))
        return verdicts

    def _ratio(self, problem: RefutationProblem, effect: float, arm: int) -> float:
        rows = problem.rows
        if not rows.binary:
            return difference_ratio(effect / float(rows.outcome.std()))
        weight = target_weights(rows.treatment, problem.propensities, arm, problem.target, clip=self.clip)
        weight = weight * (rows.treatment == 0)
        return risk_ratio(float(weight @ rows.outcome / weight.sum()), effect)


def risk_ratio(untreated: float, effect: float) -> float:
    """Return the ratio of two chances or its inverse, whichever is above 1; infinite where one of them is 0.

    >>> risk_ratio(0.25, 0.25), risk_ratio(0.5, -0.25)
    (2.0, 2.0)
    """
    low, high = sorted((untreated, untreated + effect))
    return 1.0 if high == low else high / low if low > 0 else math.inf


def difference_ratio(difference: float) -> float:
    """Return what a standardised difference of means is as a risk ratio above 1, about."""
    return math.exp(0.91 * abs(difference))


def e_value(ratio: float) -> float:
    """Return the E-value of a risk ratio, 1 or above.

    >>> round(e_value(3.9), 2)
    7.26
    """
    return ratio + math.sqrt(ratio * (ratio - 1))
