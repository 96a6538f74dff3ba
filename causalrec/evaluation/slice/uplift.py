"""Test rows under an arm or under none, on which an effect is judged by the outcomes seen."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np

from causalrec.evaluation.outcome_regression import centre_outcomes
from causalrec.evaluation.slice.base import AbstractSlice, SliceData, SliceSource, arm_name, held_out_name, slice_of_log
from causalrec.features.views import FeatureMatrix
from causalrec.types import Floats

CLIP = 0.01  # of propensities, as metrics have it


@dataclass(frozen=True, kw_only=True)
class UpliftSlice(AbstractSlice):
    """Of each arm, the test rows under it or under none, with the propensity of the arm among the two.

    Of several arms such a row stands for the rows of all, by one over the probability of the arm or none.

    Where columns do not make treated and untreated rows alike (`adjusts` False), only randomised rows are judged.
    """

    def select(self, source: SliceSource) -> Iterator[SliceData]:
        if not source.adjusts and not source.splits.test_is_randomised:
            return
        for arm in range(1, len(source.dataset.card.arms) + 1):
            yield _compare_arm(source, arm)


def _compare_arm(source: SliceSource, arm: int) -> SliceData:
    test = source.splits.test
    compared = np.flatnonzero(np.isin(test.treatment, (0, arm)))
    rows, probabilities = test.take(compared), source.test_probabilities[compared]
    compared_share = probabilities[:, 0] + probabilities[:, arm]
    data = replace(
        slice_of_log(rows, arm_name(held_out_name(source), arm), "uplift", arm),
        treatment=(rows.treatment == arm).astype(np.int64),
        propensity=(probabilities[:, arm] / compared_share).astype(np.float32),
        weight=None if probabilities.shape[1] == 2 else (1 / np.maximum(compared_share, CLIP)).astype(np.float32),
        clusters=tuple(axis[compared] for axis in source.test_clusters),
        jackknife=True,
    )
    return replace(data, centred_label=_centre(data, source.features))


def _centre(data: SliceData, features: FeatureMatrix) -> Floats:
    """Return the outcomes less `(1 - e) E[Y | x, treated] + e E[Y | x, control]` as a regression has it, float32[N]:
    what leaves scores `T Y / e - (1 - T) Y / (1 - e)` the least variance.

    It is cross-fitted over whole clusters of the first axis. Wide categories are left out, whose products with each
    other would take memory by the square of their levels: the variance falls less, the value is the same on average.
    """
    assert data.treatment is not None and data.propensity is not None
    treated, row_block = data.treatment == 1, features.row_block(data)
    odds = np.clip(data.propensity.astype(np.float64), CLIP, 1 - CLIP)
    odds /= 1 - odds

    def columns(rows: slice) -> Floats:
        return features.parts(data.user[rows], data.item[rows], None if row_block is None else row_block[rows])[0]

    weight = np.where(treated, 1 / odds, odds)
    return centre_outcomes(data.label, weight, columns, features.dense_width, data.dependence[0])
