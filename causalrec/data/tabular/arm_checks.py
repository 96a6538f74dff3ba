"""What a log must hold for its effects to be learnt."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from causalrec.data.log import InteractionLog
from causalrec.errors import DataError


def check_arms(log: InteractionLog, arms: Sequence[str], name: str) -> None:
    """Raise DataError on an exposure that is no arm, a row without an outcome, and an arm without a row."""
    if not arms:
        return
    for bad, what in (
        (log.treatment > len(arms), f"exposure above {len(arms)}, the last of dataset.arms; name it there"),
        (np.isnan(log.outcome), "no outcome, which an effect needs of unexposed rows too; drop the row"),
    ):
        if bad.any():
            raise DataError(f"{name}: {log.name} row {int(np.argmax(bad)) + 1}: {what} ({int(bad.sum())} such rows)")
    if missing := set(range(len(arms) + 1)) - set(np.unique(log.treatment).tolist()):
        raise DataError(f"{name}: {log.name} has no row of exposure {min(missing)}; leave it out of dataset.arms")
