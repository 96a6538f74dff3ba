"""Maps that make predicted probabilities right on given rows: Platt's, a temperature, a monotone step function."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import Literal

import numpy as np
from scipy.special import expit, logit

from causalrec.errors import DataError
from causalrec.solvers.quasi_newton import minimise
from causalrec.types import Doubles

Calibrator = Callable[[Doubles], Doubles]
FitCalibrator = Callable[[Doubles, Doubles, Doubles], Calibrator]
MAX_STEPS = 1000
LEAST, MOST = 1e-9, 0.999  # probabilities that log-odds are taken of: a single 1 would bend the fit
Method = Literal["platt", "isotonic", "temperature"]


def log_odds(probability: Doubles, most: float = MOST) -> Doubles:
    """Return the log-odds of probabilities; beyond `most` they go on by less than a thousandth: no order is lost.

    >>> log_odds(np.array([0.5, 0.999, 1.0])).round(3).tolist()
    [0.0, 6.907, 6.908]
    """
    odds: Doubles = logit(np.clip(probability, LEAST, most)) + np.maximum(probability - most, 0.0)
    return odds


def platt(predicted: Doubles, label: Doubles, weight: Doubles, most: float = MOST) -> Calibrator:
    """Fit `sigmoid(a logit(p) + b)` by weighted maximum likelihood (Platt 1999, without its smoothed targets).

    Args:
        predicted: probabilities, [N].
        label: 0 or 1, [N].
        weight: of each row, above 0, [N].
        most: the probability whose log-odds are the largest: 0.999 for propensities, which are cut at 1; `1 - LEAST`
            for outcomes, so that sure yes and sure no are treated alike.
    """
    columns = np.column_stack([log_odds(predicted, most), np.ones_like(predicted)])
    slope, shift = _fit_coefficients(columns, label, weight)
    return lambda probability: np.asarray(expit(slope * log_odds(probability, most) + shift))


def temperature(predicted: Doubles, label: Doubles, weight: Doubles) -> Calibrator:
    """Fit `sigmoid(logit(p) / T)` by weighted maximum likelihood."""
    (slope,) = _fit_coefficients(log_odds(predicted)[:, None], label, weight)
    return lambda probability: np.asarray(expit(slope * log_odds(probability)))


def isotonic(predicted: Doubles, label: Doubles, weight: Doubles) -> Calibrator:
    """Fit a monotone step function; where it would be 0 it is half an event among the rows there."""
    from sklearn.isotonic import IsotonicRegression  # a request is refused before it is imported

    model = IsotonicRegression(y_min=0, y_max=1, out_of_bounds="clip").fit(predicted, label, sample_weight=weight)
    never = weight[model.predict(predicted) <= 0].sum()
    least = 0.5 / never if never else 0.0
    return lambda probability: np.maximum(model.predict(probability), least)


def isotonic_at_both_ends(predicted: Doubles, label: Doubles, weight: Doubles) -> Calibrator:
    """Fit a monotone step function; where it would be 0 or 1 half a row of those there is taken to be another.

    Args:
        predicted: probabilities, [N].
        label: 0 or 1, [N].
        weight: of each row, 1 on average, [N].
    """
    from sklearn.isotonic import IsotonicRegression  # a request is refused before it is imported

    model = IsotonicRegression(y_min=0, y_max=1, out_of_bounds="clip").fit(predicted, label, sample_weight=weight)
    steps = model.predict(predicted)
    least, room = (0.5 / max(weight[at_end].sum(), 1.0) for at_end in (steps <= 0, steps >= 1))
    return lambda probability: np.clip(model.predict(probability), least, 1 - room)


METHODS: Mapping[Method, FitCalibrator] = {"platt": platt, "isotonic": isotonic, "temperature": temperature}
OF_OUTCOMES: Mapping[Literal["platt", "isotonic"], FitCalibrator] = {
    "platt": partial(platt, most=1 - LEAST),
    "isotonic": isotonic_at_both_ends,
}


def _fit_coefficients(columns: Doubles, label: Doubles, weight: Doubles) -> Doubles:
    """Return the coefficients of a weighted logistic regression without penalty."""
    share = weight / weight.sum()

    def loss(beta: Doubles) -> tuple[float, Doubles]:
        score = columns @ beta
        slope = columns.T @ (share * (expit(score) - label))
        return float(share @ (np.logaddexp(0, score) - label * score)), slope

    scale = np.abs(columns).T @ (share * label)
    coefficients, convergence = minimise(loss, np.eye(columns.shape[1])[0], scale, max_steps=MAX_STEPS, tolerance=1e-6)
    if (warning := convergence.warning("a calibrator")) is not None:
        raise DataError(f"{warning}; choose the method isotonic")
    return coefficients
