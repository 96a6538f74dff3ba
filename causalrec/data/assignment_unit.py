"""Of whom treatment was assigned: the users or items within which it does not vary, else single rows."""

from __future__ import annotations

import numpy as np

from causalrec.data.log import InteractionLog
from causalrec.types import Ints

MOST_WITHIN = 0.1  # of the treatment's sum of squares, up to which it counts as constant within a level's units


def assignment_unit(log: InteractionLog) -> Ints | None:
    """Return each row's unit of assignment `[N]`, from 0 on; None where treatment varies within users and items.

    Treatment is constant within a level where its sum of squares around the means of units with two rows or more is at
    most a tenth of that around their common mean; of several such levels the one of fewest units. "Most units are
    constant" would hold of any rare arm.
    """
    levels = [ids for ids in (log.user, log.item) if ids is not None and _is_constant(log.treatment, ids)]
    units = [np.unique(ids, return_inverse=True)[1] for ids in levels]
    return min(units, key=lambda unit: int(unit.max()), default=None)


def _is_constant(treatment: Ints, ids: Ints) -> bool:
    """Whether treatment hardly varies within units of two rows or more; arms are compared as indicators."""
    count = np.bincount(ids)
    repeated = count[ids] > 1
    treatment, ids = treatment[repeated], ids[repeated]
    within = total = 0.0
    for arm in np.unique(treatment):
        received = (treatment == arm).astype(float)
        mean = np.bincount(ids, received, len(count)) / np.maximum(count, 1)
        within += float(((received - mean[ids]) ** 2).sum())
        total += float(((received - received.mean()) ** 2).sum())
    return total > 0 and within <= MOST_WITHIN * total
