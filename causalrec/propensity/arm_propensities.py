"""The probability of every treatment for rows that received one of them, as objectives read it."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from causalrec.data.arm_probabilities import SAME, arm_probabilities
from causalrec.data.log import InteractionLog
from causalrec.errors import DataError
from causalrec.propensity.base import AbstractPropensity
from causalrec.types import Floats


def arm_propensities(propensity: AbstractPropensity, log: InteractionLog, arms: int) -> Floats:
    """Return the probability of each treatment for each row, float32[N,A+1], that goes with the log's propensities.

    The log's own where its propensities are theirs (logged ones; those of randomised rows); with one arm what the
    propensity of the treatment received leaves; else what the fitted model says.

    Args:
        propensity: fitted, of treatments.
        log: rows with propensities, which need not be those that it was fitted on.
        arms: A.

    Raises DataError where they are not known, or not of A + 1 treatments.
    """
    goes_by_log = _goes_by_log(log)
    if goes_by_log or arms == 1:
        probabilities = arm_probabilities(log if goes_by_log else replace(log, arm_probabilities=None), arms)
    else:
        probabilities = propensity.treatment_probabilities(log, arms)
    if probabilities is None or probabilities.shape != (len(log), arms + 1):
        raise DataError(
            f"{log.name}: has no probabilities of {arms + 1} treatments; choose propensity=treatment, or log them all"
        )
    return np.ascontiguousarray(probabilities, dtype=np.float32)


def _goes_by_log(log: InteractionLog) -> bool:
    """Whether the log's propensities are those of its own probabilities of arms, not a model's."""
    if log.arm_probabilities is None or log.propensity is None:
        return False
    received = np.take_along_axis(log.arm_probabilities, log.treatment[:, None], 1)[:, 0]
    return bool((np.abs(received - log.propensity) <= SAME).all())
