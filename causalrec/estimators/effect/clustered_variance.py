"""Variances of means of rows that depend on each other within clusters, along one axis or two."""

from __future__ import annotations

import numpy as np

from causalrec.types import Doubles, Ints

FEW_CLUSTERS = 30  # below it quantiles are those of t


def mean_covariance(influence: Doubles, clusters: tuple[Ints, ...] = ()) -> Doubles:
    """Return the covariance of the means of K columns of influence values, float64[K,K].

    Without clusters each row is by itself; along one axis `G / (G - 1) sum_g (sum of g)^2 / N^2` over the G clusters;
    along two axes `V_1 + V_2 - V_12`, V_12 clustered by both at once, made positive, and no variance below that of
    either axis. A column that is nan has no variance. Source: Cameron, Gelbach & Miller (JBES 2011).

    Args:
        influence: float64[N,K], each column of mean 0; rows that are 0 in a column are none of its clusters.
        clusters: int64[N] each, at most two axes along which rows depend on each other.

    >>> mean_covariance(np.array([[-1.0], [-1.0], [1.0], [1.0]]), (np.array([7, 7, 8, 8]),))
    array([[1.]])
    """
    undefined = np.isnan(influence).any(axis=0)
    values, codes = np.where(undefined, 0.0, influence), _codes(len(influence), clusters)
    by_axis = [_one_way(values, axis) for axis in codes]
    covariance = by_axis[0]
    if len(clusters) == 2:
        both = _one_way(values, _cross(*codes))
        least = np.maximum(np.diag(by_axis[0]), np.diag(by_axis[1]))
        covariance = _at_least(by_axis[0] + by_axis[1] - both, least)
    covariance[undefined] = covariance[:, undefined] = np.nan
    return covariance


def standard_errors(influence: Doubles, clusters: tuple[Ints, ...] = ()) -> Doubles:
    """Return the standard error of the mean of each column of influence values, float64[K].

    >>> standard_errors(np.array([[1.0], [2.0], [6.0]]) - 3)
    array([1.52752523])
    """
    errors: Doubles = np.sqrt(np.diag(mean_covariance(influence, clusters)))
    return errors


def count_clusters(influence: Doubles, clusters: tuple[Ints, ...] = ()) -> Ints:
    """Return the number of clusters that each column rests on, int64[K]: of two axes that of fewer.

    >>> count_clusters(np.array([[1.0, 0.0], [1.0, 0.0], [1.0, 1.0]]), (np.array([0, 1, 1]),)).tolist()
    [2, 1]
    """
    counts = [_count(influence, codes) for codes in _codes(len(influence), clusters)]
    fewest: Ints = np.min(counts, axis=0)
    return fewest


def fewest_by_arm(treatment: Ints, clusters: tuple[Ints, ...], arms: int) -> Ints:
    """Return the clusters that have rows of an arm, or of none where these are fewer, int64[A]: two means are compared.

    Without clusters, rows; of two axes that of fewer.

    Args:
        treatment: int64[N] in 0..A.
        clusters: int64[N] each, at most two axes.
        arms: A.

    >>> fewest_by_arm(np.array([0, 0, 1, 1]), (np.array([4, 5, 6, 6]),), 1).tolist()
    [1]
    """
    axes = clusters or (np.arange(len(treatment)),)
    by_axis = [[len(np.unique(axis[treatment == arm])) for arm in range(arms + 1)] for axis in axes]
    by_arm: Ints = np.min(np.array(by_axis, np.int64), axis=0)
    fewest: Ints = np.minimum(by_arm[1:], by_arm[0])
    return fewest


def critical_values(level: float, counts: Ints) -> Doubles:
    """Return the two-sided quantile for each number of clusters, float64[K]: normal, or of t with G - 1 degrees of
    freedom below 30 clusters; nan of a single one.

    >>> critical_values(0.95, np.array([100, 5, 1])).round(2)
    array([1.96, 2.78,  nan])
    """
    from scipy.stats import norm, t

    tail = (1 + level) / 2
    of_t = t.ppf(tail, np.maximum(counts - 1, 1))
    values = np.where(counts < FEW_CLUSTERS, of_t, norm.ppf(tail))
    return np.where(counts < 2, np.nan, values)


def _codes(rows: int, clusters: tuple[Ints, ...]) -> list[Ints]:
    """Return the clusters of each axis as 0, 1, ..; rows where there is no axis."""
    if not clusters:
        return [np.arange(rows)]
    return [np.unique(axis, return_inverse=True)[1].astype(np.int64) for axis in clusters]


def _cross(first: Ints, second: Ints) -> Ints:
    pairs = first * (int(second.max(initial=0)) + 1) + second
    codes: Ints = np.unique(pairs, return_inverse=True)[1].astype(np.int64)
    return codes


def _count(influence: Doubles, codes: Ints) -> Ints:
    counted = [np.count_nonzero(np.bincount(codes, column != 0)) for column in influence.T]
    return np.array(counted, np.int64)


def _one_way(values: Doubles, codes: Ints) -> Doubles:
    columns = [np.bincount(codes, column) for column in values.T]
    sums = np.stack(columns, axis=1) if columns else np.zeros((0, 0))
    counts = _count(values, codes)
    scaled = sums * np.sqrt(counts / np.maximum(counts - 1, 1))
    covariance: Doubles = scaled.T @ scaled / max(len(values), 1) ** 2
    return covariance


def _at_least(covariance: Doubles, least: Doubles) -> Doubles:
    """Return the nearest covariance without negative eigenvalues, no variance below `least[K]`."""
    values, vectors = np.linalg.eigh((covariance + covariance.T) / 2)
    positive = (vectors * np.maximum(values, 0)) @ vectors.T
    variance = np.diag(positive)
    scale = np.sqrt(np.divide(np.maximum(variance, least), variance, out=np.ones(len(least)), where=variance > 0))
    positive = positive * np.outer(scale, scale)
    np.fill_diagonal(positive, np.maximum(variance, least))
    return np.asarray(positive)
