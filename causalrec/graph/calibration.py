"""Calibration errors of a propensity: how far it is from how often pairs are exposed."""

from __future__ import annotations

import numpy as np

from causalrec.types import Floats


def calibration_error(predicted: Floats, exposed: Floats, bins: int = 20) -> float:
    """Return the expected calibration error over equally filled bins (probability).

    >>> calibration_error(np.array([0.5, 0.5], np.float32), np.array([0.0, 1.0], np.float32), bins=1)
    0.0
    """
    order = np.argsort(predicted, kind="stable")
    gaps = [
        abs(float(predicted[bin_rows].mean(dtype=np.float64)) - float(exposed[bin_rows].mean(dtype=np.float64)))
        * len(bin_rows)
        for bin_rows in np.array_split(order, bins)
        if len(bin_rows)
    ]
    return sum(gaps) / len(order)


def calibration_error_by_width(predicted: Floats, exposed: Floats, bins: int = 100) -> float:
    """Return the expected calibration error over bins of equal width between 0 and 1 (probability).

    >>> calibration_error_by_width(np.array([0.25, 0.75], np.float32), np.array([0.0, 1.0], np.float32))
    0.25
    """
    bin_index = np.minimum((predicted * bins).astype(np.int64), bins - 1)
    gap = np.bincount(bin_index, weights=predicted.astype(np.float64) - exposed, minlength=bins)
    return float(np.abs(gap).sum()) / len(predicted)
