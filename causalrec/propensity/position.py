"""Examination of a slot under the position-based click model."""

from dataclasses import dataclass, field
from typing import ClassVar

import numpy as np

from causalrec.data.log import InteractionLog
from causalrec.errors import DataError
from causalrec.features.views import FeatureMatrix
from causalrec.propensity.base import AbstractPropensity, check_propensity
from causalrec.types import Floats, Ints, PropensityKind


@dataclass(kw_only=True)
class Position(AbstractPropensity):
    """`theta_k = clicks per row at position k / clicks per row at the best position`, float32[N].

    The probability that slot k is examined, relative to the best slot (1). Clicks are counted in the randomised rows
    set aside where there are any, in the log otherwise; a slot without a click counts half a click. Assumption: a click
    is examination times relevance, and items are placed at random, as under a uniform policy: under a ranking policy
    the estimate mixes in that better items stand higher. Source: Joachims et al. (WSDM 2017).
    Raises DataError on a log without positions, outcomes outside [0, 1], or a position that no fitted row has.
    """

    scores_unlogged_pairs: ClassVar[bool] = False
    kind: ClassVar[PropensityKind] = "examination"

    _slots: Ints = field(init=False, repr=False)
    _examined: Floats = field(init=False, repr=False)

    def fit(
        self, log: InteractionLog, features: FeatureMatrix, randomised_sample: InteractionLog | None = None
    ) -> None:
        rows = log if randomised_sample is None else randomised_sample
        _positions(log)
        bad = ~((rows.outcome >= 0) & (rows.outcome <= 1))
        if bad.any():
            row = int(np.argmax(bad))
            raise DataError(
                f"propensity=position: {rows.name} row {row}: outcome {rows.outcome[row]:g} is no click (0 or 1)"
            )
        self._slots, slot = np.unique(_positions(rows), return_inverse=True)
        clicks = np.maximum(np.bincount(slot, weights=rows.outcome), 0.5)
        rate = np.minimum(clicks / np.bincount(slot), 1.0)
        self._examined = (rate / rate.max()).astype(np.float32)

    def predict(self, log: InteractionLog) -> Floats:
        position = _positions(log)
        slot = np.minimum(np.searchsorted(self._slots, position), len(self._slots) - 1)
        new = self._slots[slot] != position
        if new.any():
            row = int(np.argmax(new))
            raise DataError(
                f"propensity=position: {log.name} row {row}: position {position[row]} is in no fitted row; "
                f"drop the row or fit on more rows"
            )
        return check_propensity(self._examined[slot], "position")

    def columns_read(self, view: tuple[str, ...]) -> tuple[str, ...]:
        return ("position",)


def _positions(log: InteractionLog) -> Ints:
    if log.position is None:
        raise DataError(f"propensity=position: {log.name} has no positions; use openbandit, or csv with a position")
    return log.position
