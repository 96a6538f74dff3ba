"""How well a fitted propensity describes exposure, judged on uniformly drawn pairs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np

from causalrec.data.log import InteractionLog
from causalrec.data.sampler.rows import pairs_log
from causalrec.features.views import FeatureMatrix
from causalrec.graph.calibration import calibration_error, calibration_error_by_width
from causalrec.graph.column_balance import Balance, balance
from causalrec.graph.one_armed import one_armed_shares
from causalrec.graph.overlap_errors import balance_mse
from causalrec.propensity.base import AbstractPropensity
from causalrec.solvers.fit_report import FitReport
from causalrec.types import Floats

MAX_PAIRS = 100_000  # drawn


@dataclass(frozen=True)
class PropensityFit:
    """How well a propensity describes exposure.

    Attributes:
        ece: expected calibration error (probability); None where it cannot tell unlogged pairs.
        ece_width: the same over bins of equal width.
        bmse: squared imbalance of the view's columns over the same pairs; None of what is no probability of exposure
            (`relative_popularity`).
        balance: of the view's columns between exposed and all pairs, before and after weighting; None in a userless
            log.
        fit: how its fit ended; None where it has a formula.
        one_armed: share of rows in strata of a column that lack an arm, by column; empty where all rows are exposed.
    """

    ece: float | None = None
    ece_width: float | None = None
    bmse: float | None = None
    balance: Balance | None = None
    fit: FitReport | None = None
    one_armed: Mapping[str, float] = field(default_factory=dict)


def judge_treatment_propensity(
    log: InteractionLog, propensity: AbstractPropensity, columns: FeatureMatrix, causes: FeatureMatrix
) -> PropensityFit:
    """Judge propensities of the treatment received: the balance between treated and all rows, and what says treatment.

    Args:
        log: the rows.
        propensity: fitted.
        columns: the numbers of its view, which are to balance.
        causes: those of the columns that treatment must not follow.
    """
    assert log.propensity is not None
    every, treated = columns.matrix_of_log(log), log.treatment > 0
    balanced = balance(every[treated], every, log.propensity[treated], columns.names)
    numbers, names, levels = causes.strata_of_log(log)
    one_armed = one_armed_shares(log.treatment, numbers, names, log.unit, levels)
    return PropensityFit(balance=balanced, fit=propensity.report, one_armed=one_armed)


def judge_propensity(log: InteractionLog, propensity: AbstractPropensity, columns: FeatureMatrix) -> PropensityFit:
    """Judge the propensity that `log` carries; `columns` is the propensity view, without those of rows: the drawn pairs
    have none.
    """
    if log.user is None or log.propensity is None:
        return PropensityFit(fit=propensity.report)
    pairs, exposed = draw_pairs(log)
    columns = columns.of_pairs
    exposed_columns, population = columns.matrix(log.user, log.item), columns.matrix(pairs.users, pairs.item)
    balanced = balance(exposed_columns, population, log.propensity, columns.names)
    if not propensity.scores_unlogged_pairs:
        return PropensityFit(balance=balanced, fit=propensity.report)
    predicted = propensity.predict(pairs)
    return PropensityFit(
        calibration_error(predicted, exposed),
        calibration_error_by_width(predicted, exposed),
        balance_mse(predicted, exposed, population) if propensity.kind == "exposure" else None,
        balanced,
        propensity.report,
    )


def draw_pairs(log: InteractionLog) -> tuple[InteractionLog, Floats]:
    """Return uniformly drawn pairs of a log with users, the same each time, and whether each is exposed, float32[M]."""
    codes = log.pair_codes(np.random.default_rng(0).integers(log.num_pairs, size=min(log.num_pairs, MAX_PAIRS)))
    pairs = pairs_log(codes // log.num_items, codes % log.num_items, log)
    return pairs, np.isin(codes, log.codes).astype(np.float32)
