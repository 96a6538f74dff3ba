"""The constant: the mean outcome of the training rows."""

from dataclasses import dataclass, field
from typing import ClassVar

import numpy as np

from causalrec.data.log import InteractionLog
from causalrec.evaluation.baseline.base import AbstractBaseline
from causalrec.types import Floats, Ints


@dataclass(kw_only=True)
class Constant(AbstractBaseline):
    """Predicts the training mean for every pair: any squared error must be read against it."""

    tells_users_apart: ClassVar[bool] = False
    tells_items_apart: ClassVar[bool] = False
    _mean: float = field(init=False, repr=False, default=0.0)

    def fit(self, log: InteractionLog, context: InteractionLog | None = None) -> None:
        self._mean = float(log.outcome.mean(dtype=np.float64))

    def predict(self, user: Ints, item: Ints, time: Ints | None = None) -> Floats:
        return np.full(len(item), self._mean, np.float32)
