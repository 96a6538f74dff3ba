"""Majority: the commonest outcome of the training rows."""

from dataclasses import dataclass, field
from typing import ClassVar

import numpy as np

from causalrec.data.log import InteractionLog
from causalrec.evaluation.baseline.base import AbstractBaseline
from causalrec.types import Floats, Ints


@dataclass(kw_only=True)
class Majority(AbstractBaseline):
    """Predicts the commonest training outcome (the least of equally common ones) for every pair: any accuracy must be
    read against it.
    """

    tells_users_apart: ClassVar[bool] = False
    tells_items_apart: ClassVar[bool] = False
    _commonest: float = field(init=False, repr=False, default=0.0)

    def fit(self, log: InteractionLog, context: InteractionLog | None = None) -> None:
        values, counts = np.unique(log.outcome, return_counts=True)
        self._commonest = float(values[np.argmax(counts)])

    def predict(self, user: Ints, item: Ints, time: Ints | None = None) -> Floats:
        return np.full(len(item), self._commonest, np.float32)
