"""Average effects of groups of rows: simultaneous intervals, and a test of their equality."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from causalrec.estimators.effect.adjusted_rows import AdjustedRows
from causalrec.estimators.effect.average_effect import AverageEffect, AverageRequest, doubly_robust_description
from causalrec.estimators.effect.clustered_variance import (
    FEW_CLUSTERS,
    critical_values,
    mean_covariance,
)
from causalrec.estimators.effect.simultaneous import largest_t_level
from causalrec.types import Bools, Doubles, Ints


@dataclass(frozen=True, kw_only=True)
class GroupAverages:
    """The average effect of each arm in each group.

    Attributes:
        averages: by group; their intervals hold for all groups at once.
        equality: float64[A], the p-value of the test that the effect is the same in all groups; nan of fewer than two.
        warnings: what must be read with them, a line each.
    """

    averages: Mapping[str, AverageEffect]
    equality: Doubles
    warnings: tuple[str, ...]


def group_averages(rows: AdjustedRows, members: Mapping[str, Bools], request: AverageRequest) -> GroupAverages:
    """Return the average effects of groups of rows, of which a row may be in several.

    Each group's is that of its own rows with the nuisances of all. Intervals hold for all groups of an arm at once: the
    quantile of the largest deviation of normal estimates with the estimated correlations (sup-t). Equality: Wald's test
    of the differences, by F where there are few clusters. A group without a row of the arm, or of none, has no average.
    Source: Montiel Olea & Plagborg-Møller (JAE 2019).

    Args:
        rows: with what nuisances say of them.
        members: bool[N] of each group, by its name.
        request: the target and the level; `included` is not read.
    """
    names, arms = list(members), rows.means.shape[1] - 1
    values, influence, clusters = _estimates(rows, list(members.values()), request)
    columns = np.empty((4, len(names), arms))  # value, error, low, high
    equality, small = np.full(arms, np.nan), np.zeros(len(names), bool)
    for arm in range(arms):
        covariance = mean_covariance(influence[arm], rows.clusters)
        counts = clusters[:, arm]
        error = np.sqrt(np.diag(covariance))
        half_width = critical_values(simultaneous_level(covariance, request.level), counts) * error
        columns[:, :, arm] = values[:, arm], error, values[:, arm] - half_width, values[:, arm] + half_width
        equality[arm] = equal_effects_p(values[:, arm], covariance, counts)
        small = np.asarray(small | (counts < FEW_CLUSTERS) & np.isfinite(values[:, arm]))
    averages = {
        name: AverageEffect(
            *(columns[0, k], columns[1, k], columns[2, k], columns[3, k]),
            count=int(members[name].sum()),
            description=doubly_robust_description(request.target),
        )
        for k, name in enumerate(names)
    }
    return GroupAverages(averages=averages, equality=equality, warnings=_warnings(names, values, small))


def simultaneous_level(covariance: Doubles, level: float) -> float:
    """Return the level of each interval by itself at which all hold at once with probability `level`.

    >>> bool(abs(simultaneous_level(np.eye(2), 0.95) - 0.95**0.5) < 0.005)
    True
    """
    defined = np.flatnonzero(np.isfinite(np.diag(covariance)) & (np.diag(covariance) > 0))
    if len(defined) < 2:
        return level
    error = np.sqrt(np.diag(covariance)[defined])
    correlation = covariance[np.ix_(defined, defined)] / np.outer(error, error)
    eigenvalues, vectors = np.linalg.eigh(correlation)
    return largest_t_level(vectors * np.sqrt(np.maximum(eigenvalues, 0)), level)


def equal_effects_p(values: Doubles, covariance: Doubles, counts: Ints) -> float:
    """Return the p-value of Wald's test that values [K] are equal; nan of fewer than two that have an error.

    Args:
        values: float64[K]; those that are nan are left out.
        covariance: float64[K,K], of the values.
        counts: int64[K], clusters that each rests on: where one has fewer than 30, the test is F's with G - 1.

    >>> round(equal_effects_p(np.array([0.0, 1.96 * 2**0.5]), np.eye(2), np.array([99, 99])), 3)
    0.05
    """
    from scipy.stats import chi2, f

    defined = np.flatnonzero(np.isfinite(values) & (np.diag(covariance) > 0))
    if len(defined) < 2:
        return float("nan")
    contrast = np.eye(len(defined))[1:] - np.eye(len(defined))[:1]
    difference = contrast @ values[defined]
    variance = contrast @ covariance[np.ix_(defined, defined)] @ contrast.T
    rank = int(np.linalg.matrix_rank(variance, hermitian=True))
    statistic = float(difference @ np.linalg.pinv(variance, hermitian=True) @ difference)
    fewest = int(counts[defined].min())
    if fewest >= FEW_CLUSTERS:
        return float(chi2.sf(statistic, rank))
    return float(f.sf(statistic / rank, rank, max(fewest - 1, 1)))


def _estimates(rows: AdjustedRows, members: list[Bools], request: AverageRequest) -> tuple[Doubles, Doubles, Ints]:
    """Return values float64[K,A], influence values float64[A,N,K] on them, and clusters int64[K,A] they rest on."""
    arms = rows.means.shape[1] - 1
    values, influence = np.full((len(members), arms), np.nan), np.zeros((arms, len(rows), len(members)))
    clusters = np.zeros((len(members), arms), np.int64)
    for k, group in enumerate(members):
        if not group.any():
            influence[:, 0, k] = np.nan
            continue
        group_rows = rows.take(group)
        estimate = group_rows.target_average(request)
        values[k], clusters[k] = estimate.value, group_rows.count_clusters(estimate.influence)
        influence[:, group, k] = estimate.influence.T * (len(rows) / group.sum())
    return values, influence, clusters


def _warnings(names: list[str], values: Doubles, small: Bools) -> tuple[str, ...]:
    lines, arms = [], values.shape[1]
    if few := ", ".join(names[k] for k in np.flatnonzero(small)):
        lines.append(f"few clusters: fewer than {FEW_CLUSTERS} in {few}, so that quantiles are those of t")
    for arm in range(arms):
        if lacking := ", ".join(names[k] for k in np.flatnonzero(np.isnan(values[:, arm]))):
            whose = f"arm {arm + 1}" if arms > 1 else "the arm"
            lines.append(f"{whose}, or none, has no row in {lacking}: there is no average effect of it")
    return tuple(lines)
