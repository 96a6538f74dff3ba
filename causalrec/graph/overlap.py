"""The overlap report: what the weights rest on, computed before training and kept in the record."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from causalrec.types import Floats


@dataclass(frozen=True)
class Overlap:
    """How well exposure covers the population.

    `clipped` share of logged rows below the objective's clip; `effective_rows` = (sum w)^2 / sum w^2 with w = 1/p;
    `inverse_sum` = sum of 1/p over logged rows, divided by the number of pairs (1 when calibrated); `ece` expected
    calibration error of the propensity against exposure on uniformly drawn pairs (probability); `quantiles` of the
    logged rows' propensity (0, 1, 10, 50, 90, 100 %). `mean_outcome` the logged rows' naive, IPS and SNIPS estimates of
    the exposed mean, in the outcome's unit, beside the truth where it is known.
    """

    clip: float
    clipped: float
    effective_rows: float
    inverse_sum: float
    ece: float | None
    quantiles: tuple[float, ...]
    mean_outcome: dict[str, float]


def overlap(
    propensity: Floats,
    outcome: Floats,
    num_pairs: int,
    *,
    clip: float,
    ece: float | None,
    truth: float | None,
) -> Overlap:
    """Summarise the propensities float32[N] of logged rows and the estimates they give of the exposed mean."""
    weight = 1.0 / propensity.astype(np.float64)
    estimates = {
        "naive": float(outcome.mean(dtype=np.float64)),
        "ips": float((weight * outcome).sum() / num_pairs),
        "snips": float((weight * outcome).sum() / weight.sum()),
    }
    return Overlap(
        clip=clip,
        clipped=float((propensity < clip).mean()),
        effective_rows=float(weight.sum() ** 2 / (weight**2).sum()),
        inverse_sum=float(weight.sum() / num_pairs),
        ece=ece,
        quantiles=tuple(float(q) for q in np.quantile(propensity, [0, 0.01, 0.1, 0.5, 0.9, 1])),
        mean_outcome=estimates if truth is None else {**estimates, "true": truth},
    )


def calibration_error(predicted: Floats, happened: Floats, bins: int = 20) -> float:
    """Return the expected calibration error over equally filled bins (probability).

    >>> calibration_error(np.array([0.5, 0.5], np.float32), np.array([0.0, 1.0], np.float32), bins=1)
    0.0
    """
    order = np.argsort(predicted, kind="stable")
    gaps = [
        abs(float(predicted[part].mean(dtype=np.float64)) - float(happened[part].mean(dtype=np.float64))) * len(part)
        for part in np.array_split(order, bins)
        if len(part)
    ]
    return sum(gaps) / len(order)
