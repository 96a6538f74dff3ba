"""How strongly instruments move a treatment."""

from __future__ import annotations

import numpy as np

from causalrec.errors import DataError
from causalrec.estimators.effect.base import LearnerData
from causalrec.types import Doubles


def first_stage_f(rows: LearnerData, arm: int) -> float:
    """Return the F statistic of the instruments in a linear regression of an arm on them, X and W.

    `((rss_0 - rss_1) / k) / (rss_1 / (N - p))`, residual sums of squares without and with the k instruments, p columns
    in all. Below 10, intervals that take the estimate as normal are too short. Source: Staiger & Stock (Econometrica
    1997). Raises DataError without instruments.
    """
    if rows.instruments_or_mediator is None:
        raise DataError("effect: these rows have no instruments; name some in the graph")
    treated = (rows.treatment == arm).astype(np.float64)
    without = np.hstack([np.ones((len(rows), 1)), rows.features])
    with_instruments = np.hstack([without, rows.instruments_or_mediator])
    ranks = [int(np.linalg.matrix_rank(columns)) for columns in (without, with_instruments)]
    if ranks[1] == ranks[0] or len(rows) <= ranks[1]:
        return 0.0
    left = [_residual(columns, treated) for columns in (without, with_instruments)]
    return float((left[0] - left[1]) / (ranks[1] - ranks[0]) / (left[1] / (len(rows) - ranks[1])))


def _residual(columns: Doubles, outcome: Doubles) -> float:
    fitted, *_ = np.linalg.lstsq(columns, outcome, rcond=None)
    return float(((outcome - columns @ fitted) ** 2).sum())
