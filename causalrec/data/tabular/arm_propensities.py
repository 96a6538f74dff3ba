"""Logged propensities of a table as those of every arm: of one arm from one column, of several from one each."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from causalrec.data.log import InteractionLog


def with_arm_propensities(log: InteractionLog, arms: int) -> InteractionLog:
    """Return the log with the propensity of every arm, and that of the arm received as its propensity.

    Args:
        log: as read: one propensity a row, or those of all arms. One is the probability of being exposed where there is
            one arm, of several that of the arm received, which tells the others where it is the same in all rows.
        arms: A; 0 where rows without exposure have no outcome, and nothing changes.
    """
    probabilities = log.arm_probabilities
    if probabilities is None and arms == 1 and log.propensity is not None:
        exposed = np.asarray(log.propensity)
        probabilities = np.stack([1 - exposed, exposed], 1)
        log = replace(log, arm_probabilities=probabilities)
    if not arms or probabilities is None:
        return log
    received = np.take_along_axis(probabilities, np.asarray(log.treatment)[:, None], 1)[:, 0]
    return log.with_propensity(received)
