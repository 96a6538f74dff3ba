"""The contract of a refuter: it changes the rows, or asks what would have to be, and says whether the effect passes."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import ClassVar, Literal

import numpy as np

from causalrec.estimators.effect.adjusted_rows import AdjustedRows
from causalrec.estimators.effect.average_effect import AverageEffect
from causalrec.estimators.effect.base import LearnerData
from causalrec.evaluation.normal_interval import NORMAL_95
from causalrec.types import Doubles, EffectTarget

RefuterLabel = Literal["passes", "fails", "not testable", "nothing to explain", "measured"]
Estimator = Callable[[LearnerData, int], AverageEffect]  # rows, seed


@dataclass(frozen=True, kw_only=True)
class RefuterVerdict:
    """What a refuter says of one arm.

    Attributes:
        refuter: its name.
        arm: the treatment judged, from 1.
        verdict: passes, fails, or not testable.
        value: the number it looked at, nan where there is none.
        low: lower end of the value's interval, nan without one.
        high: upper end of the value's interval, nan without one.
        rule: what passes, in words.
        limitation: what passes it all the same.
        value_is_effect: whether `value` is an average effect in the outcome's unit, beside the run's own.
        finding: a phrase that stands in the place of the verdict; empty: the verdict itself does.
    """

    refuter: str
    arm: int
    verdict: RefuterLabel
    value: float
    low: float
    high: float
    rule: str
    limitation: str
    value_is_effect: bool
    finding: str = ""


@dataclass(frozen=True, kw_only=True)
class RefutationProblem:
    """The effect to be refuted.

    Attributes:
        rows: what it was learnt from.
        estimate: how it is estimated, from rows and a seed.
        original: what it came to.
        propensities: float64[N,A+1], cross-fitted probabilities of the treatments.
        target: the rows that the effect is averaged over.
        negative_controls: columns float64[N] to take as outcomes, by name (no rows read them otherwise).
        randomised: randomised rows of all arms, where there are some beside an observational log.
        repeats: how often what is random is drawn.
        seed: of what is random.
    """

    rows: LearnerData
    estimate: Estimator
    original: AverageEffect
    propensities: Doubles
    target: EffectTarget = "all"
    negative_controls: dict[str, Doubles] = field(default_factory=dict)
    randomised: AdjustedRows | None = None
    repeats: int = 20
    seed: int = 0

    def re_estimate(self, seed: int, **changes: object) -> Doubles:
        """Return the average effect of each arm, float64[A], of rows with other columns."""
        return self.estimate(replace(self.rows, **changes), seed).value  # type: ignore[arg-type]


class AbstractAnyRefuter(ABC):
    """Tries to break what a run says: an average effect, or what a source of its data is good for.

    `name`: what tables call it. `limitation`: one sentence, what passes it all the same. `value_is_effect`: its value
    is an average effect in the outcome's unit.
    """

    name: ClassVar[str]
    limitation: ClassVar[str]
    value_is_effect: ClassVar[bool] = False


class AbstractRefuter(AbstractAnyRefuter):
    """Tries to break the average effect of each arm. Constructor keywords are its YAML keys; final classes."""

    @abstractmethod
    def __call__(self, problem: RefutationProblem) -> list[RefuterVerdict]:
        """Return a verdict on each arm."""

    def verdict(
        self, arm: int, passed: bool | None, value: float, low: float, high: float, rule: str
    ) -> RefuterVerdict:
        """Write a verdict.

        Args:
            arm: the treatment judged, from 1.
            passed: None: the data cannot tell.
            value: the number it looked at.
            low: lower end of the value's interval.
            high: upper end of the value's interval.
            rule: what passes, in words.
        """
        return RefuterVerdict(
            refuter=self.name,
            arm=arm,
            verdict="not testable" if passed is None else "passes" if passed else "fails",
            value=float(value),
            low=float(low),
            high=float(high),
            rule=rule,
            limitation=self.limitation,
            value_is_effect=self.value_is_effect,
        )

    def untestable(self, problem: RefutationProblem, reason: str) -> list[RefuterVerdict]:
        """Return that nothing can be told of any arm."""
        nan = float("nan")
        return [self.verdict(arm, None, nan, nan, nan, reason) for arm in range(1, problem.rows.arms + 1)]


def summarise(draws: Doubles) -> tuple[Doubles, Doubles, Doubles]:
    """Return the mean of draws [R,A] over repeats, and the ends of the normal interval of one draw, [A] each."""
    mean, error = draws.mean(0), draws.std(0, ddof=1)
    return mean, mean - NORMAL_95 * error, mean + NORMAL_95 * error


def generator(problem: RefutationProblem, name: str, repeat: int) -> np.random.Generator:
    """Return the random numbers of one repeat of one refuter, the same whatever runs beside it."""
    return np.random.default_rng([problem.seed, repeat, *name.encode()])
