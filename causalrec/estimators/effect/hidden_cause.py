"""What a hidden cause, so many times as strong as an observed column, would leave of a linear regression's effect."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from causalrec.errors import DataError
from causalrec.estimators.effect.clustered_variance import critical_values, fewest_by_arm, standard_errors
from causalrec.types import Doubles, Ints

TINY = 1e-12
RIDGE = 1e-9  # of a column's sum of squares: it makes levels of a category, which sum to 1, no reason to stop
LEAST_LEFT = 1e-6  # of a column's sum of squares: below it the others determine the column


@dataclass(frozen=True, kw_only=True, eq=False)
class LinearEffect:
    """The coefficient of an arm in a linear regression on it and the columns, and what each column explains.

    Attributes:
        value: the coefficient, in the outcome's unit.
        standard_error: of independent rows of one variance: it scales the bias.
        half_width: half its interval, of rows that depend within clusters where there are any.
        degrees: of freedom: rows less coefficients.
        exposure_shares: float64[C], r_D: partial R^2 of each column with the arm, given the others; nan of a column
            that has no variation left given the others.
        outcome_shares: float64[C], r_Y: its partial R^2 with the outcome, given the arm and the others; nan as above.
    """

    value: float
    standard_error: float
    half_width: float
    degrees: int
    exposure_shares: Doubles
    outcome_shares: Doubles

    @property
    def robustness(self) -> float:
        """The least share of what is left of both arm and outcome that a hidden cause explains where it makes all of
        the effect: `(sqrt(f^4 + 4 f^2) - f^2) / 2`, `f = |t| / sqrt(df)` (Cinelli & Hazlett, JRSSB 2020, equation 19).
        """
        f2 = self.value**2 / max(self.standard_error**2 * self.degrees, np.finfo(float).tiny)
        return float(2 / (1 + np.sqrt(1 + 4 / f2))) if f2 > 0 else 0.0


def fit_linear_effect(
    treated: Doubles,
    outcome: Doubles,
    features: Doubles,
    blocks: Sequence[Ints],
    clusters: tuple[Ints, ...] = (),
    level: float = 0.95,
) -> LinearEffect:
    """Return the effect of an arm by a linear regression.

    Args:
        treated: float64[N], 1 under the arm, 0 under none.
        outcome: float64[N].
        features: float64[N,P].
        blocks: C, the numbers of the features that each column is: the levels of a category are one column.
        clusters: int64[N] each, at most two axes along which rows depend on each other; none: each row is by itself.
        level: of the interval, a probability.

    Raises DataError where the columns tell the arm, or are as many as the rows.
    """
    exposure_shares, left, _ = _partial_shares(treated, features, blocks)
    outcome_shares, rest, rank = _partial_shares(outcome, np.c_[features, treated], blocks)
    squares, degrees = float(left @ left), len(outcome) - 1 - rank
    if degrees < 2 or squares <= LEAST_LEFT * len(treated) * treated.var():
        why = "the columns tell the arm exactly" if degrees >= 2 else f"{len(outcome)} rows for {rank} columns"
        raise DataError(f"a linear regression of the outcome has no coefficient of the arm: {why}; leave columns out")
    error = float(np.sqrt(rest @ rest / degrees / squares))
    half_width = float(_critical(level, treated, clusters, degrees)) * error
    if clusters:
        influence = (len(left) * left * rest / squares)[:, None]
        half_width *= float(standard_errors(influence, clusters)[0]) / max(error, np.finfo(float).tiny)
    return LinearEffect(
        value=float(left @ outcome) / squares,
        standard_error=error,
        half_width=half_width,
        degrees=degrees,
        exposure_shares=exposure_shares,
        outcome_shares=outcome_shares,
    )


def hidden_shares(k: Doubles, exposure: float, outcome: float) -> tuple[Doubles, Doubles]:
    """Return R2_D and R2_Y, float64[K]: what causes k times as strong as a column explain of what is left of both.

    With r_D and r_Y the column's partial R^2 with exposure and outcome (Cinelli & Hazlett, JRSSB 2020, section 4.4;
    the outcome's bound holds whatever the hidden cause shares with the column once exposure is given):

        R2_D = k r_D / (1 - r_D)        z = k r_D^2 / ((1 - k r_D) (1 - r_D))
        R2_Y = min(1, ((sqrt k + sqrt z) / sqrt(1 - z))^2 r_Y / (1 - r_Y))

    nan where R2_D reaches 1 (z reaches it there too, and k r_D not before): no cause is so strong.

    Args:
        k: float64[K], multiples of the column's strength, 0 or above.
        exposure: r_D.
        outcome: r_Y.

    >>> [float(share.round(3)[0]) for share in hidden_shares(np.array([1.0]), 0.2, 0.5)]
    [0.25, 1.0]
    """
    of_exposure = k * exposure / (1 - exposure)
    with np.errstate(invalid="ignore", divide="ignore"):
        z = k * exposure**2 / ((1 - k * exposure) * (1 - exposure))
        factor = (np.sqrt(k) + np.sqrt(z)) ** 2 / (1 - z)
        of_outcome = np.minimum(1, factor * outcome / max(1 - outcome, TINY))
    beyond = ~(of_exposure < 1)
    return np.where(beyond, np.nan, of_exposure), np.where(beyond, np.nan, of_outcome)


def hidden_bias(effect: LinearEffect, column: int, k: Doubles) -> tuple[Doubles, Doubles]:
    """Return by how much causes k times as strong as a column may move the effect, and what they multiply errors by.

    `se sqrt(df) sqrt(R2_Y R2_D / (1 - R2_D))` and `sqrt((1 - R2_Y) / (1 - R2_D)) sqrt(df / (df - 1))`, float64[K] each;
    nan beyond the bound. Source: Cinelli & Hazlett (JRSSB 2020, equations 13 and 14).
    """
    of_exposure, of_outcome = hidden_shares(k, effect.exposure_shares[column], effect.outcome_shares[column])
    bias = effect.standard_error * np.sqrt(effect.degrees * of_outcome * of_exposure / (1 - of_exposure))
    factor = np.sqrt((1 - of_outcome) / (1 - of_exposure) * effect.degrees / (effect.degrees - 1))
    return bias, factor


def least_strength(effect: LinearEffect, column: int, value: float, half_width: float = 0.0) -> float:
    """Return the least k at which a cause k times as strong as a column brings a value to 0, or an end of its interval.

    0 where the interval holds 0 as it is; inf where no k does; nan of a column without a share.

    Args:
        effect: the linear regression.
        column: number of the column.
        value: of the effect, in the outcome's unit.
        half_width: half its interval; 0: the value alone.
    """
    exposure, outcome = effect.exposure_shares[column], effect.outcome_shares[column]
    if np.isnan(exposure) or min(exposure, outcome) <= 0:
        return float(exposure if np.isnan(exposure) else np.inf)

    def is_reached(k: Doubles) -> Doubles:
        bias, factor = hidden_bias(effect, column, k)
        return np.asarray(bias + factor * half_width >= abs(value))

    near_end = 1 - np.geomspace(0.5, 1e-12, 400)[1:]
    grid = (1 - exposure) / exposure * np.r_[0, np.geomspace(1e-9, 0.5, 400), near_end]
    reached = is_reached(grid)
    first = int(reached.argmax())
    if not first:
        return 0.0 if reached[0] else float("inf")
    low, high = grid[first - 1], grid[first]
    for _ in range(50):
        middle = (low + high) / 2
        low, high = (low, middle) if is_reached(np.array([middle]))[0] else (middle, high)
    return float(high)


def _partial_shares(target: Doubles, features: Doubles, blocks: Sequence[Ints]) -> tuple[Doubles, Doubles, int]:
    """Return the partial R^2 of each block with a target given the others, what all leave of it, and their rank.

    By Wald's form: with G = X'X of centred columns of length 1, a block J explains `b_J' S b_J` more than the others
    do, S the inverse of `(G^-1)_JJ`: what the others leave of the block. nan where that is nothing.
    """
    centred, wanted = features - features.mean(0), target - target.mean()
    length = np.sqrt((centred**2).sum(0))
    columns = centred / np.where(length > LEAST_LEFT * np.sqrt((features**2).sum(0)), length, np.inf)
    gram = columns.T @ columns
    inverse = np.linalg.inv(gram + RIDGE * np.eye(len(gram)))
    coefficients = inverse @ (columns.T @ wanted)
    residual: Doubles = wanted - columns @ coefficients
    unexplained, shares = float(residual @ residual), np.full(len(blocks), np.nan)
    for number, block in enumerate(blocks):
        left = np.linalg.inv(inverse[np.ix_(block, block)])
        if np.linalg.eigvalsh(left).max() > LEAST_LEFT:
            explained = float(coefficients[block] @ left @ coefficients[block])
            shares[number] = explained / max(explained + unexplained, TINY * float(wanted @ wanted))
    return shares, residual, int((np.linalg.eigvalsh(gram) > 10 * RIDGE).sum())


def _critical(level: float, treated: Doubles, clusters: tuple[Ints, ...], degrees: int) -> float:
    from scipy.stats import t

    if not clusters:
        return float(t.ppf((1 + level) / 2, degrees - 1))
    return float(critical_values(level, fewest_by_arm(treated.astype(np.int64), clusters, 1))[0])
