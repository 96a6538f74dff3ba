"""Logged propensities of a table as those of every arm: of one arm from one column, of several from one each."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from causalrec.data.log import InteractionLog
from causalrec.errors import DataError


def with_arm_propensities(log: InteractionLog, arms: int) -> InteractionLog:
    """Return the log with the propensity of every arm, and that of the arm received as its propensity.

    Args:
        log: as read: one propensity a row, the probability of being exposed, or those of all arms.
        arms: A; 0 where rows without exposure have no outcome, and nothing changes.

    Raises DataError where several arms have one propensity.
    """
    if not arms or (log.propensity is None and log.arm_probabilities is None):
        return log
    probabilities = log.arm_probabilities
    if probabilities is None:
        if log.propensity is None or arms > 1:
            raise DataError(f"{log.name}: one propensity for {arms} arms; name a column for each in dataset.propensity")
        exposed = np.asarray(log.propensity)
        probabilities = np.stack([1 - exposed, exposed], 1)
        log = replace(log, arm_probabilities=probabilities)
    received = np.take_along_axis(probabilities, np.asarray(log.treatment)[:, None], 1)[:, 0]
    return log.with_propensity(received)
