"""Balance of columns: how far the logged rows are from all pairs, before and after they are weighted."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
from scipy import sparse

from causalrec.types import Doubles, Floats

NAMED = 3  # columns that are named as the furthest off
Columns: TypeAlias = Floats | sparse.csr_matrix


@dataclass(frozen=True)
class Balance:
    """Standardised mean differences of the propensity view's columns between logged rows and all pairs.

    `(mean of the logged rows - mean of all pairs) / standard deviation of all pairs`.

    Attributes:
        before: the largest absolute one.
        after: the same, the logged rows weighted by 1/p.
        worst: name, difference before and after of the three columns furthest off after weighting, then of those of
            the three furthest off before it that are not among them.
    """

    before: float
    after: float
    worst: tuple[tuple[str, float, float], ...]


def balance(exposed: Columns, population: Columns, propensity: Floats, names: tuple[str, ...]) -> Balance | None:
    """Compare columns of logged rows to those of all or uniformly drawn pairs; None without a column.

    A column that is constant over the population tells no pairs apart: it counts 0.

    Args:
        exposed: [N,F] columns of the logged rows, dense or sparse.
        population: [M,F] columns of the pairs.
        propensity: [N] of the logged rows.
        names: [F].

    >>> balance(np.float32([[1], [3]]), np.float32([[0], [2]]), np.float32([0.25, 0.75]), ("age",))
    Balance(before=1.0, after=0.5, worst=(('age', 1.0, 0.5),))
    """
    if not names:
        return None
    weight = 1.0 / propensity.astype(np.float64)
    centre, sd = column_mean(population), column_deviation(population)
    before = standardise(column_mean(exposed) - centre, sd)
    after = standardise(weight @ exposed / weight.sum() - centre, sd)
    order = [np.argsort(-np.abs(gaps), kind="stable")[:NAMED] for gaps in (after, before)]
    worst = dict.fromkeys(int(k) for k in np.concatenate(order))
    return Balance(
        before=float(np.abs(before).max()),
        after=float(np.abs(after).max()),
        worst=tuple((names[k], float(before[k]), float(after[k])) for k in worst),
    )


def column_mean(columns: Columns) -> Doubles:
    """Return the mean of each column, float64[F]."""
    return np.asarray(columns.mean(axis=0, dtype=np.float64)).ravel()


def column_deviation(columns: Columns) -> Doubles:
    """Return the standard deviation of each column, float64[F]."""
    if not sparse.issparse(columns):
        return np.asarray(columns.std(axis=0, dtype=np.float64))
    squares = column_mean(sparse.csr_matrix(columns, dtype=np.float64).power(2))
    return np.sqrt(np.maximum(squares - column_mean(columns) ** 2, 0))


def standardise(gap: Doubles, sd: Doubles) -> Doubles:
    """Return differences in standard deviations, float64[F]; 0 of a column that is constant."""
    constant = sd < 1e-9
    return np.where(constant, 0.0, gap / np.where(constant, 1.0, sd))
