"""Average effects as scores of the record."""

from __future__ import annotations

from statistics import NormalDist

import numpy as np

from causalrec.estimators.effect.average_effect import AverageEffect
from causalrec.evaluation.evaluator import Score
from causalrec.types import Doubles


def average_score(
    average: AverageEffect, arm: int, slice_name: str, replicates: int, model: str, rows: int = 0
) -> Score:
    """Return the average effect of an arm as a score.

    Args:
        average: of every arm.
        arm: from 1.
        slice_name: the rows it is of.
        replicates: how many quantiles stand in the place of bootstrap replicates.
        model: the predictor.
        rows: that it rests on where the average does not say.
    """
    columns = average.value, average.standard_error, average.low, average.high
    value, error, low, high = (float(column[arm - 1]) for column in columns)
    return Score(
        *(average.metric, slice_name, value, low, high),
        n=rows if average.count is None else average.count,
        model=model,
        replicates=normal_replicates(value, error, replicates),
        description=average.description,
        warnings=average.warnings if arm == 1 else (),
    )


def normal_replicates(value: float, standard_error: float, count: int) -> Doubles:
    """Return evenly spaced quantiles of a normal estimate, float64[count], in the place of bootstrap replicates; those
    of seeds are averaged as if they erred together.
    """
    quantiles = [NormalDist().inv_cdf((k + 0.5) / count) for k in range(count)]
    return value + standard_error * np.array(quantiles)
