"""What each round contributes to an estimate, so that one bootstrap and one interval serve every estimator."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from causalrec.types import Doubles


@dataclass(frozen=True, kw_only=True)
class Contributions:
    """The terms of an estimate `mean(base) + sum(numerator) / sum(denominator)`, a row each.

    An estimate without a normaliser of its own has a `base` alone.

    Attributes:
        base: float64[N], terms that are averaged.
        numerator: float64[N], of the normalised part; None: there is none.
        denominator: float64[N], its normaliser.
        weight: float64[N], what a reward is multiplied by; zeros where rewards are only modelled.
    """

    base: Doubles
    weight: Doubles
    numerator: Doubles | None = None
    denominator: Doubles | None = None

    @property
    def terms(self) -> Doubles:
        """Base, numerator and denominator, float64[3,N]; without a normaliser 0 and 1."""
        zero, unit = np.zeros_like(self.base), np.ones_like(self.base)
        return np.stack(
            [
                self.base,
                zero if self.numerator is None else self.numerator,
                unit if self.denominator is None else self.denominator,
            ]
        )

    @property
    def value(self) -> float:
        """The estimate, nan where its normaliser is 0.

        >>> Contributions(
        ...     base=np.array([1.0, 0.0]),
        ...     weight=np.ones(2),
        ...     numerator=np.array([3.0, 1.0]),
        ...     denominator=np.array([1.0, 1.0]),
        ... ).value
        2.5
        """
        base, numerator, denominator = self.terms.sum(1)
        return float(estimate_of_sums(np.array([base, numerator, denominator]), len(self.base)))


def estimate_of_sums(sums: Doubles, rounds: Doubles | float) -> Doubles:
    """Return `base / rounds + numerator / denominator` from sums float64[3,...], nan where the normaliser is 0.

    Args:
        sums: of base, numerator and denominator along the first axis.
        rounds: how many rounds they are over, or their total weight.
    """
    with np.errstate(invalid="ignore", divide="ignore"):
        value: Doubles = sums[0] / rounds + np.where(sums[2] == 0, np.nan, sums[1]) / sums[2]
    return value
