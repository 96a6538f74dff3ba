"""Unobserved common cause: what is left of the effect under a hidden confounder as strong as the observed ones."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Annotated, ClassVar

import numpy as np
from pydantic import Field

from causalrec.estimators.effect.base import LearnerData
from causalrec.estimators.effect.hidden_cause import LinearEffect, fit_linear_effect, hidden_bias, least_strength
from causalrec.evaluation.refuter.base import AbstractEffectRefuter, RefutationProblem, RefuterVerdict, Scenario
from causalrec.types import Ints

Strength = Annotated[float, Field(gt=0, allow_inf_nan=False)]
Ends = tuple[float, float]  # a value, and half its interval


@dataclass(frozen=True, kw_only=True)
class UnobservedCommonCause(AbstractEffectRefuter):
    """Moves the effect towards 0 by the bias of a linear regression without a cause k times as strong as each observed
    column on both exposure and outcome, for every k of `strengths`; and says which k brings it to 0.

    The k is that of the column for which it is least, `value` of the run's estimate and `low` of its interval's end
    next to 0, where another column may be least. The levels of a category are one column. Beside the run's estimate
    stands the coefficient of the linear regression, adjusted likewise. Source: Cinelli & Hazlett (JRSSB 2020, sections
    4.4 and 5.2). Assumption: linear in the columns.
    """

    name: ClassVar[str] = "unobserved common cause"
    limitation: ClassVar[str] = (
        "a hidden cause stronger than every observed column: none here is its measure; the bias is that of a linear "
        "regression over all rows of the arm and of none, and the error of the column's own strength is in no interval"
    )
    strengths: Annotated[tuple[Strength, ...], Field(min_length=1)] = (1.0, 2.0, 3.0)

    def __call__(self, problem: RefutationProblem) -> list[RefuterVerdict]:
        return [self._judge(problem, arm) for arm in range(1, problem.rows.arms + 1)]

    def _judge(self, problem: RefutationProblem, arm: int) -> RefuterVerdict:
        blocks = observed_columns(problem.rows)
        effect, names = linear_effect(problem, arm, list(blocks.values())), list(blocks)
        estimate = float(problem.original.value[arm - 1])
        half_width = float(problem.original.high[arm - 1] - problem.original.low[arm - 1]) / 2
        least, of_interval = (
            np.array([least_strength(effect, column, estimate, half) for column in range(len(names))])
            for half in (0.0, half_width)
        )
        about = f"robustness value {effect.robustness:.3f}"
        if np.isnan(least).all():
            reason = f"no column is left to measure a hidden cause by ({about}); adjust for one"
            return self.verdict(arm, None, *(float("nan"),) * 3, reason)
        order = np.argsort(least, kind="stable")  # nan last
        first, nearest = order[0], min(order, key=lambda column: np.nan_to_num(of_interval[column], nan=np.inf))
        name, strengths = names[first], (float(least[first]), float(of_interval[nearest]))
        if np.isnan(least).any():
            about += f"; no variation left given the others: {', '.join(names[c] for c in order if np.isnan(least[c]))}"
        rule = f"how many times as strong as {name}, the strongest column, a hidden cause must be for 0; {about}"
        other = "" if nearest == first else f" × {names[nearest]}"
        finding = f"0 at {_multiple(strengths[0])} × {name}, its interval at {_multiple(strengths[1])}{other}"
        lines = tuple(
            line for column in order for line in self._scenarios(effect, column, names[column], (estimate, half_width))
        )
        return self.measure(problem, arm, strengths, finding, rule, lines)

    def _scenarios(self, effect: LinearEffect, column: int, name: str, ends: Ends) -> Iterator[Scenario]:
        if np.isnan(effect.exposure_shares[column]):
            return
        linear = effect.value, effect.half_width
        for k, bias, factor in zip(self.strengths, *hidden_bias(effect, column, np.array(self.strengths)), strict=True):
            cause = f"{k:g} × {name}"
            if np.isnan(bias):
                yield Scenario(hidden_cause=cause, note="beyond the bound: no cause is so strong")
                continue
            value, low, high = _move(ends, bias, factor)
            linear_value, linear_low, linear_high = _move(linear, bias, factor)
            yield Scenario(
                hidden_cause=cause,
                value=value,
                low=low,
                high=high,
                linear_value=linear_value,
                linear_low=linear_low,
                linear_high=linear_high,
            )


def linear_effect(problem: RefutationProblem, arm: int, blocks: Sequence[Ints]) -> LinearEffect:
    """Return the effect of an arm by a linear regression on all columns, of the rows under it or under none."""
    rows = problem.rows
    compared = np.isin(rows.treatment, (0, arm))
    treated = (rows.treatment[compared] == arm).astype(np.float64)
    clusters = tuple(axis[compared] for axis in rows.dependence)
    return fit_linear_effect(treated, rows.outcome[compared], rows.features[compared], blocks, clusters, problem.level)


def observed_columns(rows: LearnerData) -> dict[str, Ints]:
    """Return the numbers of the features of each observed column: a category's levels (`region=north`) are one."""
    numbered = [f"column {k}" for k in range(rows.features.shape[1])]
    names = [name.partition("=")[0] for name in (*rows.modifier_names, *rows.control_names) or numbered]
    return {name: np.flatnonzero(np.array(names) == name) for name in dict.fromkeys(names)}


def _move(ends: Ends, bias: float, factor: float) -> tuple[float, float, float]:
    """Return a value moved towards 0 by a bias, past it where the bias is larger, and the ends of its interval.

    These are nan where the cause would leave nothing of the outcome to chance.
    """
    value = float(np.sign(ends[0]) * (abs(ends[0]) - bias))
    half_width = float(ends[1] * factor) if factor > 0 else float("nan")
    return value, value - half_width, value + half_width


def _multiple(k: float) -> str:
    """Write a strength: no more digits than matter.

    >>> _multiple(1.44), _multiple(0.031), _multiple(12345.6), _multiple(float("inf"))
    ('1.4', '0.031', '12,346', 'no multiple')
    """
    if not np.isfinite(k):
        return "no multiple"
    return f"{k:.2g}" if k < 10 else f"{k:,.0f}"
