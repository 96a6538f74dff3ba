"""What a propensity's errors come to: imbalance, and the variance and the bias of a doubly robust estimate."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from causalrec.graph.column_balance import Columns, column_deviation, column_mean, standardise
from causalrec.types import Doubles, Floats


@dataclass(frozen=True)
class LearnedPropensity:
    """Errors of a propensity that a network has learnt beside the outcome, as of the fitted one in `Overlap`.

    Attributes:
        ece: calibration error over equally filled bins (probability).
        ece_width: the same over bins of equal width.
        bmse: squared imbalance, as `balance_mse`.
        variance: of a doubly robust estimate, as `estimate_variance`; None where no errors are imputed.
        bias: of a doubly robust estimate, as `estimate_bias`; None where the truth is not known, or no errors are
            imputed.
    """

    ece: float
    ece_width: float
    bmse: float
    variance: float | None = None
    bias: float | None = None


def balance_mse(predicted: Floats, exposed: Floats, columns: Columns) -> float:
    """Return the mean over k of `(mean of (o/p - (1-o)/(1-p)) phi_k)^2`; phi: 1, and columns in standard deviations.

    It is 0 in expectation, but for noise of order 1/n, where p is the true propensity given what the columns are of.
    Source: UPO (AAAI 2026), after Li et al. (ICML 2023, "Propensity matters", eq. 8); the paper sums over the entries
    of an embedding, here it is the mean over columns, so that views of any size compare.

    Args:
        predicted: float32[M], p of pairs drawn uniformly, below 1 where they are not exposed.
        exposed: float32[M], o in {0, 1}.
        columns: [M,F] of the pairs, dense or sparse; one that is constant counts 0.

    >>> balance_mse(np.float32([0.5, 0.5]), np.float32([1, 0]), np.float32([[1], [-1]]))  # sums 0 and 2 + 2
    2.0
    """
    p = predicted.astype(np.float64)
    contrast = np.where(exposed > 0, 1 / p, -1 / np.maximum(1 - p, 1e-12))
    mean, sd = column_mean(columns), column_deviation(columns)
    moments = standardise(np.asarray(contrast @ columns).ravel() / len(p) - contrast.mean() * mean, sd)
    return float(np.mean(np.append(moments, contrast.mean()) ** 2))


def estimate_variance(miss: Doubles, propensity: Floats, pairs: float) -> float:
    """Return `(1/|D|^2) sum over O of (1 - p) / p^2 (e - e_hat)^2`: the variance of a doubly robust estimate of a loss.

    Over who is exposed, outcomes held as they are; right where p is. In the unit of the error, squared. Source: UPO
    (AAAI 2026), its observed form.

    Args:
        miss: float64[N], e - e_hat of the observed rows.
        propensity: float32[N], p of them.
        pairs: |D|.

    >>> estimate_variance(np.array([2.0, 1.0]), np.float32([0.5, 0.25]), 10)  # (2 * 4 + 12 * 1) / 100
    0.2
    """
    p = propensity.astype(np.float64)
    return float(((1 - p) / p**2 * miss**2).sum() / pairs**2)


def estimate_bias(miss: Doubles, exposed: Floats, propensity: Floats) -> float:
    """Return `|mean of (o - p)(e - e_hat) / p|`, how far a doubly robust estimate is off, in the unit of the error.

    Args:
        miss: float64[M], e - e_hat of pairs drawn uniformly, which a simulation knows of those not exposed too.
        exposed: float32[M], o in {0, 1}.
        propensity: float32[M], p.

    >>> estimate_bias(np.array([2.0, 1.0]), np.float32([1, 0]), np.float32([0.5, 0.25]))
    0.5
    """
    p = propensity.astype(np.float64)
    return abs(float(((exposed - p) * miss / p).mean()))
