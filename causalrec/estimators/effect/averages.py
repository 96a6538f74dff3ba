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

    With T the arm received, y the outcome, m the means, p the probabilities and mean_w a mean by weights w, which are
    divided by their own sum:

        all        mean[ m_a - m_0 ] + mean_w[ y - m_a ] - mean_v[ y - m_0 ]     w = 1{T=a} / p_a, v = 1{T=0} / p_0
        treated    mean_w[ y - m_0 ] - mean_v[ y - m_0 ]                         w = 1{T=a}, v = 1{T=0} p_a / p_0
        untreated  mean_w[ y - m_a ] - mean_v[ y - m_a ]                         w = 1{T=a} p_0 / p_a, v = 1{T=0}
        overlap    mean_w[ (y - mu) / (t - e) ]                                  w = (t - e)^2 of rows under a or none

    with t = 1{T=a}, e = p_a / (p_0 + p_a) and mu = e m_a + (1 - e) m_0: the effect weighted by e (1 - e).

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
        value[arm - 1], influence[:, arm - 1] = _AVERAGES[target](contrast)
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


def _weighted_mean(values: Doubles, weights: Doubles) -> Estimate:
    """Return `sum w x / sum w` and each row's influence on it, `w (x - mean) / mean(w)`."""
    mean = float(weights @ values / weights.sum())
    return mean, weights * (values - mean) / weights.mean()


def _subtract(first: Estimate, second: Estimate) -> Estimate:
    return first[0] - second[0], first[1] - second[1]


def _of_all(rows: _Contrast) -> Estimate:
    modelled = _weighted_mean(rows.mean - rows.mean_none, np.ones(len(rows.outcome)))
    under_arm = _weighted_mean(rows.outcome - rows.mean, rows.treated / rows.chance)
    under_none = _weighted_mean(rows.outcome - rows.mean_none, rows.untreated / rows.chance_none)
    missed, influence = _subtract(under_arm, under_none)
    return modelled[0] + missed, modelled[1] + influence


def _of_treated(rows: _Contrast) -> Estimate:
    residual, weight = rows.outcome - rows.mean_none, rows.untreated * rows.chance / rows.chance_none
    return _subtract(_weighted_mean(residual, rows.treated.astype(np.float64)), _weighted_mean(residual, weight))


def _of_untreated(rows: _Contrast) -> Estimate:
    residual, weight = rows.outcome - rows.mean, rows.treated * rows.chance_none / rows.chance
    return _subtract(_weighted_mean(residual, weight), _weighted_mean(residual, rows.untreated.astype(np.float64)))


def _of_overlap(rows: _Contrast) -> Estimate:
    """Weights of (t - e)^2, not (t - e) t, so that an error of e is of second order."""
    chance = rows.chance / (rows.chance + rows.chance_none)
    residual = rows.treated - chance  # never 0: probabilities are clipped
    mean = chance * rows.mean + (1 - chance) * rows.mean_none
    return _weighted_mean((rows.outcome - mean) / residual, (rows.treated | rows.untreated) * residual**2)


_AVERAGES: Mapping[EffectTarget, Callable[[_Contrast], Estimate]] = {
    "all": _of_all,
    "treated": _of_treated,
    "untreated": _of_untreated,
    "overlap": _of_overlap,
}
