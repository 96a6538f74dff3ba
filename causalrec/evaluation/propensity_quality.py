"""How well a fitted propensity describes exposure, judged on uniformly drawn pairs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np

from causalrec.data.log import InteractionLog
from causalrec.data.sampler.rows import pairs_log
from causalrec.features.views import FeatureMatrix
from causalrec.graph.calibration import calibration_error, calibration_error_by_width
from causalrec.graph.one_armed import one_armed_shares
from causalrec.graph.overlap import Balance, balance
from causalrec.propensity.base import AbstractPropensity
from causalrec.solvers.fit_report import FitReport

MAX_PAIRS = 100_000  # drawn


@dataclass(frozen=True)
class PropensityFit:
    """How well a propensity describes exposure.

    Attributes:
        ece: expected calibration error (probability); None where it cannot tell unlogged pairs.
        ece_width: the same over bins of equal width.
        balance: of the view's columns between exposed and all pairs, before and after weighting; None in a userless
            log.
        fit: how its fit ended; None where it has a formula.
        one_armed: share of rows in strata of a column that lack an arm, by column; empty where all rows are exposed.
    """

    ece: float | None = None
    ece_width: float | None = None
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
    pairs = log.pair_codes(np.random.default_rng(0).integers(log.num_pairs, size=min(log.num_pairs, MAX_PAIRS)))
    user, item = pairs // log.num_items, pairs % log.num_items
    columns = columns.of_pairs
    exposed_columns, population = columns.matrix(log.user, log.item), columns.matrix(user, item)
    balanced = balance(exposed_columns, population, log.propensity, columns.names)
    if not propensity.scores_unlogged_pairs:
        return PropensityFit(balance=balanced, fit=propensity.report)
    predicted = propensity.predict(pairs_log(user, item, log))
    exposed = np.isin(pairs, log.codes).astype(np.float32)
    return PropensityFit(
        calibration_error(predicted, exposed),
        calibration_error_by_width(predicted, exposed),
        balanced,
        propensity.report,
    )
