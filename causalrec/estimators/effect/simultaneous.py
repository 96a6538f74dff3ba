"""Intervals of many effects that hold at once, so that they hold for those shown, however these were chosen."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from causalrec.types import Doubles

DRAWS = 20_000  # of the largest |t|
SEED = (1967, 2019)  # of these draws, the same for all; a plain number may be that of the columns in a simulation
MAX_RANK = 50  # directions in which candidates differ; beyond, Sidak's level is hardly wider and far quicker
ESTIMATES_AT_ONCE = 32
SMALLEST_EIGENVALUE = 1e-10  # of correlations: below it columns tell nothing that others do not
CLOSE = 1e-3  # how near the errors that a linear effect would have must be to those told, as a share


@dataclass(frozen=True)
class SimultaneousInterval:
    """Intervals of the effects of one arm that hold for all candidates at once.

    Attributes:
        low: float64[N], the lower ends, in the outcome's unit.
        high: float64[N].
        note: over how many candidates they hold and by which way, a clause; empty of a single one.
    """

    low: Doubles
    high: Doubles
    note: str


def sidak_level(level: float, count: int) -> float:
    """Return `level^(1/count)`: with intervals of that level each, all `count` hold at once with at least `level`.

    Exact where normal estimates are independent, and never too low however they are correlated. Source: Sidak (JASA
    1967), theorem 1.

    >>> round(sidak_level(0.95, 10), 5)
    0.99488
    """
    return float(level ** (1 / count))


def largest_t_level(root: Doubles, level: float) -> float:
    """Return the level of each interval by itself at which all hold at once with probability `level`.

    The quantile of the largest |t| of jointly normal estimates, by draws that are the same at each call; what holds for
    all at once holds for any that are chosen by looking at them. Source: Montiel Olea & Plagborg-Moller (JAE 2019),
    sup-t; Berk et al. (Annals of Statistics 2013), chosen by looking.

    Args:
        root: float64[N,F], rows whose products are the covariances of the N estimates; those of 0 have no error.
        level: a probability.

    >>> bool(abs(largest_t_level(np.eye(2), 0.95) - 0.95**0.5) < 0.005)
    True
    """
    from scipy.stats import norm

    length = np.linalg.norm(root, axis=1)
    directions = (root[length > 0] / length[length > 0, None]).astype(np.float32)
    if not len(directions):
        return level
    draws = np.random.default_rng(SEED).normal(size=(root.shape[1], DRAWS)).astype(np.float32)
    largest = np.zeros(DRAWS, np.float32)
    for block in np.array_split(directions, -(-len(directions) // ESTIMATES_AT_ONCE)):
        np.maximum(largest, np.abs(block @ draws).max(axis=0), out=largest)
    return float(2 * norm.cdf(float(np.quantile(largest, level))) - 1)


def linear_root(columns: Doubles, standard_errors: Callable[[Doubles], Doubles]) -> Doubles | None:
    """Return float64[N,F], rows whose products are the covariances of N effects that are linear in their columns.

    The variance of such an effect is quadratic in the columns, so that its values at a point, and one and two steps off
    it in each direction, tell it everywhere. None where the errors told are others, and where the columns differ in
    more than 50 directions. No N x N matrix is made.

    Args:
        columns: float64[N,D], of the candidates.
        standard_errors: of the effects of any rows of columns, float64[M,D] -> float64[M].
    """
    coordinates, basis = _coordinates(columns)
    rank = len(basis)
    if rank > MAX_RANK:
        return None
    first, second = np.triu_indices(rank)
    steps = np.vstack([np.zeros_like(columns[:1]), basis, basis[first] + basis[second]])
    variances = standard_errors(columns.mean(axis=0) + steps) ** 2
    centre, single, double = variances[0], variances[1 : rank + 1], variances[rank + 1 :]
    covariance = np.zeros((rank + 1, rank + 1))
    covariance[first + 1, second + 1] = (double - single[first] - single[second] + centre) / 2
    covariance[1:, 0] = (single - centre - np.diag(covariance)[1:]) / 2
    covariance[0, 0] = centre
    root = np.column_stack([np.ones(len(columns)), coordinates]) @ _square_root(covariance)
    return root if np.allclose(np.linalg.norm(root, axis=1), standard_errors(columns), rtol=CLOSE, atol=0) else None


def describe_candidates(candidates: int, distinct: int, level: float, jointly: bool) -> str:
    """Say over how many candidates intervals hold, and by which way; nothing of a single one.

    Args:
        candidates: how many there are.
        distinct: how many differ in what the effect reads.
        level: at which all intervals hold.
        jointly: whether by the largest |t|, else by Sidak's level.

    >>> describe_candidates(300, 40, 0.95, False)
    'intervals hold with 95% for all 300 candidates at once, 40 of them distinct, shown or not (Sidak, by their number)'
    """
    if candidates < 2:
        return ""
    if distinct < 2:
        return f"all {candidates:,} candidates have one effect, so that one interval holds for each"
    which = f", {distinct:,} of them distinct," if distinct < candidates else ","
    way = "the largest |t| of their joint covariance" if jointly else "Sidak, by their number"
    return f"intervals hold with {100 * level:g}% for all {candidates:,} candidates at once{which} shown or not ({way})"


def _coordinates(columns: Doubles) -> tuple[Doubles, Doubles]:
    """Return where rows stand [N,K] in the K directions [K,D] in which they differ, each a step of one sd."""
    centred, spread = columns - columns.mean(axis=0), columns.std(axis=0)
    scaled = np.divide(centred, spread, out=np.zeros_like(centred), where=spread > 0)
    variances, vectors = np.linalg.eigh(scaled.T @ scaled / len(columns))
    differ = variances > SMALLEST_EIGENVALUE * max(variances.max(initial=0), 1)
    sd, directions = np.sqrt(variances[differ]), vectors[:, differ]
    return scaled @ directions / sd, (directions * sd).T * spread


def _square_root(covariance: Doubles) -> Doubles:
    """Return the factor of a covariance of which the lower or upper half is given, by its positive eigenvalues."""
    symmetric = covariance + covariance.T - np.diag(np.diag(covariance))
    variances, vectors = np.linalg.eigh(symmetric)
    return np.asarray(vectors * np.sqrt(np.maximum(variances, 0)))
