"""Average effects on a target population, with the influence of each row: pure functions of rows and nuisances."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np

from causalrec.types import Bools, Doubles, EffectTarget, Ints

DESCRIPTIONS: Mapping[EffectTarget, str] = {
    "all": "all rows",
    "treated": "the treated rows",
    "untreated": "the untreated rows",
    "overlap": "rows weighted by the probability of the arm times that of none",
}


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
    """Rows under one arm and under none: y, 1{T=a}, 1{T=0}, m_a, m_0, p_a, p_0, [N] each."""

    outcome: Doubles
    treated: Bools
    untreated: Bools
    mean: Doubles
    mean_none: Doubles
    chance: Doubles
    chance_none: Doubles


def target_average(
    outcome: Doubles, treatment: Ints, means: Doubles, probabilities: Doubles, target: EffectTarget, *, clip: float
) -> TargetAverage:
    """Return the doubly robust average effect of each arm over all rows of the target, whatever arm they received.

    With T the arm received, y the outcome, m the means and p the probabilities:

        all        mean[ m_a - m_0 + 1{T=a} (y - m_a) / p_a - 1{T=0} (y - m_0) / p_0 ]
        treated    mean[ 1{T=a} (y - m_0) - 1{T=0} (p_a / p_0) (y - m_0) ] / P(T=a)
        untreated  mean[ 1{T=0} (m_a - y) + 1{T=a} (p_0 / p_a) (y - m_a) ] / P(T=0)
        overlap    sum (t - e) (y - mu) / sum (t - e)^2 of rows under arm a or none, with e = p_a / (p_0 + p_a),
                   t = 1{T=a}, mu = e m_a + (1 - e) m_0: the effect weighted by e (1 - e)

    Assumption: no unmeasured confounding given what m and p read, and the means or the probabilities are right (both,
    of `overlap`). Source: Robins, Rotnitzky & Zhao (JASA 1994); Hahn (Econometrica 1998); Robinson (Econometrica 1988).

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
    clipped = np.maximum(probabilities, clip)
    value = np.full(means.shape[1] - 1, np.nan)
    influence = np.full((len(outcome), len(value)), np.nan)
    untreated = treatment == 0
    for arm in range(1, means.shape[1]):
        treated = treatment == arm
        if not treated.any() or not untreated.any():
            continue
        contrast = _Contrast(outcome, treated, untreated, means[:, arm], means[:, 0], clipped[:, arm], clipped[:, 0])
        summand, norm = _SUMMANDS[target](contrast)
        value[arm - 1] = summand.sum() / norm.sum()
        influence[:, arm - 1] = (summand - value[arm - 1] * norm) / norm.mean()
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
    chance, chance_none = (np.maximum(probabilities[:, which], clip) for which in (arm, 0))
    of_target: Mapping[EffectTarget, Doubles] = {
        "all": np.ones(len(treatment)),
        "treated": chance,
        "untreated": chance_none,
        "overlap": chance * chance_none / (chance + chance_none),
    }
    received = np.where(treatment == arm, 1 / chance, np.where(treatment == 0, 1 / chance_none, 0.0))
    weights: Doubles = of_target[target] * received
    return weights


def trim_rows(probabilities: Doubles, trim: float) -> Bools:
    """Return which rows have a probability of at least `trim` of every arm, bool[N].

    Source: Crump, Hotz, Imbens & Mitnik (Biometrika 2009).

    >>> trim_rows(np.array([[0.5, 0.5], [0.99, 0.01]]), 0.02)
    array([ True, False])
    """
    return np.asarray(probabilities.min(axis=1) >= trim)


def _of_all(rows: _Contrast) -> tuple[Doubles, Doubles]:
    arm = rows.mean + np.where(rows.treated, (rows.outcome - rows.mean) / rows.chance, 0.0)
    none = rows.mean_none + np.where(rows.untreated, (rows.outcome - rows.mean_none) / rows.chance_none, 0.0)
    return arm - none, np.ones(len(rows.outcome))


def _of_treated(rows: _Contrast) -> tuple[Doubles, Doubles]:
    weight = rows.treated - rows.untreated * rows.chance / rows.chance_none
    return weight * (rows.outcome - rows.mean_none), rows.treated.astype(np.float64)


def _of_untreated(rows: _Contrast) -> tuple[Doubles, Doubles]:
    weight = rows.treated * rows.chance_none / rows.chance - rows.untreated
    return weight * (rows.outcome - rows.mean), rows.untreated.astype(np.float64)


def _of_overlap(rows: _Contrast) -> tuple[Doubles, Doubles]:
    """The denominator is (t - e)^2, not (t - e) t, so that an error of e is of second order."""
    compared, chance = rows.treated | rows.untreated, rows.chance / (rows.chance + rows.chance_none)
    residual = np.where(compared, rows.treated - chance, 0.0)
    mean = chance * rows.mean + (1 - chance) * rows.mean_none
    return residual * (rows.outcome - mean), residual**2


_SUMMANDS: Mapping[EffectTarget, Callable[[_Contrast], tuple[Doubles, Doubles]]] = {
    "all": _of_all,
    "treated": _of_treated,
    "untreated": _of_untreated,
    "overlap": _of_overlap,
}
