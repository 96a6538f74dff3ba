"""What columns tell of an outcome whatever the treatment: a ridge regression of each row by the other rows."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np

from causalrec.types import Doubles, Floats, Ints

FOLDS = 5
TOGETHER = 1 << 24  # numbers of columns that are held at once
PENALTIES = np.logspace(-4, 3, 15)  # on columns in standard deviations, for a mean squared error
CONSTANT = 1e-6  # a standard deviation that is none
MOST_SPENT = 0.5  # degrees of freedom by row: near 1 generalised cross-validation takes noise for a fit

Columns = Callable[[slice], Floats]  # of some rows, [M,F]


@dataclass(frozen=True)
class Moments:
    """Weighted sums over rows from which a regression follows.

    Attributes:
        gram: float64[F+2,F+2], products of (1, columns, outcome).
        squares: the sum of squared weights.
    """

    gram: Doubles
    squares: float

    def fit(self) -> tuple[float, Doubles]:
        """Return intercept and coefficients [F] of the ridge regression whose penalty generalised cross-validation
        chooses (Golub, Heath & Wahba, Technometrics 1979).
        """
        weight = self.gram[0, 0]
        mean = self.gram[0, 1:] / weight
        both = self.gram[1:, 1:] / weight - np.outer(mean, mean)
        covariance, slope, variance = both[:-1, :-1], both[:-1, -1], both[-1, -1]
        deviation = np.sqrt(np.maximum(covariance.diagonal(), 0))
        scale = np.divide(1.0, deviation, out=np.zeros_like(deviation), where=deviation > CONSTANT)
        values, vectors = np.linalg.eigh(covariance * np.outer(scale, scale))
        values, rotated = np.maximum(values, 0)[:, None], (vectors.T @ (slope * scale))[:, None]
        shrunk = 1 / (values + PENALTIES)
        spent = (values * shrunk).sum(0) * self.squares / weight**2  # degrees of freedom by row
        left = variance - (rotated**2 * (2 * shrunk - values * shrunk**2)).sum(0)
        score = np.where(spent <= MOST_SPENT, left / np.maximum(1 - spent, 1 - MOST_SPENT) ** 2, np.inf)
        coefficients: Doubles = scale * (vectors @ (rotated * shrunk)[:, int(np.argmin(score))])
        return float(mean[-1] - mean[:-1] @ coefficients), coefficients


def centre_outcomes(outcome: Floats, weight: Doubles, columns: Columns, width: int, cluster: Ints) -> Floats:
    """Return outcomes less what a regression without a row's cluster predicts of it, float32[N].

    Ridge regression on the columns in standard deviations, arms pooled, cross-fitted over `FOLDS` folds of whole
    clusters; without columns it is the mean of the other folds. Nothing of a model is read. At outcomes a y + b the
    result is a times what it is at y.

    Args:
        outcome: float32[N].
        weight: float64[N], how much a row counts in the regression.
        columns: gives those of some rows, [M,F].
        width: F.
        cluster: int64[N] from 0 on, whose rows stay in one fold; where there is one, each row is by itself.

    >>> nothing = np.zeros((2, 0), np.float32)
    >>> centre_outcomes(np.array([1.0, 3.0], np.float32), np.ones(2), lambda rows: nothing[rows], 0, np.arange(2))
    array([-2.,  2.], dtype=float32)
    """
    unit = cluster if cluster.any() else np.arange(len(outcome))
    count = int(unit.max(initial=0)) + 1
    folds = min(FOLDS, count)
    if folds < 2:
        return np.zeros(len(outcome), np.float32)
    fold = (np.random.default_rng(0).permutation(count) % folds)[unit]
    base = outcome.astype(np.float64) - outcome.mean(dtype=np.float64)  # for its digits alone
    fits = _fit_without_each(fold, folds, base, weight, columns, width)
    intercepts, coefficients = np.array([fit[0] for fit in fits]), np.stack([fit[1] for fit in fits])
    centred = base - intercepts[fold]
    for rows in _blocks(len(base), width):
        centred[rows] -= np.einsum("nf,nf->n", columns(rows).astype(np.float64), coefficients[fold[rows]])
    result: Floats = centred.astype(np.float32)
    return result


def _fit_without_each(
    fold: Ints, folds: int, outcome: Doubles, weight: Doubles, columns: Columns, width: int
) -> list[tuple[float, Doubles]]:
    gram = np.zeros((folds, width + 2, width + 2))
    for rows in _blocks(len(outcome), width):
        block = np.column_stack([np.ones(len(outcome[rows])), columns(rows).astype(np.float64), outcome[rows]])
        for k in range(folds):
            mine = fold[rows] == k
            gram[k] += (block[mine] * weight[rows][mine, None]).T @ block[mine]
    squares = np.bincount(fold, weight**2, minlength=folds)
    return [Moments(gram.sum(0) - gram[k], float(squares.sum() - squares[k])).fit() for k in range(folds)]


def _blocks(count: int, width: int) -> Iterator[slice]:
    size = max(1, TOGETHER // (width + 2))
    return (slice(first, first + size) for first in range(0, count, size))
