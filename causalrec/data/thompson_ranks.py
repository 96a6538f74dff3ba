"""The probability of each arm in each slot under Thompson sampling from Beta posteriors, by quadrature."""

from __future__ import annotations

from typing import Final

import numpy as np
from scipy.special import betainc, betaincinv

from causalrec.types import Doubles

LEVELS: Final = 200  # quantiles of each arm among the points of the quadrature
LEAST: Final = 1e-30  # what stands for a distribution function of 0, by which others are divided


def rank_probabilities(alpha: Doubles, beta: Doubles, slots: int) -> Doubles:
    """Return P(arm's draw is the k-th largest), float64[slots,A] for k = 1, .., slots; rows sum to 1.

    With independent draws `X_j ~ Beta(alpha_j, beta_j)`, `P = integral of P(k - 1 of the others exceed t) dF_a(t)`,
    over a grid of all arms' quantiles. P(m of the others exceed t) is `e_m(odds) prod F_j(t)`, e_m the elementary
    symmetric polynomial of their odds `(1 - F_j) / F_j`, by Newton's identities.

    Args:
        alpha: float64[A], of the arms' Beta distributions.
        beta: float64[A], likewise.
        slots: K, at most three are exact enough.

    Of two arms, uniform on [0, 1] each:

    >>> rank_probabilities(np.ones(2), np.ones(2), 2).round(4).tolist()
    [[0.5, 0.5], [0.5, 0.5]]
    """
    levels = (np.arange(LEVELS) + 0.5) / LEVELS
    grid = np.unique(betaincinv(alpha[:, None], beta[:, None], levels))
    edges = np.concatenate([[0.0], (grid[1:] + grid[:-1]) / 2, [1.0]])
    below = np.clip(betainc(alpha[:, None], beta[:, None], grid), LEAST, 1.0)
    mass = np.diff(betainc(alpha[:, None], beta[:, None], edges), axis=1)
    odds, log_all = (1 - below) / below, np.log(below).sum(0)
    sums = [(odds**power).sum(0) for power in range(1, slots)]
    probabilities = np.empty((slots, len(alpha)))
    for arm in range(len(alpha)):
        others = np.exp(log_all - np.log(below[arm]))
        of_others = [total - odds[arm] ** (power + 1) for power, total in enumerate(sums)]
        for slot, polynomial in enumerate(_elementary(of_others, len(grid))):
            probabilities[slot, arm] = (np.clip(polynomial * others, 0, 1) * mass[arm]).sum()
    return np.asarray(probabilities / probabilities.sum(1, keepdims=True))


def _elementary(sums: list[Doubles], count: int) -> list[Doubles]:
    """Return e_0, e_1, .. from sums of powers 1, 2, .. by Newton's identities."""
    values = [np.ones(count)]
    for degree in range(1, len(sums) + 1):
        terms = [(-1) ** (k - 1) * values[degree - k] * sums[k - 1] for k in range(1, degree + 1)]
        values.append(np.asarray(sum(terms)) / degree)
    return values
