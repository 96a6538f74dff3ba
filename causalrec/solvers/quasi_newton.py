"""Smooth minimisation without a Hessian (L-BFGS), stopped by the gradient relative to each coefficient's own scale."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from scipy.optimize import minimize

from causalrec.solvers.convergence import TOLERANCE, Convergence
from causalrec.types import Doubles

MEMORY = 20  # pairs of steps and gradients that are kept


def minimise(
    loss: Callable[[Doubles], tuple[float, Doubles]],
    start: Doubles,
    scale: Doubles,
    *,
    max_steps: int,
    tolerance: float = TOLERANCE,
) -> tuple[Doubles, Convergence]:
    """Return the point where `max_j |g_j| / scale_j` is within the tolerance, or the last of `max_steps`.

    Args:
        loss: returns the loss and its gradient, float64[P].
        start: float64[P].
        scale: float64[P], above 0: what a coefficient's rows sum to. Steps are taken in `sqrt(scale)` units.
        max_steps: most steps.
        tolerance: on the relative gradient.

    >>> target = np.array([1.0, -2.0])
    >>> point, convergence = minimise(
    ...     lambda x: (float((x - target) @ (x - target)), 2 * (x - target)), np.zeros(2), np.ones(2), max_steps=10
    ... )
    >>> point.round(3).tolist(), convergence.converged
    ([1.0, -2.0], True)
    """
    unit = np.sqrt(scale)
    gradients: dict[bytes, Doubles] = {}

    def of_scaled(scaled: Doubles) -> tuple[float, Doubles]:
        value, gradient = loss(scaled / unit)
        gradients.clear()
        gradients[scaled.tobytes()] = gradient
        return value, gradient / unit

    def relative_gradient(scaled: Doubles) -> float:
        gradient = gradients.get(scaled.tobytes())
        return float((np.abs(loss(scaled / unit)[1] if gradient is None else gradient) / scale).max())

    def stop_when_converged(scaled: Doubles) -> None:
        if relative_gradient(scaled) <= tolerance:
            raise StopIteration

    options = {"maxiter": max_steps, "maxfun": 20 * max_steps, "maxcor": MEMORY, "ftol": 0.0, "gtol": 0.0}
    result = minimize(
        of_scaled, start * unit, method="L-BFGS-B", jac=True, options=options, callback=stop_when_converged
    )
    relative = relative_gradient(result.x)
    if relative <= tolerance:
        reason = "within tolerance"
    else:
        reason = "step limit" if result.nit >= max_steps else "no step lowers the loss"
    return result.x / unit, Convergence(int(result.nit), relative, reason, tolerance)
