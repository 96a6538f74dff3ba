"""The variance of any statistic of rows that depend on each other along one axis or two, by leaving groups out."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from causalrec.types import Doubles, Ints


def dependence_axes(clusters: Sequence[Ints]) -> tuple[Ints, ...]:
    """Return the cluster of each row along one axis, or along two and then their intersection, int64[N] from 0 on each.

    Rows depend where they share a cluster of any axis. An axis of a single cluster tells nothing of a variance and goes
    where there is another; one whose clusters lie within those of the other goes too (its rows share these anyway).

    Args:
        clusters: int64[N] each, one axis or two.

    >>> user, item = np.array([3, 3, 5, 7]), np.array([0, 1, 0, 1])
    >>> [axis.tolist() for axis in dependence_axes([user, item])]
    [[0, 0, 1, 2], [0, 1, 0, 1], [0, 1, 2, 3]]
    >>> [axis.tolist() for axis in dependence_axes([user, np.array([0, 0, 0, 1])])]
    [[0, 0, 0, 1]]
    """
    axes = [np.asarray(np.unique(axis, return_inverse=True)[1], np.int64).reshape(-1) for axis in clusters]
    several = [axis for axis in axes if axis.any()] or axes[:1]
    if len(several) == 1:
        return tuple(several)
    first, second = several
    both = np.asarray(np.unique(first * (second.max() + 1) + second, return_inverse=True)[1], np.int64).reshape(-1)
    if both.max() == first.max():
        return (second,)
    return (first,) if both.max() == second.max() else (first, second, both)


def two_way_variance(jackknife: Doubles) -> float:
    """Return the variance of a statistic over rows that share users and items, from its leave-groups-out values [3,G].

    `V = V_user + V_item - V_row` (Cameron, Gelbach & Miller, JBES 2011, eq. 2.7), each the grouped jackknife
    `(G-1)/G * sum((d_g - mean d)^2)`; at least the larger of V_user and V_item, as a difference of estimates may fall
    below. Rows that depend along one axis alone have its values three times. Assumption: rows that share neither a user
    nor an item are independent.

    >>> two_way_variance(np.array([[0.0, 2.0], [0.0, 4.0], [0.0, 2.0]]))
    4.0
    """
    groups = jackknife.shape[1]
    centred = jackknife - jackknife.mean(axis=1, keepdims=True)
    user, item, row = ((groups - 1) / groups * np.square(centred).sum(axis=1)).tolist()
    return float(max(user + item - row, user, item))


def jackknife_bias(value: float, jackknife: Doubles) -> float:
    """Return by how much a statistic of these groups is expected above that of unlimited rows, from its
    leave-groups-out values [3,G]: `(G - 1) (mean d - value)`.

    Right where the expectation over n rows is its limit plus a term in 1/n; where it moves otherwise with n (the share
    of items that some user is shown), it tells the direction. Source: Quenouille (Biometrika 1956).

    >>> jackknife_bias(3.0, np.array([[2.0, 2.5]] * 3))
    -0.75
    """
    return float((jackknife.shape[1] - 1) * (jackknife[0].mean() - value))


def t_interval(value: float, jackknife: Doubles, level: float) -> tuple[float, float]:
    """Return the interval of a statistic by t quantiles of G - 1 degrees of freedom; nan where its variance is unknown.

    Args:
        value: of all rows.
        jackknife: its leave-groups-out values [3,G].
        level: of the interval.

    >>> low, high = t_interval(3.0, np.array([[0.0, 2.0]] * 3), 0.5)  # a standard error of 1, and 1 degree of freedom
    >>> round(low, 6), round(high, 6)
    (2.0, 4.0)
    """
    reach = float(_t_quantiles(np.array([(1 + level) / 2]), jackknife)[0])
    return value - reach, value + reach


def t_replicates(value: float, jackknife: Doubles, count: int) -> Doubles:
    """Return evenly spaced quantiles of the same distribution, float64[count], in the place of bootstrap replicates;
    those of seeds are averaged as if they erred together.
    """
    return value + _t_quantiles((np.arange(count) + 0.5) / count, jackknife)


def _t_quantiles(probabilities: Doubles, jackknife: Doubles) -> Doubles:
    from scipy.special import stdtrit

    groups = jackknife.shape[1]
    if groups < 2 or not np.isfinite(jackknife).all():
        return np.full(len(probabilities), np.nan)
    quantiles: Doubles = stdtrit(groups - 1, probabilities)
    return quantiles * math.sqrt(two_way_variance(jackknife))
