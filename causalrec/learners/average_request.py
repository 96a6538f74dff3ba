"""Which average effect a run asks for: of whom, and which rows trimming leaves out, by the run's own propensities."""

from __future__ import annotations

import numpy as np

from causalrec.config.run_config import Evaluation
from causalrec.errors import DataError
from causalrec.estimators.effect.average_effect import AverageRequest
from causalrec.estimators.effect.averages import trim_rows
from causalrec.estimators.effect.base import LEAST_ROWS
from causalrec.learners.table_columns import log_to_fit
from causalrec.prepared import PreparedData
from causalrec.types import Bools, Floats


def training_average_request(evaluation: Evaluation, prepared: PreparedData) -> AverageRequest:
    """Return what is asked of the rows that a learner from a table is fitted on."""
    return AverageRequest(
        target=evaluation.target, level=evaluation.level, included=trimmed_training_rows(evaluation, prepared)
    )


def trimmed_training_rows(evaluation: Evaluation, prepared: PreparedData) -> Bools | None:
    """Return which rows to be fitted on have every arm with a probability of at least `trim`; None where all stay.

    By the run's propensities, so that every row of a table is about the same rows.
    """
    if not evaluation.trim:
        return None
    log, arms = log_to_fit(prepared), len(prepared.dataset.card.arms)
    included = _trim(prepared.propensity.treatment_probabilities(log, arms), evaluation.trim)
    counts = np.bincount(log.treatment[included], minlength=arms + 1)
    if int(counts.min()) < LEAST_ROWS:
        fewest = int(counts.argmin())
        raise DataError(
            f"evaluation.trim={evaluation.trim:g}: leaves {int(counts[fewest])} rows of treatment {fewest} of "
            f"{int((log.treatment == fewest).sum())}, fewer than {LEAST_ROWS}; lower it"
        )
    return included


def trimmed_test_rows(evaluation: Evaluation, prepared: PreparedData) -> Bools | None:
    """Return the same of the test rows, by their own probabilities."""
    if not evaluation.trim:
        return None
    return _trim(prepared.test_probabilities, evaluation.trim)


def _trim(probabilities: Floats, trim: float) -> Bools:
    return trim_rows(probabilities.astype(np.float64), trim)
