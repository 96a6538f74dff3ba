"""The probability of every treatment for rows that received one of them."""

from __future__ import annotations

import numpy as np

from causalrec.data.log import InteractionLog
from causalrec.errors import DataError
from causalrec.propensity.base import AbstractPropensity
from causalrec.types import Floats


def arm_propensities(propensity: AbstractPropensity, log: InteractionLog, arms: int) -> Floats:
    """Return the probability of each treatment for each row, float32[N,A+1].

    The log's own where it has them; with one arm what the propensity of the treatment received leaves; else what the
    fitted model says.

    Args:
        propensity: fitted, of treatments.
        log: rows with propensities, which need not be those that it was fitted on.
        arms: A.

    Raises DataError where they are not known, or are no probabilities of A + 1 treatments.
    """
    probabilities = log.arm_probabilities
    if probabilities is None:
        probabilities = _of_two(log) if arms == 1 else propensity.treatment_probabilities(log, arms)
    fits = probabilities.shape == (len(log), arms + 1) and bool(((probabilities >= 0) & (probabilities <= 1)).all())
    if not fits:
        raise DataError(
            f"{log.name}: probabilities of {arms + 1} treatments are not between 0 and 1, one each for every row; "
            f"choose propensity=treatment"
        )
    return np.ascontiguousarray(probabilities, dtype=np.float32)


def _of_two(log: InteractionLog) -> Floats:
    if log.propensity is None:
        raise DataError(f"{log.name}: has no propensities; fit a propensity model before training")
    treated = np.where(log.treatment > 0, log.propensity, 1 - log.propensity)
    return np.stack([1 - treated, treated], axis=1)
