"""Penalised multinomial logistic regression, to a tolerance relative to its own rows."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.special import log_softmax, softmax

from causalrec.solvers.convergence import TOLERANCE, Convergence
from causalrec.solvers.linear_model import Design
from causalrec.solvers.quasi_newton import minimise
from causalrec.types import Doubles, Ints

MAX_STEPS = 1000


@dataclass(frozen=True)
class MultinomialModel:
    """`P(class a | x)` proportional to `exp(intercept_a + x . coefficients_a)`.

    Attributes:
        intercept: float64[K], not penalised, zero on average.
        coefficients: float64[P,K].
        convergence: how the fit ended.
    """

    intercept: Doubles
    coefficients: Doubles
    convergence: Convergence

    def predict(self, design: Design) -> Doubles:
        """Return probabilities float64[N,K], rows summing to 1."""
        return np.asarray(softmax(np.asarray(design @ self.coefficients) + self.intercept, axis=1))


def fit_multinomial(design: Design, label: Ints, *, l2: float, tolerance: float = TOLERANCE) -> MultinomialModel:
    """Minimise the negative log-likelihood plus `l2 / 2` times the squared coefficients.

    At the optimum `sum_i (p_ia - 1{label_i = a}) x_ij = -l2 c_ja`; the gradient is measured against
    `max(sum_i |x_ij| 1{label_i = a}, 1)`.

    Args:
        design: [N,P], sparse or dense.
        label: int64[N], 0..K-1, each with a row.
        l2: ridge penalty on the coefficients.
        tolerance: on the relative gradient.

    >>> model = fit_multinomial(np.zeros((4, 1)), np.array([0, 1, 1, 1]), l2=1.0)
    >>> model.predict(np.zeros((1, 1))).round(3).tolist()
    [[0.25, 0.75]]
    """
    design = design.astype(np.float64)
    classes, columns = int(label.max()) + 1, design.shape[1]
    received = np.eye(classes)[label]
    counts = received.sum(axis=0)
    scale = np.maximum(np.vstack([abs(design).T @ received, counts]), 1.0)

    def loss(flat: Doubles) -> tuple[float, Doubles]:
        both = flat.reshape(columns + 1, classes)
        logs = log_softmax(design @ both[:-1] + both[-1], axis=1)
        residual = np.exp(logs) - received
        gradient = np.vstack([design.T @ residual + l2 * both[:-1], residual.sum(axis=0)])
        return float(-(received * logs).sum() + 0.5 * l2 * (both[:-1] ** 2).sum()), gradient.ravel()

    shares = np.log(counts / counts.sum())
    start = np.vstack([np.zeros((columns, classes)), shares - shares.mean()])
    point, convergence = minimise(loss, start.ravel(), scale.ravel(), max_steps=MAX_STEPS, tolerance=tolerance)
    both = point.reshape(columns + 1, classes)
    return MultinomialModel(both[-1] - both[-1].mean(), both[:-1], convergence)
