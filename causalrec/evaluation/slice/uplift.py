"""Test rows under an arm or under none, on which an effect is judged by the outcomes seen."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from causalrec.evaluation.slice.base import AbstractSlice, SliceData, SliceSource, arm_name, held_out_name


@dataclass(frozen=True, kw_only=True)
class UpliftSlice(AbstractSlice):
    """Of each arm, the test rows under it or under none, with the propensity of the arm among the two.

    Where columns do not make treated and untreated rows alike (`adjusts` False), only randomised rows are judged.
    """

    def select(self, source: SliceSource) -> Iterator[SliceData]:
        if not source.adjusts and not source.splits.test_is_randomised:
            return
        arms = len(source.dataset.card.arms)
        for arm in range(1, arms + 1):
            compared = np.flatnonzero(np.isin(source.splits.test.treatment, (0, arm)))
            rows, probabilities = source.splits.test.take(compared), source.test_probabilities[compared]
            yield SliceData(
                name=arm_name(held_out_name(source), arm),
                kind="uplift",
                user=rows.users,
                item=rows.item,
                label=rows.outcome,
                num_users=rows.num_users,
                time=rows.time,
                columns=rows.columns,
                arm=arm,
                treatment=(rows.treatment == arm).astype(np.int64),
                propensity=(probabilities[:, arm] / (probabilities[:, 0] + probabilities[:, arm])).astype(np.float32),
                jackknife=True,
            )
