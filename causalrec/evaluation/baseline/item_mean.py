"""Item mean: the mean outcome of an item's training rows, shrunk to the overall mean."""

from dataclasses import dataclass, field
from typing import Annotated, ClassVar

import numpy as np
from pydantic import Field

from causalrec.data.log import InteractionLog
from causalrec.evaluation.baseline.base import AbstractBaseline
from causalrec.types import Floats, Ints


@dataclass(kw_only=True)
class ItemMean(AbstractBaseline):
    """`(sum of outcomes + prior * mean) / (n + prior)`; `prior` in rows."""

    tells_users_apart: ClassVar[bool] = False
    prior: Annotated[float, Field(ge=0)] = 5.0
    _mean: Floats = field(init=False, repr=False)

    def fit(self, log: InteractionLog, context: InteractionLog | None = None) -> None:
        overall = log.outcome.mean(dtype=np.float64)
        total = np.bincount(log.item, weights=log.outcome, minlength=log.num_items)
        count = np.bincount(log.item, minlength=log.num_items)
        shrunk = (total + self.prior * overall) / np.maximum(count + self.prior, 1e-9)
        self._mean = np.where(count + self.prior > 0, shrunk, overall).astype(np.float32)

    def predict(self, user: Ints, item: Ints, time: Ints | None = None) -> Floats:
        return self._mean[item]
