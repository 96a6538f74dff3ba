"""Average effects on a target population, with the influence of each row: pure functions of rows and nuisances."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from causalrec.types import Bools, Doubles, EffectTarget, Ints

DESCRIPTIONS: Mapping[EffectTarget, str] = {
    "all": "all rows",
    "treated": "the treated rows",
    "untreated": "the untreated rows",
    "overlap": "rows weighted by the probability of the arm times that of none",
}


TINY = 1e-300  # what a sum of nothing is divided by
Estimate = tuple[float, Doubles]  # a value, and each row's influence on it


@dataclass(frozen=True)
class TargetAverage:
    """The average effect of each arm on a target population.

    Attributes:
        value: float64[A], in the outcome's unit; nan where no row received the arm, or none.
        influence: float64[N,A], of each row on the value: the value's error is about the mean of these.
    """

    value: Doubles
    influence: Doubles


@dataclass(frozen=True)
class _Contrast:
    """Rows under one arm and under none: y, 1{T=a}, 1{T=0}, m_a, m_0, p_a, p_0, and the last two of at least the clip,
    [N] each: what is divided by is clipped, what is multiplied by is not.
    """

    outcome: Doubles
    treated: Bools
    untreated: Bools
    mean: Doubles
    mean_none: Doubles
    chance: Doubles
    chance_none: Doubles
    divisor: Doubles
    divisor_none: Doubles

    @property
    def share(self) -> Doubles:
        """e: the probability of the arm among the arm and none."""
        return self.chance / np.maximum(self.chance + self.chance_none, TINY)


def target_average(
    outcome: Doubles, treatment: Ints, means: Doubles, probabilities: Doubles, target: EffectTarget, *, clip: float
) -> TargetAverage:
    """Return the doubly robust average effect of each arm over all rows of the target, whatever arm they received.

    With T the arm received, y the outcome, m the means, p the probabilities and mean_w a mean by weights w, which are
    divided by their own sum:

        all        mean[ m_a - m_0 ] + mean_w[ y - m_a ] - mean_v[ y - m_0 ]     w = 1{T=a} / p_a, v = 1{T=0} / p_0
        treated    mean_w[ y - m_0 ] - mean_v[ y - m_0 ]                         w = 1{T=a}, v = 1{T=0} p_a / p_0
        untreated  mean_w[ y - m_a ] - mean_v[ y - m_a ]                         w = 1{T=a} p_0 / p_a, v = 1{T=0}
        overlap    mean_w[ (y - mu) / (t - e) ]                                  w = (t - e)^2 of rows under a or none

    with t = 1{T=a}, e = p_a / (p_0 + p_a) and mu = e m_a + (1 - e) m_0: the effect weighted by e (1 - e).

    Assumption: no unmeasured confounding given what m and p read, and the means or the probabilities are right (of
    `overlap` the probabilities). Source: Robins, Rotnitzky & Zhao (JASA 1994); Hahn (Econometrica 1998); Robinson
    (Econometrica 1988).

    Args:
        outcome: float64[N], y.
        treatment: int64[N], T in 0..A.
        means: float64[N,A+1], m: the mean outcome under each arm.
        probabilities: float64[N,A+1], p: of each arm.
        target: the rows that the effect is averaged over.
        clip: the least probability divided by.

    >>> y, t, m = np.array([3.0, 1.0]), np.array([1, 0]), np.array([[1.0, 2.0]] * 2)
    >>> target_average(y, t, m, np.full((2, 2), 0.5), "all", clip=0.01).value
    array([2.])
    """
    value = np.full(means.shape[1] - 1, np.nan)
    influence = np.full((len(outcome), len(value)), np.nan)
    for arm in range(1, means.shape[1]):
        rows = _contrast(outcome, treatment, means, probabilities, arm, clip)
        if rows.treated.any() and rows.untreated.any():
            value[arm - 1], influence[:, arm - 1] = _average(rows, target)
    return TargetAverage(value, influence)


def target_weights(treatment: Ints, probabilities: Doubles, arm: int, target: EffectTarget, *, clip: float) -> Doubles:
    """Return how much each row's outcome counts for the target, float64[N]: 0 of rows under another arm.

    Args:
        treatment: int64[N], T in 0..A.
        probabilities: float64[N,A+1], of each arm.
        arm: that is compared with none.
        target: the rows that the effect is averaged over.
        clip: the least probability divided by.

    >>> target_weights(np.array([0, 1]), np.array([[0.8, 0.2]] * 2), 1, "treated", clip=0.01)
    array([0.25, 1.  ])
    """
    rows = _contrast(np.zeros(len(treatment)), treatment, np.zeros_like(probabilities), probabilities, arm, clip)
    of_arm, of_none = _weights(rows, target)
    return of_arm + of_none


def trim_rows(probabilities: Doubles, trim: float) -> Bools:
    """Return which rows have a probability of at least `trim` of every arm, bool[N].

    Source: Crump, Hotz, Imbens & Mitnik (Biometrika 2009).

    >>> trim_rows(np.array([[0.5, 0.5], [0.99, 0.01]]), 0.02)
    array([ True, False])
    """
    return np.asarray(probabilities.min(axis=1) >= trim)


def _contrast(
    outcome: Doubles, treatment: Ints, means: Doubles, probabilities: Doubles, arm: int, clip: float
) -> _Contrast:
    clipped = np.maximum(probabilities, clip)
    by_arm = [columns[:, which] for columns in (means, probabilities, clipped) for which in (arm, 0)]
    return _Contrast(outcome, treatment == arm, treatment == 0, *by_arm)


def _weights(rows: _Contrast, target: EffectTarget) -> tuple[Doubles, Doubles]:
    """Return the weights of the rows under the arm and of those under none, float64[N] each, 0 of all others."""
    arm, none = rows.treated.astype(np.float64), rows.untreated.astype(np.float64)
    if target == "treated":
        return arm, none * rows.chance / rows.divisor_none
    if target == "untreated":
        return arm * rows.chance_none / rows.divisor, none
    if target == "overlap":
        return arm * (1 - rows.share), none * rows.share
    return arm / rows.divisor, none / rows.divisor_none


def _average(rows: _Contrast, target: EffectTarget) -> Estimate:
    if target == "overlap":
        return _overlap_average(rows)
    of_arm, of_none = _weights(rows, target)
    mean = rows.mean_none if target == "treated" else rows.mean
    mean_none = rows.mean if target == "untreated" else rows.mean_none
    modelled = _weighted_mean(mean - mean_none, np.ones(len(mean)))  # 0 but of all rows
    under_arm, under_none = (
        _weighted_mean(rows.outcome - mean, of_arm),
        _weighted_mean(rows.outcome - mean_none, of_none),
    )
    return modelled[0] + under_arm[0] - under_none[0], modelled[1] + under_arm[1] - under_none[1]


def _overlap_average(rows: _Contrast) -> Estimate:
    """The denominator is (t - e)^2, not (t - e) t, so that an error of e is of second order."""
    residual = np.where(rows.treated | rows.untreated, rows.treated - rows.share, 0.0)
    product = residual * (rows.outcome - rows.share * rows.mean - (1 - rows.share) * rows.mean_none)
    square = residual**2
    value = float(product.sum() / square.sum()) if square.any() else float("nan")
    return value, (product - value * square) / max(float(square.mean()), TINY)


def _weighted_mean(values: Doubles, weights: Doubles) -> Estimate:
    """Return `sum w x / sum w` and each row's influence on it, `w (x - mean) / mean(w)`; nan without a weight."""
    mean = float(weights @ values / weights.sum()) if weights.any() else float("nan")
    return mean, weights * (values - mean) / max(float(weights.mean()), TINY)
