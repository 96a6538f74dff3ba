"""How an iterative fit ended, told relative to its own problem: a tolerance must mean the same at every size."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

TOLERANCE = 1e-4  # largest gradient of a coefficient, over the rows' own sum in its column


@dataclass(frozen=True)
class Convergence:
    """How an iterative fit ended.

    Attributes:
        steps: number of steps of the outer iteration.
        gradient: largest `|gradient_j| / scale_j` over the coefficients; `scale_j` is what the column's rows sum to.
        reason: why it stopped.
        tolerance: what `gradient` had to reach.
    """

    steps: int
    gradient: float
    reason: str
    tolerance: float = TOLERANCE

    @property
    def converged(self) -> bool:
        """Whether the relative gradient is within the tolerance."""
        return self.gradient <= self.tolerance

    def warning(self, who: str) -> str | None:
        """Return one line where the fit of `who` did not converge.

        >>> Convergence(500, 0.02, "step limit").warning("propensity=logistic")
        'propensity=logistic did not converge: relative gradient 0.02 after 500 steps (step limit), above 0.0001'
        """
        if self.converged:
            return None
        return (
            f"{who} did not converge: relative gradient {self.gradient:.2g} after {self.steps} steps ({self.reason}), "
            f"above {self.tolerance:g}"
        )


def worst(fits: Sequence[Convergence]) -> Convergence | None:
    """Return the fit that is furthest from its tolerance; None of none."""
    return max(fits, key=lambda fit: fit.gradient / fit.tolerance, default=None)
