"""The contract of a refuter: it says whether an effect passes, or how strong a hidden cause must be to make it."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import ClassVar, Literal

import numpy as np

from causalrec.estimators.effect.adjusted_rows import AdjustedRows
from causalrec.estimators.effect.average_effect import AverageEffect
from causalrec.estimators.effect.base import LearnerData
from causalrec.estimators.effect.clustered_variance import critical_values, fewest_by_arm
from causalrec.evaluation.normal_interval import NORMAL_95
from causalrec.types import Doubles, EffectTarget

RefuterLabel = Literal["passes", "fails", "not testable", "nothing to explain", "measured"]
Estimator = Callable[[LearnerData, int], AverageEffect]  # rows, seed


NAN = float("nan")
NO_ERROR = (
    "no error above 0 to judge by: its rows are of one cluster, or its learner gives none; log more units, or name "
    "other clusters (evaluation.cluster)"
)
NOTHING = "nothing to explain away"


@dataclass(frozen=True, kw_only=True)
class Scenario:
    """What is left of an effect under a hidden cause of some strength, in the outcome's unit; nan: nobody can say.

    Attributes:
        hidden_cause: its strength, in words.
        value: the run's estimate, adjusted.
        low: lower end of its interval, or of its bounds.
        high: upper end.
        linear_value: the coefficient of a linear regression, adjusted; nan where the refuter reads none, as its ends.
        linear_low: lower end of its interval.
        linear_high: upper end.
        note: what stands in the place of numbers that nobody can say.
    """

    hidden_cause: str
    value: float = NAN
    low: float = NAN
    high: float = NAN
    linear_value: float = NAN
    linear_low: float = NAN
    linear_high: float = NAN
    note: str = ""


@dataclass(frozen=True, kw_only=True)
class RefuterVerdict:
    """What a refuter says of one arm.

    Attributes:
        refuter: its name.
        arm: the treatment judged, from 1.
        verdict: passes, fails, or not testable; of a strength: measured, or nothing to explain.
        value: the number it looked at, nan where there is none.
        low: lower end of the value's interval, nan without one; of a strength: what the interval's end next to 0 takes.
        high: upper end of the value's interval, nan without one.
        rule: what passes, or what is measured, in words.
        limitation: what passes it all the same.
        value_is_effect: whether `value` is an average effect in the outcome's unit, beside the run's own.
        finding: what tables show in the label's place, a short phrase; empty: the label.
        scenarios: what hidden causes would leave of the effect, the strongest column first.
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
    scenarios: tuple[Scenario, ...] = ()


@dataclass(frozen=True, kw_only=True)
class RefutationProblem:
    """The effect to be refuted.

    Attributes:
        rows: what it was learnt from.
        estimate: how it is estimated, from rows and a seed.
        original: what it came to.
        propensities: float64[N,A+1], cross-fitted probabilities of the treatments.
        means: float64[N,A+1], cross-fitted mean outcomes under each treatment; None: nobody fitted them.
        target: the rows that the effect is averaged over.
        level: of the intervals of what is left of it, as of the run's own; refuters judge by 95 % ones.
        negative_controls: columns float64[N] to take as outcomes, by name (no rows read them otherwise).
        randomised: randomised rows of all arms, where there are some beside an observational log.
        repeats: how often what is random is drawn.
        seed: of what is random.
    """

    rows: LearnerData
    estimate: Estimator
    original: AverageEffect
    propensities: Doubles
    means: Doubles | None = None
    target: EffectTarget = "all"
    level: float = 0.95
    negative_controls: dict[str, Doubles] = field(default_factory=dict)
    randomised: AdjustedRows | None = None
    repeats: int = 20
    seed: int = 0

    def re_estimate(self, seed: int, **changes: object) -> Doubles:
        """Return the average effect of each arm, float64[A], of rows with other columns."""
        return self.estimate(replace(self.rows, **changes), seed).value  # type: ignore[arg-type]

    def is_null(self, arm: int) -> bool | None:
        """Return whether the interval of an arm (from 1) holds 0; None where it has none."""
        low, high = float(self.original.low[arm - 1]), float(self.original.high[arm - 1])
        return None if np.isnan(self.errors[arm - 1]) else low <= 0 <= high

    @property
    def errors(self) -> Doubles:
        """The standard error of each arm's estimate, float64[A]; nan where it has no interval, or one of no width."""
        return np.where(np.isnan(self.half_widths), np.nan, self.original.standard_error)

    @property
    def half_widths(self) -> Doubles:
        """Half the width of each arm's interval, float64[A]; nan where it has no error, or an interval of no width."""
        half, error = (self.original.high - self.original.low) / 2, self.original.standard_error
        return np.where(np.isfinite(half) & (half > 0) & (error > 0), half, np.nan)


class AbstractRefuter(ABC):
    """Tries to break what a run says: an average effect, or what a source of its data is good for.

    `name`: what tables call it. `limitation`: one sentence, what passes it all the same. `value_is_effect`: its value
    is an average effect in the outcome's unit.
    """

    name: ClassVar[str]
    limitation: ClassVar[str]
    value_is_effect: ClassVar[bool] = False


class AbstractEffectRefuter(AbstractRefuter):
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
        label: RefuterLabel = "not testable" if passed is None else "passes" if passed else "fails"
        return self._write(arm, label, (value, low, high), rule)

    def compare(
        self, arm: int, moved: float, allowed: float, ends: tuple[float, float, float], rule: str
    ) -> RefuterVerdict:
        """Write that the effect passes where it moved by no more than is allowed; not testable where nothing is.

        Args:
            arm: the treatment judged, from 1.
            moved: by how much, without a sign.
            allowed: what errors explain of it; 0 or nan: there is no error.
            ends: the number it looked at, and the ends of its interval.
            rule: what passes, in words.
        """
        if not allowed > 0:
            return self.verdict(arm, None, *ends, NO_ERROR)
        return self.verdict(arm, bool(moved <= allowed), *ends, rule)

    def measure(
        self,
        problem: RefutationProblem,
        arm: int,
        strengths: tuple[float, float],
        finding: str,
        rule: str,
        scenarios: tuple[Scenario, ...] = (),
    ) -> RefuterVerdict:
        """Write how strong a hidden cause must be: no pass, no fail; of an interval that holds 0 there is nothing to
        explain away.

        Args:
            problem: the effect judged.
            arm: the treatment judged, from 1.
            strengths: what brings the estimate to 0, and what its interval.
            finding: that, in a few words.
            rule: what is measured, in words.
            scenarios: what hidden causes would leave.
        """
        null, ends = problem.is_null(arm), (*strengths, NAN)
        if null is None:
            return self._write(arm, "not testable", (NAN, NAN, NAN), NO_ERROR)
        if null:  # a hidden cause that moves it towards 0 moves it nowhere
            return replace(self._write(arm, "nothing to explain", ends, rule), finding=NOTHING)
        return replace(self._write(arm, "measured", ends, rule), finding=finding, scenarios=scenarios)

    def _write(self, arm: int, label: RefuterLabel, ends: tuple[float, float, float], rule: str) -> RefuterVerdict:
        value, low, high = map(float, ends)
        return RefuterVerdict(
            refuter=self.name,
            arm=arm,
            verdict=label,
            value=value,
            low=low,
            high=high,
            rule=rule,
            limitation=self.limitation,
            value_is_effect=self.value_is_effect,
        )

    def untestable(self, problem: RefutationProblem, reason: str) -> list[RefuterVerdict]:
        """Return that nothing can be told of any arm."""
        return [self.verdict(arm, None, NAN, NAN, NAN, reason) for arm in range(1, problem.rows.arms + 1)]


def summarise(draws: Doubles) -> tuple[Doubles, Doubles, Doubles]:
    """Return the mean of draws [R,A] over repeats, and the ends of the normal interval of one draw, [A] each."""
    mean, error = draws.mean(0), draws.std(0, ddof=1)
    return mean, mean - NORMAL_95 * error, mean + NORMAL_95 * error


def half_widths(rows: LearnerData, errors: Doubles) -> Doubles:
    """Return half the widths of the 95 % intervals of averages, float64[A]: with few clusters by quantiles of t."""
    counts = fewest_by_arm(rows.treatment, rows.dependence, rows.arms)
    return np.asarray(critical_values(0.95, counts) * errors)


def generator(problem: RefutationProblem, name: str, repeat: int) -> np.random.Generator:
    """Return the random numbers of one repeat of one refuter, the same whatever runs beside it."""
    return np.random.default_rng([problem.seed, repeat, *name.encode()])
