"""The effect on those whom a binary instrument moves: a ratio of two average effects of the instrument."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from causalrec.errors import DataError
from causalrec.estimators.effect.aipw import CrossFit
from causalrec.estimators.effect.average_effect import AverageEffect, AverageRequest, average_from_influence
from causalrec.estimators.effect.base import LearnerData
from causalrec.estimators.effect.fit_log import FitLog

EFFECT_OF_COMPLIERS = "effect_of_compliers"
DESCRIPTION = (
    "the effect on rows that the instrument moves: its doubly robust effect on the outcome, divided by that on the "
    "treatment"
)


def is_binary_instrument(rows: LearnerData) -> bool:
    """Whether there is one treatment, and one instrument of two values."""
    instruments = rows.instruments_or_mediator
    if instruments is None or rows.arms != 1:
        return False
    return instruments.shape[1] <= 2 and len(np.unique(instruments, axis=0)) == 2  # a category of two is two columns


def effect_of_compliers(
    nuisances: CrossFit, rows: LearnerData, request: AverageRequest, seed: int, log: FitLog | None = None
) -> AverageEffect:
    """Return `AIPW(z -> y) / AIPW(z -> t)` with the interval of the delta method, z the larger value of the instrument.

    Both are cross-fitted on the same folds, given X and W. Assumption: z is as good as drawn at random given X and W,
    moves the outcome through the treatment alone, and moves nobody's treatment the other way. Where it hardly moves the
    treatment (a first-stage F below 10) the interval is too short. Source: Imbens & Angrist (Econometrica 1994);
    Frölich (Journal of Econometrics 2007). Raises DataError unless treatment and instrument are binary.

    Args:
        nuisances: `treatment` models the instrument, `outcome` the outcome, and the treatment as an outcome.
        rows: with the instrument.
        request: the level of the interval; its target is that of the compliers.
        seed: of the folds, and of what the models draw.
        log: counts the fits.
    """
    if rows.instruments_or_mediator is None or not is_binary_instrument(rows):
        raise DataError(
            "effect: compliers are those of one binary instrument and one treatment; these rows have others"
        )
    instrument = rows.instruments_or_mediator[:, 0]
    assigned = (instrument == instrument.max()).astype(np.int64)
    of_instrument = replace(rows, treatment=assigned, probabilities=None, instruments_or_mediator=None)
    on_outcome = nuisances.adjust(of_instrument, seed, log)
    received = rows.treatment.astype(np.float64)
    as_outcome = replace(of_instrument, outcome=received, binary=True, probabilities=on_outcome.probabilities)
    on_treatment = nuisances.adjust(as_outcome, seed, log)
    over_all = replace(request, target="all", included=None)
    outcome, treatment = (adjusted.target_average(over_all) for adjusted in (on_outcome, on_treatment))
    value = outcome.value / treatment.value
    influence = (outcome.influence - value * treatment.influence) / treatment.value
    return average_from_influence(
        *(value, influence, rows.dependence, request.level), description=DESCRIPTION, metric=EFFECT_OF_COMPLIERS
    )
