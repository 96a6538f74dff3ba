"""The probability of every arm for each row: as logged, or as the shares among rows that were randomised."""

from __future__ import annotations

import numpy as np

from causalrec.data.log import InteractionLog
from causalrec.errors import DataError
from causalrec.types import Doubles, Floats, Ints

SAME = 1e-3  # propensities that differ by less are one


def arm_probabilities(log: InteractionLog, arms: int) -> Floats | None:
    """Return P(treatment = a) of each row as its log says, float32[N,A+1]; None where it says nothing.

    One arm: the propensity is that of the arm received, so that the other's is what is missing to 1. Several: those of
    all arms, or one propensity for each arm, the same in all rows. Raises DataError where those of the arms that a row
    did not receive are unknown.

    Args:
        log: rows.
        arms: A.

    >>> zeros, half = np.zeros(2, np.int64), np.array([0.25, 0.25], np.float32)
    >>> log = InteractionLog(zeros, np.array([0, 1]), np.zeros(2, np.float32), 1, propensity=half)
    >>> arm_probabilities(log, 1).tolist()
    [[0.25, 0.75], [0.75, 0.25]]
    """
    if log.arm_probabilities is not None:
        return log.arm_probabilities
    if log.propensity is None:
        return None
    if arms == 1:
        treated = np.where(log.treatment > 0, log.propensity, 1 - log.propensity)
        return np.stack([1 - treated, treated], 1).astype(np.float32)
    probabilities = np.zeros(arms + 1)
    for arm in range(arms + 1):
        mine = log.propensity[log.treatment == arm]
        if len(mine) and mine.max() - mine.min() > SAME:
            raise DataError(
                f"{log.name}: propensities of treatment {arm} differ by row, and those of the other arms are unknown; "
                f"log one for each arm (of csv, dataset.propensity=[..]), or choose propensity=treatment"
            )
        probabilities[arm] = mine.mean() if len(mine) else 0.0
    return np.tile((probabilities / probabilities.sum()).astype(np.float32), (len(log), 1))


def randomised_probabilities(log: InteractionLog, arms: int, stratum: Ints | None = None) -> Floats:
    """Return P(treatment = a) of randomised rows, float32[N,A+1]: as logged, else the arms' shares by stratum.

    Args:
        log: rows whose treatment was drawn at random (within strata).
        arms: A.
        stratum: int64[N], of each row, from 0 on; None: one for all.

    Raises DataError where a stratum lacks an arm that other rows have, so that nobody there tells its effect.
    Assumption: within a stratum every row had the same chances. The shares, not the chances of the design, are taken as
    they give the smaller error (Hirano, Imbens & Ridder, Econometrica 2003).

    >>> log = InteractionLog(np.zeros(4, np.int64), np.array([0, 1, 1, 1]), np.zeros(4, np.float32), 1)
    >>> randomised_probabilities(log, 1)[0].tolist()
    [0.25, 0.75]
    """
    logged = arm_probabilities(log, arms)
    if logged is not None:
        return logged
    of_row = np.zeros(len(log), np.int64) if stratum is None else stratum
    counts = np.zeros((int(of_row.max(initial=-1)) + 1, arms + 1))
    np.add.at(counts, (of_row, log.treatment), 1)
    missing = (counts == 0) & (counts.sum(0) > 0) & (counts.sum(1, keepdims=True) > 0)
    if missing.any():
        _, arm = (int(k) for k in np.argwhere(missing)[0])
        raise DataError(
            f"{log.name}: {int(missing.any(1).sum())} of {len(counts)} strata of the randomised rows lack an arm "
            f"(first: arm {arm}), so that no effect can be told there; name fewer columns in dataset.strata"
        )
    shares: Doubles = counts / np.maximum(counts.sum(1, keepdims=True), 1)
    return shares[of_row].astype(np.float32)
