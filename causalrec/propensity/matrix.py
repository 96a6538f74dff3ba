"""1-bit matrix completion of exposure under a low nuclear norm."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Annotated

import numpy as np
from pydantic import Field
from scipy.special import expit, logit

from causalrec.data.log import InteractionLog
from causalrec.data.sampler.rows import require_unexposed
from causalrec.errors import DataError
from causalrec.features.views import FeatureMatrix
from causalrec.propensity.base import AbstractPropensity, check_propensity
from causalrec.solvers.convergence import Convergence
from causalrec.solvers.fit_report import FitReport
from causalrec.types import Count, Doubles, Floats, Steps

CURVATURE = 0.25  # the logistic loss bends no more, and the splitting converges fast at that step


@dataclass(kw_only=True)
class Matrix(AbstractPropensity):
    """`p(u, i) = sigmoid(A[u, i])`, A the likeliest of `|A|_* <= tau sqrt(U I)` and `|A[u, i]| <= gamma`.

    Solved by the alternating direction method of multipliers on a dense U x I array, with a singular value
    decomposition in each step.

    Attributes:
        tau: bound of the nuclear norm.
        gamma: bound of each entry.
        centred: both bounds are on `A - logit(rate)`: as published, tau 1 cannot hold the low rate of a sparse log.
        tolerance: ends the search once A moves by less (root mean square, logits).
        iterations: most steps.
        max_pairs: a log of more pairs is refused.

    Assumption: the logits of exposure have a low nuclear norm. Source: Ma & Chen (NeurIPS 2019; tau 1 and gamma 3 as in
    their code), after Davenport et al. (2014). Raises DataError on a userless or larger log, or a full one.
    """

    tau: Annotated[float, Field(gt=0)] = 1.0
    gamma: Annotated[float, Field(gt=0)] = 3.0
    centred: bool = False
    tolerance: Annotated[float, Field(gt=0)] = 1e-3
    iterations: Steps = 500
    max_pairs: Count = 4_000_000
    _probability: Floats = field(init=False, repr=False)
    _convergence: Convergence = field(init=False, repr=False)

    def fit(
        self, log: InteractionLog, features: FeatureMatrix, randomised_sample: InteractionLog | None = None
    ) -> None:
        if log.user is None:
            raise DataError("propensity=matrix: the log has no users; choose propensity=logged or popularity")
        if log.pool is not None:
            raise DataError(
                "propensity=matrix: completes the matrix of all users and items, of which the split trains on a draw; "
                "choose propensity=mf or logistic"
            )
        if log.num_pairs > self.max_pairs:
            raise DataError(
                f"propensity=matrix: {log.num_pairs} pairs are more than propensity.max_pairs={self.max_pairs}; "
                f"raise it where {log.num_pairs * 48 / 1e9:.1f} GB fit into memory, or choose propensity=mf"
            )
        require_unexposed(log)
        seen = np.zeros((log.num_users, log.num_items))
        seen[log.user, log.item] = 1.0
        offset = float(logit(seen.mean())) if self.centred and seen.min() == 0 else 0.0
        self._probability = expit(self._solve(seen, offset)).astype(np.float32)

    @property
    def report(self) -> FitReport:
        return FitReport(convergence=self._convergence)

    def predict(self, log: InteractionLog) -> Floats:
        if log.user is None:
            raise DataError("propensity=matrix: the log has no users; choose propensity=logged or popularity")
        return check_propensity(self._probability[log.user, log.item], "matrix")

    def columns_read(self, view: tuple[str, ...]) -> tuple[str, ...]:
        return ("item", "user")

    def _solve(self, seen: Doubles, offset: float) -> Doubles:
        """Return logits [U,I] that maximise the likelihood within both bounds."""
        radius = self.tau * np.sqrt(seen.size)
        bounded = low_rank = dual = np.zeros_like(seen)  # copies that obey one bound each, and what they disagree in
        steps = 0
        for _ in range(self.iterations):
            previous = bounded
            bounded = np.clip(_likeliest(seen, offset, low_rank - dual, previous), -self.gamma, self.gamma)
            low_rank = nearest_of_norm(bounded + dual, radius)
            dual = dual + bounded - low_rank
            steps += 1
            moved = float(np.sqrt(np.mean((bounded - previous) ** 2) + np.mean((bounded - low_rank) ** 2)))
            if moved < self.tolerance:
                break
        reason = "within tolerance" if moved < self.tolerance else "step limit"
        self._convergence = Convergence(steps, moved, reason, self.tolerance)
        return offset + np.clip(low_rank, -self.gamma, self.gamma)


def _likeliest(seen: Doubles, offset: float, centre: Doubles, start: Doubles) -> Doubles:
    """Return argmin over x[U,I] of `log(1 + exp(x + offset)) - seen x + CURVATURE / 2 (x - centre)^2` (Newton)."""
    x = start
    for _ in range(4):
        probability = expit(x + offset)
        x = x - (probability - seen + CURVATURE * (x - centre)) / (probability * (1 - probability) + CURVATURE)
    return x


def nearest_of_norm(matrix: Doubles, radius: float) -> Doubles:
    """Return the nearest matrix whose singular values sum to at most `radius` (they are projected on the simplex).

    >>> nearest_of_norm(np.diag([3.0, 1.0]), 2.0).round(6).tolist()
    [[2.0, 0.0], [0.0, 0.0]]
    """
    left, values, right = np.linalg.svd(matrix, full_matrices=False)
    if values.sum() <= radius:
        return matrix
    excess = (np.cumsum(values) - radius) / np.arange(1, len(values) + 1)
    shrunk = np.maximum(values - excess[np.flatnonzero(values > excess)[-1]], 0.0)
    nearest: Doubles = (left * shrunk) @ right
    return nearest
